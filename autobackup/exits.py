"""How the command ends: the exit codes, and the errors that lead to them.

Contract: 0 everything is as it should be; 1 a problem was found; 2 the command line or a file given on it cannot be
used; 3 no cluster could be talked to. 128 plus a signal's number follows the shells: 130 after Ctrl-C, 141 when
whoever read the output went away. Verbs return or raise; only `autobackup.__main__` turns that into an exit code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes; scripts rely on them."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandError(Exception):
    """The command cannot go on. The text is for people: what was attempted, on what, why not, the way out.

    `where` is the `file:line` to look at, when there is one.
    """

    code = ExitCode.PROBLEM

    def __init__(self, text: str, *, where: str = "") -> None:
        super().__init__(text)
        self.where = where


class UsageError(CommandError):
    """Arguments or files that cannot be used as they are."""

    code = ExitCode.USAGE


class Unreachable(CommandError):
    """No cluster to talk to: no credentials, no answer, or an API server that cannot serve."""

    code = ExitCode.UNREACHABLE
