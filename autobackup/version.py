"""`autobackup version`: which version this is."""

from __future__ import annotations

import argparse
import json
import platform

from autobackup import __version__
from autobackup.console import Console
from autobackup.exits import ExitCode

DESCRIPTION = "Print the version of this program. Needs no cluster."
EXAMPLES = """\
  {prog}
  {prog} -o json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="print as JSON or YAML, with more detail")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
    if options.output == "json":
        console.result(json.dumps(facts, indent=2) + "\n")
    elif options.output == "yaml":
        from autobackup import yamltext  # noqa: PLC0415 - the plain version must come at once

        console.result(yamltext.write(facts))
    else:
        console.result(f"autobackup {__version__}\n")
    return ExitCode.OK
