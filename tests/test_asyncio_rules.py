"""What a program on one event loop must not do, looked for in the code: C3, T3, T4, T5, T6, T10.

As in test_architecture.py, each rule is tried on lines that break it before it is trusted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("informers", "reconcilers", "controller", "autobackup")
STORE_WRITERS = frozenset({"upsert", "advance"})
BLOCKING = frozenset(
    {
        ("time", "sleep"),
        ("socket", "create_connection"),
        ("os", "system"),
        ("subprocess", "run"),
        ("subprocess", "Popen"),
    }
    | {("subprocess", "check_output"), ("urllib.request", "urlopen"), ("request", "urlopen"), ("requests", "get")}
)
READING = frozenset({"read_text", "read_bytes", "getaddrinfo"})
THREADS = frozenset({"threading", "concurrent", "multiprocessing", "_thread"})

Rule = Callable[[str, ast.Module], Iterator[str]]


def cancellation_passes(path: str, tree: ast.Module) -> Iterator[str]:
    """T3: whoever catches it, by whatever name, raises it again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {name.rpartition(".")[2] for name in map(ast.unparse, _types(node))}
            raises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if caught & {"CancelledError", "BaseException", "BaseExceptionGroup"} and not raises:
                yield f"{node.lineno}: catches {', '.join(sorted(caught))} and does not raise it again"
        elif isinstance(node, ast.Call) and _called(node)[1] == "suppress":
            if {ast.unparse(arg).rpartition(".")[2] for arg in node.args} & {"CancelledError", "BaseException"}:
                yield f"{node.lineno}: suppresses cancellation"
        elif isinstance(node, ast.Call) and _called(node)[1] == "uncancel":
            yield f"{node.lineno}: takes a cancellation back"


def nobody_uses_wait_for(path: str, tree: ast.Module) -> Iterator[str]:
    """T4: in Python 3.11 it can lose a result, or a cancellation; `asyncio.timeout` cannot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "wait_for" and ast.unparse(node.value) == "asyncio":
            yield f"{node.lineno}: asyncio.wait_for"
        elif isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            yield f"{node.lineno}: imports names of asyncio, where they cannot be told from others"


def a_lease_goes_by_boottime(path: str, tree: ast.Module) -> Iterator[str]:
    """T5: time in suspend counts for whatever another process relies on."""
    name = path.rpartition("/")[2]
    if name not in ("elector.py", "fence.py", "watchdog.py"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node)[1] in ("monotonic", "time", "timestamp"):
            yield f"{node.lineno}: {ast.unparse(node.func)}"
        if isinstance(node, ast.BinOp | ast.Compare) and ".wall()" in ast.unparse(node):
            yield f"{node.lineno}: calculates with the wall clock"


def nothing_blocks_the_loop(path: str, tree: ast.Module) -> Iterator[str]:
    """T6: neither by sleeping nor by I/O whose end nobody knows, in anything that runs on the loop."""
    if path.startswith("autobackup/"):
        return  # the command runs a loop for its requests and nothing else at the same time
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in BLOCKING:
            yield f"{node.lineno}: {ast.unparse(node.func)}"
        if isinstance(node, ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call) and (_called(inner)[1] in READING or _called(inner) == ("", "open")):
                    yield f"{inner.lineno}: {ast.unparse(inner.func)} in {node.name}"


def only_the_watchdog_is_a_thread(path: str, tree: ast.Module) -> Iterator[str]:
    """T10: and what is handed to a thread is handed over by `asyncio.to_thread`, in two places."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if path != "controller/watchdog.py" and any(name.partition(".")[0] in THREADS for name in names):
            yield f"{node.lineno}: imports {', '.join(names)}"
        if isinstance(node, ast.Call) and _called(node)[1] in ("to_thread", "run_in_executor", "start_http_server"):
            licensed = path in ("controller/server.py", "informers/credentials.py") and _called(node)[1] == "to_thread"
            if not licensed:
                yield f"{node.lineno}: {ast.unparse(node.func)}"


def only_informers_change_a_store(path: str, tree: ast.Module) -> Iterator[str]:
    """C3: an answer to a write, which may be older than what a watch has brought since, must not get into a cache."""
    if path.startswith("informers/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            receiver, name = _called(node)
            if name in STORE_WRITERS or (name in ("remove", "replace", "draft") and "store" in receiver):
                yield f"{node.lineno}: {ast.unparse(node.func)}"


def only_the_command_ends_the_process(path: str, tree: ast.Module) -> Iterator[str]:
    """Whoever ends a process from within a library takes every decision from who uses it."""
    if path.startswith("autobackup/") or path == "controller/watchdog.py":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node)[1] in ("exit", "_exit", "abort", "quit", "kill"):
            if _called(node)[0] in ("", "sys", "os"):
                yield f"{node.lineno}: {ast.unparse(node.func)}"
        elif isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            yield f"{node.lineno}: raises SystemExit"


RULES: tuple[tuple[Rule, str, str], ...] = (
    (cancellation_passes, "controller/x.py", "try:\n    f()\nexcept BaseException:\n    pass"),
    (
        cancellation_passes,
        "controller/x.py",
        "try:\n    f()\nexcept (KeyError, asyncio.CancelledError) as e:\n    g(e)",
    ),
    (cancellation_passes, "controller/x.py", "with contextlib.suppress(asyncio.CancelledError):\n    await f()"),
    (cancellation_passes, "informers/x.py", "asyncio.current_task().uncancel()"),
    (nobody_uses_wait_for, "informers/x.py", "await asyncio.wait_for(f(), 3)"),
    (nobody_uses_wait_for, "informers/x.py", "from asyncio import wait_for"),
    (a_lease_goes_by_boottime, "controller/elector.py", "due = clock.monotonic() + 3"),
    (a_lease_goes_by_boottime, "controller/fence.py", "self._clock.wall() < until"),
    (nothing_blocks_the_loop, "controller/x.py", "time.sleep(1)"),
    (nothing_blocks_the_loop, "controller/x.py", "async def f():\n    path.read_text()"),
    (nothing_blocks_the_loop, "informers/x.py", "async def f():\n    socket.getaddrinfo('x', 1)"),
    (only_the_watchdog_is_a_thread, "controller/x.py", "import threading"),
    (only_the_watchdog_is_a_thread, "informers/x.py", "from concurrent.futures import ThreadPoolExecutor"),
    (only_the_watchdog_is_a_thread, "controller/x.py", "await asyncio.to_thread(f)"),
    (only_the_watchdog_is_a_thread, "controller/server.py", "loop.run_in_executor(None, f)"),
    (only_the_command_ends_the_process, "controller/x.py", "sys.exit(1)"),
    (only_the_command_ends_the_process, "informers/x.py", "raise SystemExit(1)"),
    (only_informers_change_a_store, "controller/x.py", "informer.store.upsert(row)"),
    (only_informers_change_a_store, "controller/x.py", "self._caches.repositories.store.remove(key)"),
)


@pytest.mark.parametrize(
    ("rule", "path", "text"), RULES, ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(RULES)]
)
def test_a_rule_sees_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    assert list(rule(path, ast.parse(text)))


@pytest.mark.parametrize(
    "rule",
    [
        cancellation_passes,
        nobody_uses_wait_for,
        a_lease_goes_by_boottime,
        nothing_blocks_the_loop,
        only_the_watchdog_is_a_thread,
    ],
)
def test_the_code_keeps_its_promises_to_the_event_loop(rule: Rule) -> None:
    assert list(_complaints(rule)) == []


def test_c3_nobody_but_the_informers_changes_a_store() -> None:
    assert list(_complaints(only_informers_change_a_store)) == []


def test_nobody_but_the_command_and_the_watchdog_ends_the_process() -> None:
    assert list(_complaints(only_the_command_ends_the_process)) == []


def _complaints(rule: Rule) -> Iterator[str]:
    for path, tree in _code().items():
        yield from (f"{path}:{found}" for found in rule(path, tree))


@cache
def _code() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def _types(handler: ast.ExceptHandler) -> list[ast.expr]:
    if isinstance(handler.type, ast.Tuple):
        return handler.type.elts
    return [] if handler.type is None else [handler.type]


def _called(call: ast.Call) -> tuple[str, str]:
    """Receiver and name of a call: `a.b.c()` is ("b", "c"), `c()` is ("", "c")."""
    if isinstance(call.func, ast.Name):
        return "", call.func.id
    if isinstance(call.func, ast.Attribute):
        return ast.unparse(call.func.value).rpartition(".")[2], call.func.attr
    return "", ""
