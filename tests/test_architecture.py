"""The shape of the code, enforced: who may import whom, who may write, who may read time, how modules look.

Each rule is a function from a parsed module to complaints. A rule is tried on a line that breaks it before it is
trusted on the code base, so a rule that has stopped to see anything fails.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("informers", "reconcilers", "controller", "autobackup", "mover")
CODE = (*LAYERS, "tools", "bench")
LONGEST_MODULE = 400
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

SEEN_BY_RECONCILERS = frozenset(f"informers.{name}" for name in ("resource", "projection", "revision", "delta"))
EFFECTS = frozenset(
    {"asyncio", "concurrent", "ctypes", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib", "queue"}
    | {"random", "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile"}
    | {"threading", "time", "uuid", "warnings"}
)
TIME_AND_CHANCE = frozenset({"time", "random", "secrets", "uuid"})
FENCED = frozenset({"Applier", "EventRecorder", "StorageSecrets", "SecretCopies"})
REVIEWERS = frozenset({"controller/selfreview.py", "controller/access.py", "autobackup/rights.py"})
REVIEWS = tuple(f"/{kind}reviews'" for kind in ("selfsubjectaccess", "subjectaccess", "token"))
WRITERS = frozenset(f"controller/{name}.py" for name in ("applier", "elector", "recorder")) | {"autobackup/adopt.py"}


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: its path from the root of the project, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        return self.path.split("/")[0]

    @classmethod
    def of(cls, path: str, text: str) -> Module:
        return cls(path, text, ast.parse(text))


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: the module, as far as it can be told, where, and whether only when a function runs."""

    name: str
    line: int
    lazy: bool

    @property
    def top(self) -> str:
        return self.name.split(".")[0]


Rule = Callable[[Module], Iterator[str]]


def modules() -> list[Module]:
    return [
        Module.of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for package in (*CODE, "tests")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def imports(module: Module) -> Iterator[Import]:
    lazy = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in lazy)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                known = source in LAYERS and not (ROOT / source).joinpath(f"{alias.name}.py").exists()
                yield Import(source if known else whole, node.lineno, id(node) in lazy)


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def _called(call: ast.Call) -> tuple[str, str]:
    """Receiver and name of a call: `a.b.c()` is ("b", "c"), `c()` is ("", "c")."""
    if isinstance(call.func, ast.Name):
        return "", call.func.id
    if isinstance(call.func, ast.Attribute):
        value = call.func.value.func if isinstance(call.func.value, ast.Call) else call.func.value
        receiver = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else "?"
        return receiver, call.func.attr
    return "?", "?"


def _is_stdlib(name: str) -> bool:
    return name in sys.stdlib_module_names


# the rules


def informers_know_nothing_above_them(module: Module) -> Iterator[str]:
    """The standard library and aiohttp (yarl is its URL); what reads a kubeconfig is loaded when there is one."""
    if module.layer != "informers":
        return
    for found in imports(module):
        if found.top in ("kubernetes", "yaml"):
            if module.path != "informers/credentials.py" or not found.lazy:
                yield f"{found.line}: {found.top} is imported lazily, in informers/credentials.py alone"
        elif found.top not in ("informers", "aiohttp", "yarl") and not _is_stdlib(found.top):
            yield f"{found.line}: imports {found.name}"


def reconcilers_are_pure(module: Module) -> Iterator[str]:
    if module.layer != "reconcilers":
        return
    for found in imports(module):
        if found.top == "informers":
            if not any(found.name == seen or found.name.startswith(f"{seen}.") for seen in SEEN_BY_RECONCILERS):
                yield f"{found.line}: takes {found.name} of informers, which is more than types"
        elif found.top in EFFECTS or (found.top not in ("reconcilers", "cronsim") and not _is_stdlib(found.top)):
            yield f"{found.line}: imports {found.name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"{node.lineno}: is asynchronous"
    for call in calls(module):
        if _called(call) in (("", "open"), ("", "input"), ("", "eval"), ("", "exec")):
            yield f"{call.lineno}: calls {_called(call)[1]}"


def the_controller_stands_below_the_command(module: Module) -> Iterator[str]:
    forbidden = {
        "informers": {"reconcilers", "controller", "autobackup", "mover"},
        "reconcilers": {"controller", "autobackup", "mover"},
        "controller": {"autobackup", "mover", "kubernetes"},
        "autobackup": {"mover", "kubernetes"},
        "mover": {"informers", "reconcilers", "controller", "autobackup", "kubernetes"},
    }.get(module.layer, set())
    if module.layer in LAYERS:
        forbidden = forbidden | {"tools", "bench", "tests"}
    for found in imports(module):
        if found.top in forbidden:
            yield f"{found.line}: {module.layer} imports {found.name}"


def only_the_clock_reads_time_and_chance(module: Module) -> Iterator[str]:
    if module.layer not in LAYERS or module.path == "informers/clock.py":
        return
    for found in imports(module):
        if found.top in TIME_AND_CHANCE:
            yield f"{found.line}: imports {found.name}"
    # The timers of asyncio are set in the loop's own time, whatever that is; a virtual loop has a virtual one.
    timers = ("reschedule", "timeout_at", "call_at")
    for_timers = {id(arg) for call in calls(module) if _called(call)[1] in timers for arg in call.args}
    for call in calls(module):
        receiver, name = _called(call)
        if (
            (receiver, name) == ("os", "urandom")
            or (name in ("now", "utcnow", "today") and receiver in ("datetime", "date"))
            or ("loop" in receiver and name == "time" and id(call) not in for_timers)
        ):
            yield f"{call.lineno}: calls {receiver}.{name}"


def only_writers_write(module: Module) -> Iterator[str]:
    """Requests with a writing verb, or with a verb that cannot be told, are made by the writers alone.

    One of them is a verb of the command, which writes with the rights of its user and only when it is told to. Allowed
    besides: the transport itself, and the fence in front of it; reviews (whose token is this, who may do what),
    which are a POST that stores nothing; the dry run of the command; its questions to the debug pages of an operator,
    which go to the operator's own address and not to the API server.
    """
    if module.layer not in LAYERS or module.path in {*WRITERS, "informers/http.py", "controller/fence.py"}:
        return
    if module.path == "autobackup/debug.py" and "/debug/" in module.text and "/api" not in module.text:
        return
    dry = module.path == "autobackup/cluster.py" and '"dryRun": "All"' in module.text
    review = module.path in REVIEWERS
    for call in calls(module):
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        verbs = {arg.value for arg in given if isinstance(arg, ast.Constant)} & WRITES
        if (dry and verbs <= {"PATCH"}) or (
            review and verbs == {"POST"} and len(call.args) > 1 and _names_reviews(call.args[1])
        ):
            continue
        if verbs:
            yield f"{call.lineno}: sends {', '.join(sorted(map(str, verbs)))}"
        elif _called(call)[1] == "request" and not (call.args and isinstance(call.args[0], ast.Constant)):
            yield f"{call.lineno}: sends a request whose verb cannot be told"
    for node in ast.walk(module.tree):
        assigned = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if review and any(map(_names_reviews, assigned)) and not ast.unparse(node).endswith(REVIEWS):
            yield "what is named reviews is no review"


def _names_reviews(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.endswith("_REVIEWS")


def writers_write_through_the_fence(module: Module) -> Iterator[str]:
    """Whoever writes is given the fenced transport; only the elector, which keeps the fence, has the bare one (L6)."""
    if module.layer != "controller":
        return
    for call in calls(module):
        if _called(call)[1] in FENCED and not (call.args and _names(call.args[0], "fenced")):
            yield f"{call.lineno}: {_called(call)[1]} is not given the fenced transport"


def _names(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def errors_are_caught_by_name(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{node.lineno}: bare except"


def only_the_command_prints(module: Module) -> Iterator[str]:
    if module.layer in ("informers", "reconcilers", "controller"):
        for call in calls(module):
            if _called(call) == ("", "print"):
                yield f"{call.lineno}: prints"


def tasks_have_a_group(module: Module) -> Iterator[str]:
    """A task outside a TaskGroup is one whose failure nobody sees."""
    if module.layer == "tests":
        return
    for call in calls(module):
        receiver, name = _called(call)
        loose = name == "create_task" and (receiver in ("", "asyncio") or "loop" in receiver)
        if loose or name in ("ensure_future", "run_coroutine_threadsafe"):
            yield f"{call.lineno}: {receiver}.{name}"


def modules_say_what_they_are(module: Module) -> Iterator[str]:
    if module.text.strip() and not ast.get_docstring(module.tree):
        yield "1: no docstring"


def modules_are_short(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > LONGEST_MODULE and module.layer != "tests":
        yield f"{lines}: is longer than {LONGEST_MODULE} lines"


def modules_are_named_for_what_they_hold(module: Module) -> Iterator[str]:
    for part in module.path.removesuffix(".py").split("/"):
        if part.strip("_") in ("util", "utils", "helper", "helpers", "common", "misc"):
            yield f"1: {part} says nothing"


RULES: tuple[tuple[Rule, str, str], ...] = (
    (informers_know_nothing_above_them, "informers/x.py", "from reconcilers.keys import Key"),
    (informers_know_nothing_above_them, "informers/x.py", "import structlog"),
    (informers_know_nothing_above_them, "informers/credentials.py", "from kubernetes import config"),
    (informers_know_nothing_above_them, "informers/http.py", "def f():\n    import kubernetes"),
    (reconcilers_are_pure, "reconcilers/x.py", "from informers.http import AiohttpTransport"),
    (reconcilers_are_pure, "reconcilers/x.py", "from informers import InformerFactory"),
    (reconcilers_are_pure, "reconcilers/x.py", "import os.path"),
    (reconcilers_are_pure, "reconcilers/x.py", "def f():\n    from time import time"),
    (reconcilers_are_pure, "reconcilers/x.py", "import aiohttp"),
    (reconcilers_are_pure, "reconcilers/x.py", "async def f(): ..."),
    (reconcilers_are_pure, "reconcilers/x.py", "open('x')"),
    (the_controller_stands_below_the_command, "controller/x.py", "from autobackup import cli"),
    (the_controller_stands_below_the_command, "reconcilers/x.py", "import controller.applier"),
    (the_controller_stands_below_the_command, "mover/x.py", "from informers.clock import Clock"),
    (the_controller_stands_below_the_command, "autobackup/x.py", "from tests.support import cluster"),
    (only_the_clock_reads_time_and_chance, "controller/x.py", "import time"),
    (only_the_clock_reads_time_and_chance, "controller/x.py", "from random import uniform"),
    (only_the_clock_reads_time_and_chance, "controller/x.py", "datetime.now(UTC)"),
    (only_the_clock_reads_time_and_chance, "controller/x.py", "datetime.datetime.utcnow()"),
    (only_the_clock_reads_time_and_chance, "informers/x.py", "loop.time()"),
    (only_writers_write, "controller/x.py", "transport.request('PATCH', path)"),
    (only_writers_write, "controller/x.py", "transport.request(method='POST', path=path)"),
    (only_writers_write, "controller/x.py", "transport.request(verb, path)"),
    (only_writers_write, "informers/x.py", "self._send('DELETE', path)"),
    (only_writers_write, "controller/selfreview.py", "transport.request('POST', path)"),
    (only_writers_write, "controller/selfreview.py", "transport.request('PATCH', _SELF_REVIEWS)"),
    (only_writers_write, "controller/selfreview.py", "_SELF_REVIEWS: Final = '/api/v1/namespaces/x/secrets'"),
    (only_writers_write, "controller/access.py", "_X_REVIEWS: Final = '/api/v1/namespaces/x/secrets'"),
    (only_writers_write, "autobackup/rights.py", "self._transport.request('POST', path)"),
    (only_writers_write, "autobackup/cluster.py", "self._json('PATCH', path)"),
    (writers_write_through_the_fence, "controller/manager.py", "Applier(transport, clock)"),
    (writers_write_through_the_fence, "controller/manager.py", "EventRecorder(self._transport, clock)"),
    (writers_write_through_the_fence, "controller/manager.py", "StorageSecrets(transport=fenced)"),
    (only_writers_write, "autobackup/debug.py", "transport.request(method, '/apis/apps/v1')"),
    (errors_are_caught_by_name, "tests/x.py", "try:\n    f()\nexcept:\n    pass"),
    (only_the_command_prints, "controller/x.py", "print('x')"),
    (tasks_have_a_group, "controller/x.py", "asyncio.create_task(f())"),
    (tasks_have_a_group, "controller/x.py", "asyncio.get_running_loop().create_task(f())"),
    (tasks_have_a_group, "controller/x.py", "self._loop.create_task(f())"),
    (tasks_have_a_group, "tools/x.py", "asyncio.ensure_future(f())"),
    (modules_say_what_they_are, "controller/x.py", "x = 1"),
    (modules_are_short, "controller/x.py", "x = 1\n" * 401),
    (modules_are_named_for_what_they_hold, "controller/utils.py", "x = 1"),
    (modules_are_named_for_what_they_hold, "tests/helpers/x.py", "x = 1"),
)


@pytest.mark.parametrize(
    ("rule", "path", "text"), RULES, ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(RULES)]
)
def test_a_rule_sees_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Module.of(path, text)))


@pytest.fixture(scope="module")
def code() -> list[Module]:
    found = modules()
    assert {module.layer for module in found} >= {"informers", "reconcilers", "controller", "autobackup", "tests"}
    return found


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in RULES), ids=lambda rule: str(rule.__name__))
def test_the_code_keeps(rule: Rule, code: list[Module]) -> None:
    complaints = [f"{module.path}:{complaint}" for module in code for complaint in rule(module)]
    assert not complaints, "\n".join(complaints)


def test_the_writers_exist_and_are_found_out_without_their_licence(code: list[Module]) -> None:
    by_path = {module.path: module for module in code}
    for path in ("controller/applier.py", "controller/elector.py", "controller/recorder.py"):
        unlicensed = Module.of("controller/other.py", by_path[path].text)
        assert list(only_writers_write(unlicensed)), path
    assert "controller/selfreview.py" in by_path
