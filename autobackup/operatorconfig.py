"""What the command takes from the configuration of the operator: its defaults, to resolve as the operator does."""

from __future__ import annotations

import argparse

from autobackup.cli import complete_files
from autobackup.exits import UsageError
from reconcilers import defaults
from reconcilers.defaults import Default


def add_flag(parser: argparse.ArgumentParser) -> None:
    complete_files(
        parser.add_argument(
            "--config", metavar="FILE", help="configuration of the operator, for its defaults (default: none are set)"
        )
    )


def defaults_of(options: argparse.Namespace) -> tuple[Default, ...]:
    """The defaults of the file that was given; raises UsageError."""
    if not options.config:
        return ()
    from controller.config import ConfigError, load  # noqa: PLC0415 - most runs need nothing of the operator

    try:
        return defaults.parse(load(options.config, environ={}).defaults)
    except ConfigError as error:
        raise UsageError(str(error)) from None
