"""What the scripted server shows, on a real kube-apiserver: reading, watching, and coming back from trouble."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from informers import ObjectKey, Projection, Resource, check_consistency
from tests.informers.live import CONFIG_MAPS, Live, config_map, served_widgets, widget, widget_crd
from tests.informers.rig import NOTES, WHOLE_NOTES
from tests.support.cluster import create_namespace, grant, unique_name
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Answer, CutAfter, Rewrite, SilentAfter
from tools.controlplane import ApiClient, AuditLog, ControlPlane, remove_crd, wait_served


def filler(namespace: str) -> dict[str, Any]:
    """Of a kind that nobody watches here."""
    data = {"time": str(time.monotonic_ns())}
    metadata = {"name": "filler", "namespace": namespace, "annotations": data}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(control_plane.apiserver) as proxy:
        yield proxy


@pytest.mark.parametrize("projection", [NOTES, WHOLE_NOTES], ids=["metadata", "whole"])
async def test_a_life_on_one_connection(
    kubeconfig: Path, api: ApiClient, namespace: str, audit_log: AuditLog, projection: Projection[Any]
) -> None:
    api.create(config_map("a", namespace))
    api.create(config_map("plain", namespace, None, text="example.com/note in the data"))
    mark = audit_log.mark()
    live = Live(kubeconfig, projection=projection, namespaces=(namespace,))
    async with live.running():
        assert live.told == ["+a!"]
        api.create(config_map("b", namespace, "1", size="3"))
        api.patch("v1/ConfigMap", "b", {"data": {"size": "4"}}, namespace=namespace)
        api.annotate("v1/ConfigMap", "b", {"example.com/note": 'ü "2" ,"managedFields":['}, namespace=namespace)
        api.annotate("v1/ConfigMap", "a", {"example.com/note": None}, namespace=namespace)
        api.delete("v1/ConfigMap", "b", namespace=namespace)
        await live.until(lambda: "-b" in live.told, "the deletion")
        assert live.told == ["+a!", "+b", "~b", "-a", "-b"]
        newest = int(api.request("GET", CONFIG_MAPS.collection_path(namespace))["metadata"]["resourceVersion"])
        assert 0 < live.informer.store.last_sync_rv(namespace) <= newest
        assert await check_consistency(live.transport, live.informer) == 0
    requests = [seen for seen in audit_log.requests(mark) if seen.user_agent == "informer-test"]
    assert [seen.verb for seen in requests] == ["watch", "list"], "one stream, and the self-check"


async def test_a_custom_resource(kubeconfig: Path, api: ApiClient, namespace: str) -> None:
    with served_widgets(api) as resource:
        api.create(widget(resource.group, "w", namespace))
        for projection in (NOTES, WHOLE_NOTES):
            live = Live(kubeconfig, resource=resource, projection=projection)
            async with live.running():
                assert live.told == ["+w!"]
                assert live.observer.of("decode_failed") == []


async def test_a_kind_installed_late_and_removed(kubeconfig: Path, api: ApiClient, namespace: str) -> None:
    group = f"{unique_name('g')}.example.com"
    live = Live(kubeconfig, resource=Resource(group, "v1", "widgets", "Widget"), projection=NOTES, optional=True)
    async with live.running():
        assert not live.informer.available
        assert live.observer.of("attempt_failed") == []
        api.create(widget_crd(group))
        await asyncio.to_thread(wait_served, api, f"widgets.{group}")
        live.informer.poke()
        await live.until(lambda: live.informer.available, "the kind")
        api.create(widget(group, "w", namespace))
        await live.until(lambda: live.told == ["+w"], "the object")
        await asyncio.to_thread(remove_crd, api, f"widgets.{group}")
        await live.until(lambda: not live.informer.available, "the end of the kind", seconds=90)
        assert live.rows == {}
        assert live.told[-1] in ("-w", "-w?")


async def test_watches_cut_anywhere_lose_nothing(
    control_plane: ControlPlane, proxy: FaultProxy, api: ApiClient, namespace: str
) -> None:
    chance = random.Random(7)
    live = Live(control_plane.kubeconfig("admin", server=proxy.url), namespaces=(namespace,))
    api.create(config_map("kept", namespace))
    for number in range(3):
        how = CutAfter(chance.randrange(1, 4000), reset=bool(number % 2))
        proxy.rule(how, watch=True, times=1, path="/configmaps")
    async with live.running():
        for number in range(30):
            await asyncio.to_thread(api.create, config_map(f"c{number}", namespace, str(number)))
            if number % 3 == 0:
                await asyncio.to_thread(api.delete, "v1/ConfigMap", f"c{number}", namespace=namespace)
            if number % 10 == 9:
                proxy.cut_all(reset=True)
        expected = {"kept": "x"} | {f"c{number}": str(number) for number in range(30) if number % 3}
        await live.until(lambda: live.rows == expected, "all of it")
        assert live.observer.of("decode_failed") == []


@pytest.mark.parametrize(
    ("projection", "good", "bad"),
    [
        pytest.param(NOTES, b"\n\x10example.com/note\x12\x03two", b"\n\x7fexample.com/note\x12\x03two", id="protobuf"),
        pytest.param(WHOLE_NOTES, b'"example.com/note":"two"', b'"example.com/note":two', id="json"),
    ],
)
async def test_r20_an_event_damaged_on_its_way(  # noqa: PLR0917
    control_plane: ControlPlane,
    proxy: FaultProxy,
    api: ApiClient,
    namespace: str,
    projection: Projection[Any],
    good: bytes,
    bad: bytes,
) -> None:
    live = Live(control_plane.kubeconfig("admin", server=proxy.url), namespaces=(namespace,), projection=projection)
    api.create(config_map("a", namespace, "one"))
    damage = Rewrite(lambda event: event.replace(good, bad))
    proxy.rule(damage, watch=True, times=1, path="/configmaps")
    async with live.running():
        api.annotate("v1/ConfigMap", "a", {"example.com/note": "two"}, namespace=namespace)
        await live.until(lambda: live.observer.of("decode_failed"), "the damage")
        assert live.observer.of("decode_failed")[0][1] == ObjectKey(namespace, "a")
        assert live.rows == {"a": "one"}
        api.create(config_map("b", namespace))
        await live.until(lambda: "b" in live.rows, "somebody else")
        await live.until(lambda: live.rows.get("a") == "two", "the repair")
        assert not any(told.startswith("-") for told in live.told)


async def test_r6_a_refused_streaming_list(
    control_plane: ControlPlane, proxy: FaultProxy, api: ApiClient, namespace: str
) -> None:
    for number in range(3):
        api.create(config_map(f"c{number}", namespace))
    refusal = proxy.rule(Answer(422, b"{}", {}), query="sendInitialEvents", watch=True)
    live = Live(control_plane.kubeconfig("admin", server=proxy.url), namespaces=(namespace,))
    async with live.running():
        assert live.told == ["+c0!", "+c1!", "+c2!"]
        api.delete("v1/ConfigMap", "c0", namespace=namespace)
        await live.until(lambda: live.told[-1] == "-c0", "the watch after the list")
        assert refusal.hits == 1


async def test_r17_rights_that_come_late(control_plane: ControlPlane, api: ApiClient, namespace: str) -> None:
    live = Live(control_plane.kubeconfig("alice"), namespaces=(namespace,))
    async with live.running(synced=False):
        await live.until(lambda: live.observer.of("attempt_failed"), "the refusal")
        status = live.informer.status()
        assert "403 Forbidden" in status.last_error
        assert "grant this verb" in status.last_error
        assert not status.synced


async def test_rules_of_rights_suffice(control_plane: ControlPlane, api: ApiClient, namespace: str) -> None:
    """List and watch are all that an informer needs."""
    grant(
        api,
        control_plane.users["bob"],
        [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
        namespace=namespace,
    )
    api.create(config_map("a", namespace))
    live = Live(control_plane.kubeconfig("bob"), namespaces=(namespace,))
    async with live.running():
        assert live.told == ["+a!"]


async def test_a_dead_peer_is_noticed(
    control_plane: ControlPlane, proxy: FaultProxy, api: ApiClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("informers.stream.IDLE_SECONDS", 1.0)
    api.create(config_map("a", namespace))
    live = Live(control_plane.kubeconfig("admin", server=proxy.url), namespaces=(namespace,))
    proxy.rule(SilentAfter(3000), watch=True, times=1, path="/configmaps")
    async with live.running():
        for number in range(10):
            api.create(config_map(f"c{number}", namespace))
        await live.until(lambda: len(live.rows) == 11, "what was not heard")
        assert "IdleTimeout" in live.observer.reasons("watch_ended")


async def test_several_namespaces(kubeconfig: Path, api: ApiClient, namespace: str) -> None:
    other = unique_name("other")
    create_namespace(api, other)
    api.create(config_map("a", namespace))
    api.create(config_map("b", other))
    live = Live(kubeconfig, namespaces=(namespace, other))
    async with live.running():
        assert set(live.rows) == {"a", "b"}
        api.delete("v1/ConfigMap", "b", namespace=other)
        await live.until(lambda: "-b" in live.told, "the deletion")


@pytest.mark.cluster
@pytest.mark.slow
async def test_a_server_that_is_killed_while_events_flow() -> None:
    with ControlPlane(audit=False) as plane:
        api = plane.client("admin")
        create_namespace(api, "ns")
        live = Live(plane.kubeconfig("admin"), resource=CONFIG_MAPS)
        async with live.running():
            for round_number in range(2):
                for number in range(20):
                    api.create(config_map(f"r{round_number}-{number}", "ns"))
                await asyncio.to_thread(plane.kill9)
                await asyncio.to_thread(plane.restart)
                api.delete("v1/ConfigMap", f"r{round_number}-0", namespace="ns")
            expected = {f"r{round_number}-{number}" for round_number in range(2) for number in range(1, 20)}
            await live.until(lambda: set(live.rows) == expected, "the same as if nothing had happened", seconds=60)
            assert live.informer.has_synced
            assert sorted(told for told in live.told if told.startswith("+")) == sorted(
                f"+r{round_number}-{number}" for round_number in range(2) for number in range(20)
            ), "nothing twice"
            assert await check_consistency(live.transport, live.informer) == 38


@pytest.mark.cluster
@pytest.mark.slow
async def test_r13_history_that_is_gone() -> None:
    with ControlPlane(apiserver_flags={"watch-cache-sizes": "configmaps#0"}, audit=False) as plane:
        api = plane.client("admin")
        create_namespace(api, "ns")
        api.create(config_map("gone", "ns"))
        with FaultProxy(plane.apiserver) as proxy:
            live = Live(plane.kubeconfig("admin", server=proxy.url))
            async with live.running():
                proxy.pause()
                proxy.cut_all(reset=True)
                api.delete("v1/ConfigMap", "gone", namespace="ns")
                api.create(config_map("new", "ns"))
                # The server of this kind has no cache of events: what etcd forgets is forgotten.
                for number in range(5):
                    api.create(config_map(f"filler{number}", "ns", None))
                plane.compact_etcd()
                plane.stop()
                plane.restart()
                proxy.resume()
                await live.until(lambda: set(live.rows) == {"new"}, "the present", seconds=60)
                assert live.told == ["+gone!", "-gone?", "+new"]
                assert "Expired" in live.observer.reasons("relist")


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("lost", ["objects", "nothing"])
async def test_r10_storage_that_was_restored_and_has_gone_on_since(lost: str) -> None:
    """When the informers come back, the server's versions are beyond theirs, in a history that is another one; and
    nothing happens to their kinds any more."""
    with ControlPlane(audit=False) as plane:
        api = plane.client("admin")
        create_namespace(api, "ns")
        api.create(config_map("then", "ns", "1"))
        with FaultProxy(plane.apiserver) as proxy:
            live = Live(plane.kubeconfig("admin", server=proxy.url))
            quiet = live.factory.informer(Resource("", "v1", "secrets", "Secret"), NOTES)
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": config_map("s", "ns", "1")["metadata"]}
            api.create(secret)
            async with live.running():
                copied = plane.etcd.copy()
                if lost == "objects":
                    api.create({**secret, "metadata": {**secret["metadata"], "name": "lost"}})
                    api.delete("v1/Secret", "s", namespace="ns")
                    await live.until(lambda: [row.name for row in quiet.store.rows()] == ["lost"], "the later past")
                for number in range(5):
                    api.annotate("v1/ConfigMap", "then", {"example.com/note": f"later {number}"}, namespace="ns")
                await live.until(lambda: live.rows == {"then": "later 4"}, "the later past")
                known = max(live.informer.store.last_sync_rv(), quiet.store.last_sync_rv())
                proxy.pause()
                proxy.cut_all(reset=True)
                await asyncio.to_thread(plane.restore_etcd, copied)
                api = plane.client("admin")
                api.create({**secret, "metadata": {**secret["metadata"], "name": "new"}})
                while int(api.apply(filler("ns"))["metadata"]["resourceVersion"]) <= known + 5:
                    pass
                proxy.resume()
                await live.until(lambda: live.rows == {"then": "1"}, "the present", seconds=60)
                present = {"s", "new"}
                await live.until(lambda: {row.name for row in quiet.store.rows()} == present, "of the quiet kind too")
                assert set(live.observer.reasons("relist")) == {"history"}


@pytest.mark.cluster
@pytest.mark.slow
async def test_r6_a_server_without_streaming_lists() -> None:
    with ControlPlane(apiserver_flags={"feature-gates": "WatchList=false"}, audit=False) as plane:
        api = plane.client("admin")
        create_namespace(api, "ns")
        for number in range(3):
            api.create(config_map(f"c{number}", "ns"))
        live = Live(plane.kubeconfig("admin"))
        async with live.running():
            assert live.told == ["+c0!", "+c1!", "+c2!"]
            assert "streaming list refused" in live.observer.reasons("relist")
            api.delete("v1/ConfigMap", "c1", namespace="ns")
            await live.until(lambda: live.told[-1] == "-c1", "the watch")
