"""The proxy breaks exactly what it was told to break, and nothing else."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.faultproxy import FaultProxy
from tests.support.faults import (
    Answer,
    CutAfter,
    Delay,
    DropAfter,
    DropBefore,
    Rewrite,
    Silent,
    SilentAfter,
    Throttle,
)
from tools.controlplane import ApiClient, ApiFailure, ApiUnreachable, ControlPlane, wait_for


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(control_plane.apiserver) as proxy:
        yield proxy


@pytest.fixture
def client(control_plane: ControlPlane, proxy: FaultProxy) -> Iterator[ApiClient]:
    """A client that goes through the proxy, and gives up after two seconds."""
    ca, token = control_plane.apiserver.ca_file, control_plane.users["admin"].token
    with ApiClient(proxy.url, token=token, ca=ca, timeout=2.0) as client:
        yield client


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def read_raw(control_plane: ControlPlane, proxy: FaultProxy, target: str) -> tuple[bytes, bool]:
    """The body as far as it came, and whether it came whole."""
    context = ssl.create_default_context(cafile=str(control_plane.apiserver.ca_file))
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=2.0, context=context)
    got = b""
    try:
        token = control_plane.users["admin"].token
        connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        while piece := response.read1(1):
            got += piece
        return got, response.length in (0, None)
    except (OSError, http.client.HTTPException):
        return got, False
    finally:
        connection.close()


def test_everything_passes_without_a_rule(proxy: FaultProxy, client: ApiClient, namespace: str) -> None:
    client.create(config_map("a", namespace, text="x" * 100_000))
    client.apply(config_map("a", namespace, text="y" * 100_000))
    assert client.get("v1/ConfigMap", "a", namespace=namespace)["data"]["text"] == "y" * 100_000
    assert [each["metadata"]["name"] for each in client.list("v1/Namespace")].count(namespace) == 1
    client.delete("v1/ConfigMap", "a", namespace=namespace)
    assert client.find("v1/ConfigMap", "a", namespace=namespace) is None
    assert all(passage.fault is None for passage in proxy.passages)


def test_watches_flow_and_end_with_the_client(proxy: FaultProxy, client: ApiClient, namespace: str) -> None:
    events = client.watch("v1/ConfigMap", namespace=namespace, seconds=30)
    client.create(config_map("a", namespace))
    assert next(events)["object"]["metadata"]["name"] == "a"
    client.annotate("v1/ConfigMap", "a", {"k": "v"}, namespace=namespace)
    assert next(events)["type"] == "MODIFIED"
    assert proxy.requests(watch=True)[0].query["timeoutSeconds"] == "30"
    before = proxy.open_connections
    events.close()
    wait_for(lambda: proxy.open_connections < before, what="the proxy to notice that the client left")


def test_a_dropped_request_never_happened(proxy: FaultProxy, client: ApiClient, api: ApiClient, namespace: str) -> None:
    client.kind("v1/ConfigMap")
    proxy.rule(DropBefore(), method="POST")
    with pytest.raises(ApiUnreachable):
        client.create(config_map("a", namespace))
    assert api.find("v1/ConfigMap", "a", namespace=namespace) is None
    client.create(config_map("a", namespace))


def test_a_dropped_answer_hides_what_happened(
    proxy: FaultProxy, client: ApiClient, api: ApiClient, namespace: str
) -> None:
    client.kind("v1/ConfigMap")
    proxy.rule(DropAfter(), method="POST")
    with pytest.raises(ApiUnreachable):
        client.create(config_map("a", namespace))
    assert api.find("v1/ConfigMap", "a", namespace=namespace) is not None


@pytest.mark.parametrize("cut", [0, 1, 17, 300])
@pytest.mark.parametrize("reset", [False, True])
def test_an_answer_is_cut_at_the_byte(
    control_plane: ControlPlane, proxy: FaultProxy, namespace: str, cut: int, reset: bool
) -> None:
    target = f"/api/v1/namespaces/{namespace}"
    whole, complete = read_raw(control_plane, proxy, target)
    assert complete
    assert len(whole) > 300
    rule = proxy.rule(CutAfter(cut, reset=reset), path=target)
    got, complete = read_raw(control_plane, proxy, target)
    assert (got, complete, rule.hits) == (whole[:cut], False, 1)
    assert read_raw(control_plane, proxy, target) == (whole, True)


def test_a_watch_is_cut_in_the_middle_of_an_event(
    control_plane: ControlPlane, proxy: FaultProxy, client: ApiClient, namespace: str
) -> None:
    client.create(config_map("a", namespace, text="x" * 10_000))
    target = f"/api/v1/namespaces/{namespace}/configmaps?watch=true&timeoutSeconds=1"
    whole, complete = read_raw(control_plane, proxy, target)
    assert complete
    proxy.rule(CutAfter(5_000), watch=True)
    got, complete = read_raw(control_plane, proxy, target)
    assert not complete
    assert len(got) == 5_000
    assert got == whole[:5_000]
    with pytest.raises(ValueError, match="Unterminated string"):
        json.loads(got)


def test_rules_count_requests(proxy: FaultProxy, client: ApiClient) -> None:
    rule = proxy.rule(Answer(503, b"{}"), path="/version", skip=1, times=2)
    statuses = []
    for _ in range(4):
        try:
            client.request("GET", "/version")
            statuses.append(200)
        except ApiFailure as failure:
            statuses.append(failure.status)
    assert statuses == [200, 503, 503, 200]
    assert (rule.seen, rule.hits) == (4, 2)
    proxy.wait_for_hits(rule, hits=2)


def test_a_scripted_answer_keeps_the_connection(proxy: FaultProxy, client: ApiClient) -> None:
    body = b'{"kind":"Status","reason":"TooManyRequests","message":"later"}'
    proxy.rule(Answer(429, body, {"Content-Type": "application/json", "Retry-After": "1"}), path="/version")
    with pytest.raises(ApiFailure, match="429 TooManyRequests: later"):
        client.request("GET", "/version")
    assert client.request("GET", "/version")["gitVersion"]
    assert proxy.open_connections == 1


@pytest.mark.parametrize("fault", [Silent(), SilentAfter(10), Delay(30.0), Throttle(1)], ids=repr)
def test_a_slow_or_silent_server_runs_into_the_deadline(
    control_plane: ControlPlane, proxy: FaultProxy, fault: Silent | SilentAfter | Delay | Throttle
) -> None:
    proxy.rule(fault, path="/version")
    impatient = ApiClient(
        proxy.url, token=control_plane.users["admin"].token, ca=control_plane.apiserver.ca_file, timeout=0.3
    )
    with impatient, pytest.raises(ApiUnreachable, match="timed out"):
        impatient.request("GET", "/version")


@pytest.mark.parametrize("size", [10, 20_000])
def test_an_event_is_rewritten_whole(proxy: FaultProxy, client: ApiClient, namespace: str, size: int) -> None:
    client.create(config_map("a", namespace, text="x" * size))
    proxy.rule(Rewrite(lambda line: line.replace(b'"x' + b"x" * (size - 1), b'"changed')), watch=True)
    event = next(client.watch("v1/ConfigMap", namespace=namespace, seconds=1))
    assert event["object"]["data"] == {"text": "changed"}
    proxy.rule(Rewrite(lambda body: body.replace(b"x" * size, b"too")), method="GET")
    assert client.get("v1/ConfigMap", "a", namespace=namespace)["data"] == {"text": "too"}


def test_all_connections_can_be_cut_at_once(proxy: FaultProxy, client: ApiClient, namespace: str) -> None:
    client.create(config_map("a", namespace))
    events = client.watch("v1/ConfigMap", namespace=namespace, seconds=30)
    assert next(events)["type"] == "ADDED"
    assert proxy.cut_all() == 2
    with pytest.raises(ApiUnreachable):
        list(events)
    assert client.get("v1/ConfigMap", "a", namespace=namespace)


def test_a_paused_network_holds_everything_until_it_resumes(
    proxy: FaultProxy, client: ApiClient, api: ApiClient, namespace: str
) -> None:
    events = client.watch("v1/ConfigMap", namespace=namespace, seconds=30)
    api.create(config_map("before", namespace))
    assert next(events)["object"]["metadata"]["name"] == "before"
    proxy.pause()
    api.create(config_map("meanwhile", namespace))
    with pytest.raises(ApiUnreachable, match="timed out"):
        client.request("GET", "/version")
    proxy.resume()
    assert next(events)["object"]["metadata"]["name"] == "meanwhile"
    events.close()


def test_a_dead_server_looks_dead_through_the_proxy(control_plane: ControlPlane) -> None:
    with ControlPlane() as plane, FaultProxy(plane.apiserver) as proxy:
        token = plane.users["admin"].token
        with ApiClient(proxy.url, token=token, ca=plane.apiserver.ca_file, timeout=5.0) as client:
            assert client.request("GET", "/version")
            plane.kill9()
            with pytest.raises(ApiUnreachable):
                client.request("GET", "/version")
            plane.restart()
            assert client.request("GET", "/version")
