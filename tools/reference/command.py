"""The command line, as its parser defines it.

Not argparse's own help text: how that is laid out depends on the version of Python and on the terminal.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator

from autobackup import cli
from controller.config import OPTIONS
from tools.reference.markdown import block, code, page, prose, table

_CONFIGURED = frozenset(option.name for option in OPTIONS)


def render_command() -> str:
    parser = cli.build_parser()
    verbs = next(dict(action.choices) for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [
        prose(parser.description or ""),
        table(["Verb", "What it does"], [(_link(verb.name), prose(verb.summary)) for verb in cli.VERBS]),
        f"Installed beside it are {code('kubectl-autobackup')}, which makes all of this {code('kubectl autobackup')}, "
        f"and {code('kubectl_complete-autobackup')}, which kubectl asks to complete it. How the command ends is told "
        "in [Exit codes](exit-codes.md).",
        table(["Option", "Meaning"], _rows(parser)),
    ]
    for verb in cli.VERBS:
        child = verbs[verb.name]
        parts += [
            f"## autobackup {verb.name}",
            *(prose(paragraph) for paragraph in (child.description or "").split("\n\n")),
            table(["Option", "Meaning"], _rows(child)),
            _rest(child),
            block(inspect.cleandoc((child.epilog or "").removeprefix("examples:\n")), "text"),
        ]
    return page("Command line", *parts)


def _link(verb: str) -> str:
    return f"[{code(verb)}](#autobackup-{verb})"


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or _is_configuration(action):
            continue
        value = action.metavar or ("" if action.nargs == 0 else "|".join(map(str, action.choices or ())))
        names = action.option_strings or [f"{value}"]
        shown = ", ".join(code(f"{name} {value}".strip() if action.option_strings else name) for name in names)
        yield shown, prose((action.help or "").replace("%%", "%"))


def _is_configuration(action: argparse.Action) -> bool:
    return action.dest in _CONFIGURED and action.default is argparse.SUPPRESS


def _rest(parser: argparse.ArgumentParser) -> str:
    """Where the options are that a table leaves out."""
    if any(_is_configuration(action) for action in parser._actions):
        return "Its other options are those of [Configuration](configuration.md)."
    return ""
