"""`autobackup run`: the operator, with any kubeconfig or inside a cluster."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator

from autobackup import __version__
from autobackup.cli import complete_files, complete_words
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode, Unreachable, UsageError
from controller import config
from controller.values import Choice
from informers.errors import CredentialsError

DESCRIPTION = """\
Run the operator until SIGTERM or Ctrl-C.

It watches annotated targets and keeps their Repositories and BackupConfigurations as the blueprints say.

Options come from a file, are overruled by AUTOBACKUP_* variables, and those by flags.\
"""
EXAMPLES = """\
  {prog}                                         in a pod, with its service account
  {prog} --kubeconfig ~/.kube/config --log-format console
  {prog} --namespaces shop,blog                  only these namespaces
  {prog} --config autobackup.yaml --print-config show what would be in force, and where from
"""


def configure(parser: argparse.ArgumentParser) -> None:
    config.add_flags(parser)
    words = {option.name: option.kind.words for option in config.OPTIONS if isinstance(option.kind, Choice)}
    for action in parser._actions:
        if action.dest in ("config", "kubeconfig"):
            complete_files(action)
        elif action.dest in words:
            complete_words(action, words[action.dest])
    parser.add_argument(
        "--print-config", action="store_true", help="print the configuration with the source of each value, and end"
    )


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    try:
        settings = config.load(environ=os.environ, flags=options)
    except config.ConfigError as error:
        raise UsageError(str(error)) from None
    if options.print_config:
        console.result(config.print_config(settings))
        return ExitCode.OK
    # `--help`, `--print-config` and completion need none of it.
    with _without_system_authorities():
        from controller import manager  # noqa: PLC0415
        from controller.server import ServeError  # noqa: PLC0415

    try:
        return ExitCode(manager.run(settings, version=__version__))
    except CredentialsError as error:
        raise Unreachable(str(error)) from None
    except ServeError as error:
        raise CommandError(str(error)) from None


@contextlib.contextmanager
def _without_system_authorities() -> Iterator[None]:
    """aiohttp reads all certificate authorities of the system when it is imported, for connections that bring no TLS
    context of their own. Ours do, each; any other would trust nobody. It saves 2 MB and 50 ms."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    before = {name: os.environ[name] for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(before)
