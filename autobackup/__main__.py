"""The entry point, and the one place where results and errors become exit codes.

Contract: `main` never raises and never shows a traceback, unless `--debug` asks for it. Every way to end is listed
here: see `autobackup.exits` for the codes.
"""

from __future__ import annotations

import os
import signal
import sys

if os.getpid() == 1:
    # The kernel gives the first process of a container no default action: a SIGTERM that comes before the operator has
    # set its own handler would be lost, and the pod would wait out its whole grace period.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

import contextlib
import errno
import io
import traceback
from collections.abc import Sequence
from typing import TextIO

from autobackup import cli
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    out = _whole(sys.stdout)
    console = Console(out, sys.stderr, environ=os.environ)
    try:
        code = _run(given, console)
        out.flush()
        sys.stdout.flush()
    except CommandError as error:
        console.error(str(error), where=error.where)
        code = error.code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        code = ExitCode.BROKEN_PIPE
    except SystemExit as end:  # argparse, after --help or a usage error
        code = ExitCode(end.code) if isinstance(end.code, int) else ExitCode.PROBLEM
    except Exception as error:
        if "--debug" in given:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in _FULL:
            _silence_stdout()
            console.error(f"write to stdout: {error.strerror}; what arrived there is not whole")
            return int(ExitCode.PROBLEM)
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        console.error(
            f"{type(error).__name__}: {error or 'no details'}; this is a bug in {cli.PROGRAM}: "
            "run it again with --debug and report what it prints"
        )
        code = ExitCode.PROBLEM
    return int(code)


def _run(arguments: Sequence[str], console: Console) -> ExitCode:
    program = cli.program_name(sys.argv[0])
    verb = cli.named_verb(arguments)
    known = {entry.name: entry for entry in cli.VERBS}
    parser = cli.build_parser(program, only=verb if verb in known else "")
    if not arguments:
        parser.print_help()
        return ExitCode.USAGE
    options = cli.parse(parser, arguments)
    done = known[options.verb].module.run(options, console)
    return ExitCode(done)


def _whole(stream: TextIO) -> TextIO:
    """The stream; with a buffer, if PYTHONUNBUFFERED took it away: without one Python writes once, and does not look
    how much of it was taken."""
    if not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        return stream
    return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)


def _silence_stdout() -> None:
    """Whoever read it is gone: let the flush at exit go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


if __name__ == "__main__":
    sys.exit(main())
