"""Completion: `autobackup completion SHELL`, and what kubectl asks when it completes its plugin.

kubectl runs `kubectl_complete-autobackup` with the words after the plugin's name, the last of which is being typed
and may be empty. It reads one suggestion a line, perhaps with a tab and a description, and at the end `:` with the sum
of cobra's directives.

Source of the protocol: kubectl `cmd/plugin/plugin_completion.go`, cobra `completions.go`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from autobackup import cli
from autobackup.console import Console
from autobackup.exits import ExitCode

DESCRIPTION = """\
Print a completion script for a shell.

As a kubectl plugin nothing is needed: kubectl's own completion asks kubectl_complete-autobackup, which is
installed beside this program.\
"""
EXAMPLES = """\
  source <({prog} bash)
  {prog} zsh > "${{fpath[1]}}/_autobackup"
  {prog} tcsh > ~/.autobackup.completion.csh
"""
SHELLS = ("bash", "zsh", "tcsh")

_DEFAULT = 0
_ERROR = 1
_NO_FILES = 4


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    import shtab  # noqa: PLC0415 - kubectl's completion needs none of it

    console.result(shtab.complete(cli.build_parser(), shell=options.shell) + "\n")
    return ExitCode.OK


def kubectl_complete() -> int:
    """Entry point of `kubectl_complete-autobackup`."""
    *before, current = sys.argv[1:] or [""]
    try:
        parser = cli.build_parser(only=cli.named_verb(before) or "")
        suggestions, directive = suggest(parser, before, current)
    except Exception:  # a shell that completes has no place for an error
        suggestions, directive = [], _ERROR
    for text, about in suggestions:
        sys.stdout.write(f"{text}\t{about}\n" if about else f"{text}\n")
    sys.stdout.write(f":{directive}\n")
    return 0


def suggest(parser: argparse.ArgumentParser, before: Sequence[str], current: str) -> tuple[list[tuple[str, str]], int]:
    """What may stand for the word `current` after the words `before`, and the directive."""
    waiting: argparse.Action | None = None
    free = 0
    for word in before:
        if waiting is not None and not (waiting.nargs == "?" and word.startswith("-")):
            waiting = None
            continue
        waiting = None
        options = _options(parser)
        if word in options:
            waiting = options[word] if options[word].nargs != 0 else None
        elif not word.startswith("-"):
            verbs = _verbs(parser)
            if word in verbs:
                parser = verbs[word]
            else:
                free += 1
    if waiting is not None:
        return _values(waiting, current)
    name, equals, value = current.partition("=")
    if equals and name in _options(parser):
        # As cobra does: only the value, the scripts of the shells put the flag before it.
        return _values(_options(parser)[name], value)
    if current.startswith("-"):
        return sorted(_flags(parser, current)), _NO_FILES
    return [item for item in _words(parser, free) if item[0].startswith(current)], _NO_FILES


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {flag: action for action in parser._actions for flag in action.option_strings}


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _values(action: argparse.Action, current: str) -> tuple[list[tuple[str, str]], int]:
    words = action.choices if action.choices is not None else getattr(action, "words", None)
    if words is not None:
        return [(str(word), "") for word in words if str(word).startswith(current)], _NO_FILES
    return [], _DEFAULT if hasattr(action, "complete") else _NO_FILES


def _flags(parser: argparse.ArgumentParser, current: str) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        for flag in action.option_strings:
            if flag.startswith(current) and (flag.startswith("--") or current == "-"):
                yield flag, _first_line(action.help)


def _words(parser: argparse.ArgumentParser, free: int) -> list[tuple[str, str]]:
    """Verbs, or the choices of the positional argument that comes next."""
    if _verbs(parser):
        return [] if free else [(verb.name, verb.summary) for verb in cli.VERBS]
    positional = [action for action in parser._actions if not action.option_strings]
    if free >= len(positional):
        return []
    action = positional[free]
    words = action.choices if action.choices is not None else getattr(action, "words", ())
    return [(str(word), "") for word in words]


def _first_line(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())
