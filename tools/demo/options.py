"""The command line of the demo, and the variables that `make demo` hands through."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_DESCRIPTION = """\
Play the story of auto backup on a real API server: a storage Secret, a blueprint, five kinds of targets that are
annotated, an edit of the blueprint that reaches all of them, a mistake and its answer, an annotation taken away and
put back. Every step is observed on the API server; the first one that is not ends the demo.

Without KUBECONFIG, etcd and kube-apiserver are taken from $KUBEBUILDER_ASSETS or the cache, or built once (about
five minutes), and run on loopback with throw-away state. With KUBECONFIG, that cluster is used, after asking, in
a namespace that is made for the demo and removed with everything else it made; pods and volumes are not made.\
"""
_EPILOG = """\
variables (as in `make demo KEEP=1`):
  KUBECONFIG     use this cluster instead of a throw-away one
  KEEP=1         leave cluster and operator running, and say how to reach and how to stop them
  YES=1          do not ask before a cluster is used (there is nobody to ask in a script)
  VERBOSE=1      show the operator's log between the steps
  NO_COLOR       no colours, also on a terminal

exit codes: 0 every step was observed; 1 one was not; 2 it did not begin; 130 interrupted
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    kubeconfig: str
    """"" for a throw-away cluster."""
    keep: bool
    yes: bool
    verbose: bool
    timeout: float


def read(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Flags win over variables; a usage error ends the process with code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--kubeconfig", metavar="PATH", default=environ.get("KUBECONFIG", ""), help="use this cluster")
    where.add_argument("--throw-away", action="store_true", help="use a throw-away cluster even if KUBECONFIG is set")
    parser.add_argument("--keep", action="store_true", default=_said(environ, "KEEP"), help="leave everything running")
    parser.add_argument("--yes", action="store_true", default=_said(environ, "YES"), help="do not ask")
    parser.add_argument(
        "--verbose", action="store_true", default=_said(environ, "VERBOSE"), help="show the operator's log"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="how long to wait for a step (default 30)"
    )
    given = parser.parse_args(arguments)
    return Options(
        kubeconfig="" if given.throw_away else given.kubeconfig,
        keep=given.keep,
        yes=given.yes,
        verbose=given.verbose,
        timeout=given.timeout,
    )


def _said(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() not in ("", "0", "no", "false", "n")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 3600")
    return seconds
