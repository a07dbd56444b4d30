"""The small parts: names, paths, versions, errors, backoff, proxies, the policy table, and the rules of the house."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import informers
from informers import (
    ApiError,
    BadRequest,
    Conflict,
    DecodeError,
    Expired,
    Forbidden,
    IdleTimeout,
    Invalid,
    NotFound,
    ObjectKey,
    Projection,
    Resource,
    ResourceVersionTooLarge,
    Response,
    Rewound,
    ServerError,
    TooManyRequests,
    TransportError,
    Unauthorized,
    error_from_response,
    parse_revision,
    project_meta,
)
from informers.backoff import Backoff
from informers.proxy import proxy_for
from informers.recovery import Attempt, Restart, recover
from informers.revision import is_older
from tests.informers.rig import DEPLOYMENTS, NODES
from tests.support.virtualtime import VirtualClock, run_virtual

PACKAGE = Path(informers.__file__).parent


# ---- resource.py


def test_paths() -> None:
    pods = Resource("", "v1", "pods", "Pod")
    assert pods.collection_path() == "/api/v1/pods"
    assert pods.collection_path("ns") == "/api/v1/namespaces/ns/pods"
    assert DEPLOYMENTS.object_path(ObjectKey("ns", "d"), "status") == "/apis/apps/v1/namespaces/ns/deployments/d/status"
    assert NODES.object_path(ObjectKey("", "n")) == "/api/v1/nodes/n"
    assert NODES.object_path(ObjectKey("", "system:x")) == "/api/v1/nodes/system:x"
    assert (DEPLOYMENTS.api_version, pods.api_version) == ("apps/v1", "v1")
    assert (str(DEPLOYMENTS), str(pods)) == ("deployments.apps/v1", "pods/v1")
    assert str(ObjectKey("ns", "d")) == "ns/d"
    assert str(ObjectKey("", "n")) == "n"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a%2fb"])
def test_a_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match=r"API path|namespaced"):
        DEPLOYMENTS.object_path(ObjectKey("ns", name))
    with pytest.raises(ValueError, match=r"API path|namespaced"):
        DEPLOYMENTS.object_path(ObjectKey(name, "d"))


def test_strange_characters_are_encoded() -> None:
    assert NODES.object_path(ObjectKey("", "a?b#c d\n")).endswith("/a%3Fb%23c%20d%0A")


def test_a_cluster_scoped_resource_has_no_namespaces() -> None:
    with pytest.raises(ValueError, match="cluster-scoped"):
        NODES.object_path(ObjectKey("ns", "n"))


# ---- revision.py


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("0", 0),
        ("", 0),
        ("abc", 0),
        ("-1", 0),
        ("1.5", 0),
        ("١٢", 0),
        (None, 0),
        (12, 0),
        ("9" * 30, int("9" * 30)),
    ],
)
def test_parse_revision(text: object, number: int) -> None:
    assert parse_revision(text) == number


def test_unknown_versions_are_never_older() -> None:
    assert is_older(1, 2)
    assert not is_older(2, 2)
    assert not is_older(0, 2)
    assert not is_older(5, 0)


# ---- projection.py


@pytest.mark.parametrize("marker", [b"", b'a"b', b"a\\b", "ä".encode(), b"<x>"])
def test_a_marker_must_be_encoded_the_same_everywhere(marker: bytes) -> None:
    with pytest.raises(ValueError, match="encoded the same everywhere"):
        Projection(project_meta, metadata_only=True, marker=marker)


def test_a_marker_needs_metadata_only() -> None:
    with pytest.raises(ValueError, match="needs metadata_only"):
        Projection(project_meta, metadata_only=False, marker=b"x")


def test_meta_rows() -> None:
    document = {"metadata": {"name": "n", "uid": "u", "resourceVersion": "7"}}
    row = project_meta(document)
    assert (row.namespace, row.name, row.uid, row.resource_version) == ("", "n", "u", 7)
    assert row == project_meta({"metadata": {**document["metadata"], "resourceVersion": "8"}})


# ---- errors.py


def status(code: int, reason: str = "", **details: Any) -> bytes:
    body = {"kind": "Status", "code": code, "reason": reason, "message": "m", "details": details}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (400, b"", BadRequest),
        (401, status(401, "Unauthorized"), Unauthorized),
        (403, status(403, "Forbidden"), Forbidden),
        (404, b"404 page not found\n", NotFound),
        (409, status(409, "AlreadyExists"), Conflict),
        (410, status(410, "Expired"), Expired),
        (410, b"", Expired),
        (400, status(400, "Expired"), Expired),
        (422, status(422, "Invalid"), Invalid),
        (429, b"<html>", TooManyRequests),
        (500, b"\xff\xfe", ServerError),
        (503, b"", ServerError),
        (504, status(504, "Timeout", causes=[{"reason": "ResourceVersionTooLarge"}]), ResourceVersionTooLarge),
        (504, status(504, "Timeout"), ServerError),
        (418, b"[]", ApiError),
        (302, b"", ApiError),
    ],
)
def test_the_class_of_an_error(code: int, body: bytes, kind: type[ApiError]) -> None:
    error = error_from_response("GET /x", code, {}, body)
    assert type(error) is kind
    assert error.status == code
    assert str(error).startswith("GET /x: ")


def test_an_error_says_what_was_attempted_and_what_the_server_said() -> None:
    error = error_from_response("POST /x", 403, {}, status(403, "Forbidden"))
    assert str(error) == (
        "POST /x: 403 Forbidden: m (grant this verb on this resource to the account in a Role or ClusterRole)"
    )
    assert str(TransportError("GET /y", reason="Timeout", message="no answer in time")) == (
        "GET /y: Timeout: no answer in time"
    )


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"retry-after": "7"}, {}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"retry-after": "7"}, {"retryAfterSeconds": 3}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({"retry-after": "-1"}, {"retryAfterSeconds": -1}, None),
        ({}, {"retryAfterSeconds": "soon"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], details: dict[str, Any], seconds: float | None) -> None:
    assert error_from_response("GET /x", 429, headers, status(429, **details)).retry_after == seconds


def test_a_malformed_status_is_no_second_failure() -> None:
    body = json.dumps({"kind": "Status", "reason": 5, "message": [], "details": "x", "code": "y"}).encode()
    assert type(error_from_response("GET /x", 404, {}, body)) is NotFound


def test_a_huge_message_is_cut() -> None:
    assert len(str(error_from_response("GET /x", 500, {}, b"x" * 100_000))) < 1200


def test_a_body_that_is_no_json() -> None:
    with pytest.raises(DecodeError, match="GET /x: 200 BadBody"):
        Response(200, {}, b"<html>", "GET /x").json()


# ---- backoff.py


def test_r18_the_sequence_of_delays() -> None:
    async def main() -> None:
        clock = VirtualClock()
        backoff = Backoff(clock)
        for expected in (0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0):
            delay = backoff.next()
            assert expected <= delay <= 2 * expected
            await clock.sleep(delay)
        await clock.sleep(3600)
        assert backoff.next() >= 30
        await clock.sleep(60)
        backoff.begin_anew()
        assert backoff.next() <= 1.6

    run_virtual(main())


def test_r18_however_often_it_begins_anew_there_are_seven_tries_a_minute() -> None:
    async def main() -> None:
        clock = VirtualClock()
        backoff = Backoff(clock)
        tries = []
        for _ in range(100):
            await clock.sleep(backoff.next())
            tries.append(clock.monotonic())
            backoff.begin_anew()
        assert tries[6] < 7 * 1.6
        assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(tries, tries[7:], strict=False))

    run_virtual(main())


def test_r18_a_floor_lengthens_and_never_shortens() -> None:
    async def main() -> None:
        assert 10 <= Backoff(VirtualClock()).next(floor=10) <= 10.8
        assert Backoff(VirtualClock()).next(floor=0.1) >= 0.8
        slow = Backoff(VirtualClock())
        assert 30 <= slow.next(slow=True) <= 60
        assert 0.8 <= slow.next() <= 1.6, "the sequence is where it was"

    run_virtual(main())


# ---- recovery.py: the rules that tests of the reflector reach only one at a time

W, S, L = Attempt.WATCH, Attempt.STREAMING_LIST, Attempt.LIST


@pytest.mark.parametrize(
    ("error", "attempt", "consistent", "expected"),
    [
        (Expired("x"), W, False, Restart.RELIST),
        (Expired("x"), S, False, Restart.RELIST_CONSISTENT),
        (Expired("x"), L, True, Restart.RELIST_CONSISTENT),
        (ResourceVersionTooLarge("x", status=504), W, False, Restart.RELIST_CONSISTENT),
        (ResourceVersionTooLarge("x", status=504), S, False, Restart.RELIST_CONSISTENT),
        (Rewound("x"), W, False, Restart.RELIST_CONSISTENT),
        (ServerError("x", status=500, reason="StorageReadError"), W, False, Restart.RELIST_CONSISTENT),
        (ServerError("x", status=500, reason="StorageReadError"), S, True, Restart.RETRY),
        (BadRequest("x", status=400), S, True, Restart.PLAIN_LIST),
        (Invalid("x", status=422), S, True, Restart.PLAIN_LIST),
        (ApiError("x", status=406), S, True, Restart.PLAIN_LIST),
        (BadRequest("x", status=400), L, True, Restart.RETRY),
        (BadRequest("x", status=400), W, False, Restart.RETRY),
        (Forbidden("x", status=403), W, False, Restart.RETRY),
        (Unauthorized("x", status=401), S, True, Restart.RETRY),
        (TooManyRequests("x", status=429), W, False, Restart.RETRY),
        (TransportError("x"), W, False, Restart.RETRY),
        (DecodeError("x"), L, True, Restart.RETRY),
        (ValueError("x"), W, False, Restart.RELIST_CONSISTENT),
    ],
)
def test_the_policy(error: Exception, attempt: Attempt, consistent: bool, expected: Restart) -> None:
    recovery = recover(error, attempt, optional=False, consistent=consistent, silences=0)
    assert recovery.restart is expected


def test_the_policy_for_silence_and_for_missing_kinds() -> None:
    silent = IdleTimeout("x")
    assert recover(silent, W, optional=False, consistent=False, silences=1).restart is Restart.RETRY
    assert recover(silent, W, optional=False, consistent=False, silences=2).restart is Restart.RELIST_CONSISTENT
    missing = NotFound("x", status=404)
    assert recover(missing, S, optional=True, consistent=True, silences=0).restart is Restart.WAIT
    required = recover(missing, S, optional=False, consistent=True, silences=0)
    assert (required.restart, required.slow) == (Restart.RETRY, False)


# ---- proxy.py

HTTPS = {"HTTPS_PROXY": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        ("https://api.example.com:6443", "", True),
        ("https://api.example.com:6443", "example.com", False),
        ("https://api.example.com:6443", ".example.com", False),
        ("https://example.com", ".example.com", True),
        ("https://notexample.com", "example.com", True),
        ("https://api.example.com:6443", "example.com:443", True),
        ("https://api.example.com:6443", " x , EXAMPLE.com:6443 ", False),
        ("https://api.example.com", "*", False),
        ("https://api.example.com", "*.example.com", False),
        ("https://10.96.0.1:443", "10.0.0.0/8", False),
        ("https://10.96.0.1:443", "10.96.0.1", False),
        ("https://10.96.0.1:443", "10.96.0.2,nonsense/99", True),
        ("https://[fd00::1]:443", "fd00::/8", False),
        ("https://[fd00::1]:443", "[fd00::1]:443", False),
        ("https://[fd00::1]:443", "fd00::1", False),
        ("https://[fd00::1]:443", "[fd00::1]:444", True),
        ("https://[::1]:443", "", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost:6443", "", False),
    ],
)
def test_proxies(url: str, no_proxy: str, proxied: bool) -> None:
    found = proxy_for(url, {**HTTPS, "NO_PROXY": no_proxy})
    assert found == ("http://proxy:3128" if proxied else None)


def test_a_proxy_without_scheme_and_in_lower_case() -> None:
    assert proxy_for("https://x", {"https_proxy": "proxy:1"}) == "http://proxy:1"
    assert proxy_for("https://x", {"HTTP_PROXY": "proxy:1"}) is None


# ---- the package as a whole


def test_what_is_exported_exists_and_is_all_there_is() -> None:
    assert informers.__all__ == sorted(informers.__all__)
    for name in informers.__all__:
        assert getattr(informers, name) is not None
    public = {
        name
        for name, value in vars(informers).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("informers.")
    }
    assert public <= set(informers.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        informers.nothing  # noqa: B018


def test_t1_no_await_between_the_socket_and_the_handlers() -> None:
    for name in ("store", "index", "draft", "intake", "replacement", "frames", "projection", "recovery"):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        waits = [node for node in ast.walk(tree) if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor)]
        assert waits == [], f"{name}.py is synchronous"
    tree = ast.parse((PACKAGE / "shared.py").read_text(encoding="utf-8"))
    waiting = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    assert waiting == {"wait_synced", "run", "_run", "_resync", "_join"}


def test_t2_only_task_groups_start_tasks() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                starts = node.func.attr in ("create_task", "ensure_future", "run_until_complete")
                by_group = isinstance(node.func.value, ast.Name) and node.func.value.id == "group"
                assert not starts or by_group, f"{path.name}:{node.lineno}"


def test_r26_only_the_clock_reads_time_and_chance() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module if isinstance(node, ast.ImportFrom) else None
            forbidden = {"time", "random", "secrets", "datetime"} & {module, *names}
            assert path.name == "clock.py" or not forbidden, f"{path.name} imports {forbidden}"
            if isinstance(node, ast.Attribute) and node.attr == "sleep" and isinstance(node.value, ast.Name):
                assert path.name == "clock.py" or node.value.id != "asyncio", path.name


def test_what_may_be_imported_where() -> None:
    third_party = {"http.py": {"aiohttp", "yarl"}, "noanswer.py": {"aiohttp"}, "credentials.py": {"kubernetes", "yaml"}}
    for path in PACKAGE.glob("*.py"):
        allowed = {"informers", *sys.stdlib_module_names, *third_party.get(path.name, ())}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert found <= allowed, f"{path.name}:{node.lineno}"


def test_nothing_here_knows_what_it_is_used_for() -> None:
    for path in [*PACKAGE.glob("*.py"), PACKAGE / "README.md"]:
        text = path.read_text(encoding="utf-8").lower()
        words = [word for word in ("backup", "stash", "restic", "blueprint") if word in text]
        assert words == [], path.name
