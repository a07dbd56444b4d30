"""`python -m tools.cluster run` starts a one-node cluster until Ctrl-C; `check` says whether one can run here."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tools.cluster.cluster import Cluster, ClusterError
from tools.cluster.preconditions import why_not
from tools.controlplane import BuildFailed, apply_manifests, read_manifests
from tools.controlplane.build import node_binaries
from tools.controlplane.manifests import CRD_FOLDER


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what is missing here, if anything")
    commands.add_parser("build", help="find or build kubelet, kube-scheduler and kube-proxy, and print their folder")
    run = commands.add_parser("run", help="start a cluster, print its kubeconfig, stop on Ctrl-C")
    run.add_argument("--image", type=Path, nargs="+", default=[], metavar="FILE", help="OCI archives to load")
    run.add_argument("--crds", action="store_true", help="install manifests/crds")
    return parser.parse_args()


def run(images: list[Path], *, crds: bool) -> None:
    began = time.monotonic()
    with Cluster() as cluster:
        for image in images:
            cluster.load_image(image)
        if crds:
            apply_manifests(cluster.client(), read_manifests(CRD_FOLDER))
        print(f"export KUBECONFIG={cluster.kubeconfig()}", flush=True)
        print(f"the node is ready after {time.monotonic() - began:.0f} s; Ctrl-C ends it", file=sys.stderr)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            while cluster.running:
                time.sleep(1)
            print(f"error: the cluster ended\n{cluster.logs()}", file=sys.stderr)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one would leave things behind
            print("\nstopping", file=sys.stderr)


def main() -> int:
    options = arguments()
    try:
        if options.command == "build":
            print(node_binaries())
        elif options.command == "check":
            reason = why_not()
            print(reason or "a node can run here")
            return 1 if reason else 0
        else:
            run(options.image, crds=options.crds)
    except (BuildFailed, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
