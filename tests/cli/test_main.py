"""How the command ends, whatever happens."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autobackup import __version__, cli, version
from autobackup.__main__ import main
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode, Unreachable, UsageError
from tests.cli.conftest import EXAMPLES, ROOT, Command, start


def raising(error: BaseException) -> object:
    def run(_options: argparse.Namespace, _console: Console) -> ExitCode:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("a problem"), 1),
        (UsageError("a bad file", where="shop.yaml:3"), 2),
        (Unreachable("no cluster"), 3),
        (KeyboardInterrupt(), 130),
        (RuntimeError("impossible"), 1),
        (ExceptionGroup("tasks", [RuntimeError("impossible")]), 1),
        (SystemExit("a text"), 1),
    ],
)
def test_each_way_to_end_has_its_code_and_no_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    monkeypatch.setattr(version, "run", raising(error))
    ended = command("version")
    assert (ended.code, ended.out) == (code, "")
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 1


def test_a_place_leads_the_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "run", raising(UsageError("a bad file", where="shop.yaml:3")))
    assert command("version").err == "shop.yaml:3: error: a bad file\n"


def test_a_bug_says_so_and_debug_shows_where(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "run", raising(ExceptionGroup("tasks", [RuntimeError("impossible")])))
    short = command("version").err
    assert short.startswith("error: RuntimeError: impossible; this is a bug")
    assert "--debug" in short
    for arguments in (("version", "--debug"), ("--debug", "version")):
        assert "Traceback" in command(*arguments).err


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("resolve", "--nonsense"), ("version", "-o", "toml"), ("completion",), ("--verbose",)],
)
def test_a_wrong_command_line_is_2(command: Command, arguments: tuple[str, ...]) -> None:
    assert command(*arguments).code == 2


def test_an_unknown_flag_is_told_with_the_usage_of_its_verb_and_the_nearest_flag(command: Command) -> None:
    told = command("run", "--worker", "3").err
    assert told.startswith("usage: autobackup run ")
    assert "unrecognized arguments: --worker 3; did you mean --workers instead of --worker?" in told
    told = command("check", "--frobnicate").err
    assert told.endswith("autobackup check: error: unrecognized arguments: --frobnicate\n")


def test_help_keeps_each_verb_on_one_line(command: Command) -> None:
    listed = command("--help").out.partition("verbs:")[2].partition("examples:")[0]
    for verb in cli.VERBS:
        assert any(line.split(maxsplit=1) == [verb.name, verb.summary] for line in listed.splitlines()), listed


@pytest.mark.parametrize("verb", [verb.name for verb in cli.VERBS])
def test_each_verb_has_help_with_an_example(command: Command, verb: str) -> None:
    ended = command(verb, "--help")
    assert ended.code == 0
    assert "\nexamples:\n" in ended.out
    assert f"autobackup {verb}" in ended.out.split("examples:")[1]


def test_help_of_the_whole_lists_verbs_and_exit_codes(command: Command) -> None:
    ended = command("--help")
    assert ended.code == 0
    for verb in cli.VERBS:
        assert verb.summary in ended.out
    assert "3 cluster unreachable" in ended.out


def test_version_in_each_format(command: Command) -> None:
    assert command("version").out == f"autobackup {__version__}\n"
    assert command("--version").out == f"autobackup {__version__}\n"
    as_json = json.loads(command("version", "-o", "json").out)
    assert as_json["version"] == __version__
    assert yaml.safe_load(command("version", "-o", "yaml").out) == as_json


@pytest.mark.parametrize(
    "code",
    [
        "import autobackup",
        "from autobackup.__main__ import main; main(['version'])",
        "from autobackup.__main__ import main; main(['version', '-o', 'json'])",
        "from autobackup.__main__ import main; main(['--help'])",
    ],
)
def test_what_is_quick_stays_quick_because_it_imports_nothing_slow(code: str) -> None:
    slow = {"kubernetes", "aiohttp", "asyncio", "yaml", "structlog", "prometheus_client", "shtab", "reconcilers"}
    probe = f"import sys\n{code}\nsys.stderr.write(','.join(sorted({slow!r} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""


def test_resolving_offline_needs_no_client_of_a_cluster() -> None:
    probe = (
        "import sys\nfrom autobackup.__main__ import main\n"
        f"code = main(['resolve', '-q', '-f', {str(EXAMPLES)!r}])\n"
        "sys.stderr.write(','.join(sorted({'kubernetes', 'aiohttp'} & set(sys.modules))))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""


def test_kubectl_is_named_when_it_called(programs: Path) -> None:
    ended = start("resolve", "--help", program=programs / "kubectl-autobackup")
    assert ended.out.startswith("usage: kubectl autobackup resolve ")
    assert "kubectl autobackup resolve -b" in ended.out


@pytest.mark.parametrize("arguments", [("version",), ("resolve", "-q", "-f", str(EXAMPLES))])
def test_a_reader_that_went_away_is_no_error(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "autobackup", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            cwd=ROOT,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_in_the_middle_is_no_success(unbuffered: str, tmp_path: Path) -> None:
    # More than a pipe holds, so that the reader goes while it is written.
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {}}
    many = [{**claim, "metadata": {"name": f"data-{i}", "namespace": "demo"}} for i in range(200)]
    (tmp_path / "many.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": many}))
    command = [
        sys.executable,
        "-m",
        "autobackup",
        "resolve",
        "-q",
        "-b",
        str(EXAMPLES / "blueprint-pvc.yaml"),
        "--as-if",
    ]
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*command, "-f", str(tmp_path / "many.json")],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:
        os.close(writing)
        begun = os.read(reading, 10)
        os.close(reading)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told, begun) == (128 + signal.SIGPIPE, b"", b"apiVersion")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_full_disk_is_told_and_is_no_bug_of_ours() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "autobackup", "version"], stdout=full, stderr=subprocess.PIPE, check=False, cwd=ROOT
        )
    assert done.returncode == 1
    assert done.stderr == b"error: write to stdout: No space left on device; what arrived there is not whole\n"


def test_ctrl_c_is_130_without_a_traceback() -> None:
    # It waits on stdin when the signal comes: the note that it reads from there is the sign that it does.
    code = (
        "import os, signal, sys, threading\n"
        "from autobackup.__main__ import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background\n"
        "class Interrupting:\n"
        "    @property\n"
        "    def buffer(self): os.kill(os.getpid(), signal.SIGINT); return self\n"
        "    def read(self, *_): threading.Event().wait(30); return b''\n"
        "sys.stdin = Interrupting()\n"
        "sys.exit(main(['resolve', '-f', '-']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_output_survives_a_terminal_that_knows_only_ascii() -> None:
    claim = (EXAMPLES / "pvc.yaml").read_text()
    blueprint = (EXAMPLES / "blueprint-pvc.yaml").read_text().replace("keep-five", "garder-cinq-été")
    for output, load in (
        ("yaml", lambda text: list(yaml.safe_load_all(text))),
        ("json", lambda t: json.loads(t)["items"]),
    ):
        ended = start(
            *("resolve", "-q", "-f", "-", "-o", output),
            stdin=f"{blueprint}---\n{claim}",
            environ={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        )
        assert ended.code == 0, ended.err
        assert ended.out.isascii()
        assert load(ended.out)[1]["spec"]["retentionPolicy"]["name"] == "garder-cinq-été"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: type[io.StringIO], environ: dict[str, str], coloured: bool
) -> None:
    out, err = stream(), stream()
    console = Console(out, err, environ=environ)
    console.error("bad")
    console.difference("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z\n")
    console.finding("fail", "crds", "gone\x1b[0m", remedy="install\nthem")
    assert ("\x1b[31mfail  \x1b[0mcrds" in out.getvalue()) is coloured
    assert "crds       gone\\x1b[0m\n                 -> install them\n" in out.getvalue()
    assert ("\x1b[" in err.getvalue()) is coloured
    assert ("\x1b[32m+y\x1b[0m\n" in out.getvalue()) is coloured


def test_nothing_that_others_wrote_steers_the_terminal() -> None:
    err = Terminal()
    Console(Terminal(), err, environ={"NO_COLOR": "1"}).error("a\x1b]0;b\x07\r\u202ec\n  d", where="x\x1b.yaml:1")
    assert err.getvalue() == "x\\x1b.yaml:1: error: a\\x1b]0;b\\x07\\r\\u202ec\n  d\n"


def test_quiet_tells_errors_only() -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err, environ={}, quiet=True)
    console.note("n")
    console.warning("w")
    console.error("e")
    assert err.getvalue() == "error: e\n"


def test_run_refuses_a_configuration_that_cannot_be_used(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"AUTOBACKUP_WORKERZ": "3"})
    ended = command("run", "--workers", "0", "--log-level", "loud")
    assert ended.code == 2
    for text in ("AUTOBACKUP_WORKERS?", "--workers", "--log-level"):
        assert text in ended.err


def test_run_prints_the_configuration_as_a_file_that_it_reads(command: Command, tmp_path: Path) -> None:
    printed = command("run", "--workers", "3", "--print-config")
    assert printed.code == 0
    assert yaml.safe_load(printed.out)["workers"] == 3
    (tmp_path / "autobackup.yaml").write_text(printed.out)
    again = command("run", "--config", tmp_path / "autobackup.yaml", "--print-config")
    assert yaml.safe_load(again.out) == yaml.safe_load(printed.out)


def test_run_without_a_cluster_is_3(command: Command, tmp_path: Path) -> None:
    ended = command("run", "--kubeconfig", tmp_path / "missing")
    assert ended.code == 3
    assert "missing" in ended.err


def test_main_takes_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/kubectl-autobackup", "version"])
    assert main() == 0
    assert capsys.readouterr().out == f"autobackup {__version__}\n"
