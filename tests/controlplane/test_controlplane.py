"""The control plane that all other tests stand on does what it promises."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import create_namespace, grant, remove_namespace, unique_name
from tests.support.link import Link
from tools.controlplane import (
    ApiClient,
    ApiFailure,
    ApiUnreachable,
    AuditLog,
    ControlPlane,
    ControlPlaneError,
    NotInTime,
    User,
    wait_for,
)

ROOT = Path(__file__).parents[2]


def config_map(name: str, namespace: str, **data: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.fixture(scope="module")
def breakable() -> Iterator[ControlPlane]:
    """A control plane of this module's own, to be stopped and killed."""
    with ControlPlane(users={"carol": User("carol", ("developers",))}) as plane:
        yield plane


# -- the shared one -----------------------------------------------------------------------------------------


def test_the_server_is_a_real_one(control_plane: ControlPlane, api: ApiClient) -> None:
    assert api.request("GET", "/version")["gitVersion"].startswith("v1.")
    assert api.request("GET", "/readyz") == "ok"
    assert control_plane.url.startswith("https://127.0.0.1:")


def test_tls_is_verified(control_plane: ControlPlane, tmp_path: Path) -> None:
    foreign = ApiClient(control_plane.url, token="irrelevant", ca=Path(ssl.get_default_verify_paths().cafile or ""))
    with foreign, pytest.raises(ApiUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        foreign.request("GET", "/version")


def test_users_are_known_by_token_and_rbac_is_enforced(control_plane: ControlPlane, namespace: str) -> None:
    alice = control_plane.client("alice")
    with pytest.raises(ApiFailure, match="cannot list resource") as refused:
        alice.list("v1/Secret", namespace=namespace)
    assert refused.value.status == 403
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    grant(control_plane.client(), control_plane.users["alice"], [rule], namespace=namespace)
    assert wait_for(lambda: allowed(alice, namespace), what="the grant to count")
    with pytest.raises(ApiFailure, match="cannot list resource"):
        alice.list("v1/Secret", namespace="default")


def allowed(client: ApiClient, namespace: str) -> bool:
    try:
        client.list("v1/Secret", namespace=namespace)
    except ApiFailure:
        return False
    return True


def test_an_unknown_token_is_refused(control_plane: ControlPlane) -> None:
    stranger = control_plane.client(User("stranger"))
    with pytest.raises(ApiFailure) as refused:
        stranger.get("v1/Namespace", "default")
    assert refused.value.status == 401


def test_the_operator_looks_like_its_service_account(control_plane: ControlPlane) -> None:
    review = control_plane.client("operator").create(
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    )
    who = review["status"]["userInfo"]
    assert who["username"] == "system:serviceaccount:autobackup-system:autobackup"
    assert "system:serviceaccounts:autobackup-system" in who["groups"]


def test_kubectl_works_with_the_kubeconfig(control_plane: ControlPlane, kubeconfig: Path) -> None:
    assert kubeconfig.stat().st_mode & 0o077 == 0
    kubectl = [str(control_plane.program("kubectl")), "--kubeconfig", str(kubeconfig)]
    answer = subprocess.run(
        [*kubectl, "get", "namespace", "default", "-o", "name"], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "namespace/default\n"


def test_a_namespace_is_removed_with_its_content_and_finalizers(api: ApiClient) -> None:
    name = unique_name("doomed")
    create_namespace(api, name)
    held = config_map("held", name)
    held["metadata"] = {"name": "held", "namespace": name, "finalizers": ["example.com/hold"]}
    api.create(held)
    remove_namespace(api, name)
    assert api.find("v1/Namespace", name) is None
    assert api.find("v1/ConfigMap", "held", namespace=name) is None


def test_the_audit_log_tells_who_wrote_what(api: ApiClient, audit_log: AuditLog, namespace: str) -> None:
    before = audit_log.mark()
    api.create(config_map("a", namespace))
    api.apply(config_map("a", namespace, x="1"), dry_run=True)
    api.annotate("v1/ConfigMap", "a", {"k": "v"}, namespace=namespace)
    api.get("v1/ConfigMap", "a", namespace=namespace)
    with pytest.raises(ApiFailure):
        api.create(config_map("a", namespace))
    writes = audit_log.writes(before, namespace=namespace)
    assert [(event.verb, event.resource, event.name, event.status) for event in writes] == [
        ("create", "configmaps", "a", 201),
        ("patch", "configmaps", "a", 200),
        ("create", "configmaps", "a", 409),
    ]
    assert {event.user for event in writes} == {"admin"}
    assert audit_log.count(before, user="admin")["admin", "get", "configmaps"] == 1
    assert audit_log.writes(audit_log.mark()) == []


def test_a_watch_is_in_the_audit_log_while_it_runs(api: ApiClient, audit_log: AuditLog, namespace: str) -> None:
    before = audit_log.mark()
    events = api.watch("v1/ConfigMap", namespace=namespace, seconds=30)
    api.create(config_map("seen", namespace))
    assert next(events)["object"]["metadata"]["name"] == "seen"
    assert len(audit_log.requests(before, namespace=namespace, verbs={"watch"})) == 1
    events.close()


def test_apply_reports_a_conflict_with_another_manager(api: ApiClient, namespace: str) -> None:
    api.apply(config_map("shared", namespace, x="1"), manager="one")
    with pytest.raises(ApiFailure, match='conflict with "one"') as refused:
        api.apply(config_map("shared", namespace, x="2"), manager="two", force=False)
    assert refused.value.reason == "Conflict"
    assert api.apply(config_map("shared", namespace, x="2"), manager="two")["data"] == {"x": "2"}


def test_waiting_in_vain_says_what_was_seen_last() -> None:
    phases = iter(["new", *["half"] * 1000])

    def full() -> bool:
        phase = next(phases)
        assert phase == "full", f"the moon is {phase}"
        return True

    with pytest.raises(NotInTime, match=r"(?s)waited 0\.1 s for a full moon .*the moon is half") as failure:
        wait_for(full, 0.1, what="a full moon", state=lambda: {"night": 7})
    assert '"night": 7' in str(failure.value)


# -- breaking one -------------------------------------------------------------------------------------------


@pytest.mark.cluster
@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_data_certificate_and_port_survive_a_restart(breakable: ControlPlane, end: str) -> None:
    admin = breakable.client()
    admin.apply(config_map("kept", "default", end=end))
    url, certificate = breakable.url, breakable.apiserver.ca_file.read_bytes()
    getattr(breakable, end)()
    with pytest.raises(ApiUnreachable):
        admin.request("GET", "/version")
    breakable.restart()
    assert admin.get("v1/ConfigMap", "kept", namespace="default")["data"] == {"end": end}
    assert (breakable.url, breakable.apiserver.ca_file.read_bytes()) == (url, certificate)


@pytest.mark.cluster
def test_a_client_notices_that_its_idle_connection_died(breakable: ControlPlane) -> None:
    admin = breakable.client()
    admin.apply(config_map("idle", "default"))
    breakable.kill9()
    breakable.restart()
    admin.apply(config_map("idle", "default", again="yes"))


@pytest.mark.cluster
def test_flags_can_be_changed_by_a_restart(breakable: ControlPlane) -> None:
    breakable.restart(flags={"feature-gates": "WatchList=false"})
    assert "--feature-gates=WatchList=false" in breakable.apiserver.process.argv
    breakable.restart(flags={})
    assert "--feature-gates=WatchList=false" not in breakable.apiserver.process.argv


@pytest.mark.cluster
def test_a_stalled_etcd_stalls_writes_until_it_resumes(breakable: ControlPlane) -> None:
    impatient = breakable.apiserver.client(timeout=1.0)
    impatient.apply(config_map("stalled", "default"))
    breakable.stall_etcd()
    try:
        with pytest.raises(ApiUnreachable, match="timed out"):
            impatient.apply(config_map("stalled", "default", x="1"))
    finally:
        breakable.resume_etcd()
    patient = breakable.client()
    assert patient.apply(config_map("stalled", "default", x="2"))["data"] == {"x": "2"}


@pytest.mark.cluster
def test_a_restarted_server_has_forgotten_old_events(breakable: ControlPlane) -> None:
    admin = breakable.client()
    old = admin.apply(config_map("old", "default", x="1"))["metadata"]["resourceVersion"]
    admin.apply(config_map("old", "default", x="2"))
    breakable.restart()
    event = next(admin.watch("v1/ConfigMap", namespace="default", resource_version=old, seconds=5))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


@pytest.mark.cluster
def test_a_continue_token_expires_with_compaction_and_restart(breakable: ControlPlane) -> None:
    admin = breakable.client()
    for name in ("page-1", "page-2", "page-3"):
        admin.apply(config_map(name, "default"))
    path, page = "/api/v1/namespaces/default/configmaps", {"limit": "1"}
    token = admin.request("GET", path, query=page)["metadata"]["continue"]
    assert admin.request("GET", path, query={**page, "continue": token})["items"]
    admin.apply(config_map("page-1", "default", x="1"))
    assert breakable.compact_etcd() > 1
    breakable.kill9()
    breakable.restart()
    with pytest.raises(ApiFailure) as refused:
        admin.request("GET", path, query={**page, "continue": token})
    assert (refused.value.status, refused.value.reason) == (410, "Expired")


@pytest.mark.cluster
def test_etcd_goes_back_to_an_older_copy(breakable: ControlPlane) -> None:
    admin = breakable.client()
    admin.apply(config_map("then", "default", x="1"))
    copied = breakable.etcd.copy()
    newest = admin.apply(config_map("then", "default", x="2"))["metadata"]["resourceVersion"]
    admin.apply(config_map("later", "default"))
    breakable.restore_etcd(copied)
    assert admin.find("v1/ConfigMap", "later", namespace="default") is None
    found = admin.get("v1/ConfigMap", "then", namespace="default")
    assert found["data"] == {"x": "1"}
    assert int(found["metadata"]["resourceVersion"]) < int(newest)
    admin.apply(config_map("then", "default", x="3"))


@pytest.mark.cluster
def test_another_certificate_is_not_the_one_that_was_trusted(breakable: ControlPlane, tmp_path: Path) -> None:
    old = tmp_path / "old.crt"
    old.write_bytes(breakable.apiserver.ca_file.read_bytes())
    breakable.apiserver.stop()
    breakable.apiserver.renew_certificate()
    breakable.apiserver.start()
    assert breakable.client().get("v1/Namespace", "default")
    admin = breakable.users["admin"]
    with (
        pytest.raises(ApiUnreachable, match="CERTIFICATE_VERIFY"),
        ApiClient(breakable.url, token=admin.token, ca=old) as trusting,
    ):
        trusting.request("GET", "/version")


@pytest.mark.cluster
def test_a_server_whose_way_to_etcd_is_held_up_falls_behind(breakable: ControlPlane) -> None:
    with Link(breakable.etcd.url) as link:
        second = breakable.second_apiserver(etcd_url=link.url)
        late = second.client("admin")
        breakable.client().apply(config_map("behind", "default", x="1"))
        path = "/api/v1/namespaces/default/configmaps/behind"
        newer = {"resourceVersion": "0"}
        wait_for(lambda: late.request("GET", path, query=newer), 10, what="the second server to know it")
        link.pause()
        breakable.client().apply(config_map("behind", "default", x="2"))
        assert late.request("GET", path, query=newer)["data"] == {"x": "1"}
        link.resume()
        wait_for(lambda: late.request("GET", path, query=newer)["data"] == {"x": "2"}, 30, what="it to catch up")
        second.kill9()


@pytest.mark.cluster
def test_two_api_servers_serve_the_same_objects(breakable: ControlPlane) -> None:
    second = breakable.second_apiserver()
    breakable.client().apply(config_map("both", "default", from_="first"))
    assert second.client("admin").get("v1/ConfigMap", "both", namespace="default")["data"] == {"from_": "first"}
    assert second.url != breakable.url
    second.kill9()
    assert breakable.client().get("v1/ConfigMap", "both", namespace="default")


@pytest.mark.cluster
def test_controllers_run_on_demand(breakable: ControlPlane) -> None:
    admin = breakable.client()
    owner = admin.apply(config_map("owner", "default"))
    owned = config_map("owned", "default")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned["metadata"] = {"name": "owned", "namespace": "default", "ownerReferences": [reference]}
    admin.apply(owned)
    breakable.start_controllers()
    try:
        admin.delete("v1/ConfigMap", "owner", namespace="default")
        wait_for(
            lambda: admin.find("v1/ConfigMap", "owned", namespace="default") is None,
            30,
            what="garbage collection of the owned object",
        )
    finally:
        breakable.stop_controllers()


@pytest.mark.cluster
def test_users_are_fixed_once_the_server_runs(breakable: ControlPlane) -> None:
    assert breakable.client("carol").request("GET", "/version")
    with pytest.raises(ControlPlaneError, match="before start"):
        breakable.add_user("dave")


# -- what it leaves behind ----------------------------------------------------------------------------------


@pytest.mark.cluster
def test_a_killed_owner_leaves_no_process_and_no_folder() -> None:
    script = (
        "import sys, time\n"
        "from tools.controlplane import ControlPlane\n"
        "plane = ControlPlane(); plane.start()\n"
        "print(plane.folder, plane.etcd.process.pid, plane.apiserver.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(is_running(int(pid)) for pid in pids), what=f"processes {pids} to end")
    with ControlPlane():
        assert not Path(folder).exists(), "the next control plane removes what a killed one left"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.cluster
def test_a_control_plane_started_in_a_thread_outlives_the_thread() -> None:
    plane = ControlPlane()
    thread = threading.Thread(target=plane.start)
    thread.start()
    thread.join()
    try:
        assert plane.client().request("GET", "/readyz") == "ok"
    finally:
        plane.close()


@pytest.mark.cluster
def test_flags_that_the_server_refuses_are_reported_with_its_words() -> None:
    plane = ControlPlane(apiserver_flags={"no-such-flag": "1"})
    with pytest.raises(ControlPlaneError, match="unknown flag: --no-such-flag"):
        plane.start()
    with pytest.raises(ControlPlaneError, match="was not started"):
        _ = plane.folder
