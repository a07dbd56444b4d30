"""The command line: its verbs, their parsers, and how a verb is found.

Contract: a verb is a module with `DESCRIPTION`, `EXAMPLES`, `configure(parser)` and `run(options, console)`. It is
imported only when it is named, so that `autobackup version` does not wait for what `autobackup run` needs.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any

from autobackup import __version__

PROGRAM = "autobackup"
# What shtab.FILE stands for; importing shtab here would make every run wait for it.
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: its name, the module that does it, and one line about it."""

    name: str
    summary: str

    @property
    def module(self) -> Any:
        return import_module(f"autobackup.{self.name}")


VERBS = (
    Verb("run", "run the operator"),
    Verb("resolve", "show what the operator would apply for a target"),
    Verb("explain", "tell why a target is backed up as it is, or is not"),
    Verb("adopt", "give targets what an earlier namespace left"),
    Verb("password", "print the password of a repository that has one of its own"),
    Verb("check", "tell what is wrong with an installation, from outside"),
    Verb("debug", "look inside a running operator"),
    Verb("version", "print the version"),
    Verb("completion", "print a completion script for a shell"),
)

_DESCRIPTION = """\
Automatic backup on Kubernetes: annotate a workload, a volume or a database, and a
Repository and a BackupConfiguration are made for it, as a BackupBlueprint says.\
"""
_EPILOG = """\
examples:
  {prog} resolve -b blueprint.yaml -f deployment.yaml
  {prog} run --kubeconfig ~/.kube/config

exit codes:
  0 ok, 1 problem found, 2 usage, 3 cluster unreachable

'{prog} VERB --help' tells more about a verb. As kubectl-autobackup on the PATH it is also 'kubectl autobackup'.
"""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the longest verb: argparse measures it before it is indented."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        for verb in self._iter_indented_subactions(action):
            width = self._current_indent + len(self._format_action_invocation(verb))
            self._action_max_length = max(self._action_max_length, width)


def complete_files(action: argparse.Action) -> None:
    """Let shells complete names of files for the value of this option."""
    action.complete = _FILES  # type: ignore[attr-defined]


def complete_words(action: argparse.Action, words: Sequence[str]) -> None:
    """Let kubectl complete these words for the value of an option that checks its value later."""
    action.words = words  # type: ignore[attr-defined]


def program_name(argv0: str) -> str:
    """How the user called us."""
    return "kubectl autobackup" if PurePath(argv0).name == "kubectl-autobackup" else PROGRAM


def named_verb(arguments: Sequence[str]) -> str | None:
    """The verb that the arguments name, without parsing them."""
    return next((argument for argument in arguments if not argument.startswith("-")), None)


def build_parser(program: str = PROGRAM, *, only: str | None = None) -> argparse.ArgumentParser:
    """The parser; with `only`, just that verb knows its options and the others are names."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=_DESCRIPTION,
        epilog=_EPILOG.format(prog=program),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_debug(parser, default=False)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", required=True)
    for verb in VERBS:
        if only not in (None, verb.name):
            verbs.add_parser(verb.name, help=verb.summary, add_help=False)
            continue
        module = verb.module
        child = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=module.DESCRIPTION,
            epilog="examples:\n" + module.EXAMPLES.format(prog=f"{program} {verb.name}"),
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        module.configure(child)
        _add_debug(child, default=argparse.SUPPRESS)
        child.set_defaults(parser=child)
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The options; what nobody knows ends with the usage of the verb that was named, and the flag that is nearest."""
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        child: argparse.ArgumentParser = options.parser
        flags = [flag for action in child._actions for flag in action.option_strings]
        near = [
            f"did you mean {found[0]} instead of {word}?"
            for word in unknown
            if word.startswith("--") and (found := difflib.get_close_matches(word.partition("=")[0], flags, n=1))
        ]
        child.error("; ".join([f"unrecognized arguments: {' '.join(unknown)}", *near]))
    del options.parser
    return options


def _add_debug(parser: argparse.ArgumentParser, *, default: Any) -> None:
    parser.add_argument("--debug", action="store_true", default=default, help="show where an unexpected error arose")
