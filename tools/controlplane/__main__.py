"""`python -m tools.controlplane build` finds or builds the programs; `run` starts a control plane until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tools.controlplane.build import BuildFailed, binaries
from tools.controlplane.identity import standard_users
from tools.controlplane.manifests import CRD_FOLDER, apply_manifests, read_manifests
from tools.controlplane.plane import ControlPlane
from tools.controlplane.process import ControlPlaneError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="find or build the programs and print their folder")
    run = commands.add_parser("run", help="start a throw-away control plane, print its kubeconfig, stop on Ctrl-C")
    run.add_argument("--crds", action="store_true", help="install manifests/crds")
    run.add_argument("--apply", type=Path, nargs="+", default=[], metavar="PATH", help="manifests to apply then")
    run.add_argument("--user", default="admin", choices=sorted(standard_users()), help="whose kubeconfig")
    run.add_argument("--controllers", default="", metavar="LIST", help="controllers to run, or '*'")
    run.add_argument("--flag", action="append", default=[], metavar="NAME=VALUE", help="kube-apiserver flag")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in options.flag)
    with ControlPlane(apiserver_flags=flags) as plane:
        manifests = [*([CRD_FOLDER] if options.crds else []), *options.apply]
        applied = apply_manifests(plane.client(), read_manifests(*manifests))
        if options.controllers:
            plane.start_controllers(options.controllers.split(","))
        print(f"export KUBECONFIG={plane.kubeconfig(options.user)}", flush=True)
        print(f"{plane.url} is ready, {len(applied)} objects applied; Ctrl-C ends it", file=sys.stderr)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one would leave things behind
            print("\nstopping", file=sys.stderr)


def main() -> int:
    options = arguments()
    try:
        if options.command == "build":
            print(binaries())
        else:
            run(options)
    except (BuildFailed, ControlPlaneError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
