"""`python -m tools.gotools` finds or builds helm and the linters of manifests, and prints where they are.

`python -m tools.gotools path` prints the folders of kubectl and helm as they go into $PATH.
"""

from __future__ import annotations

import argparse
import sys

from tools.controlplane.build import BuildFailed, binaries
from tools.gotools import helm, kube_score, kubeconform
from tools.gotools.monitoring import monitoring_crds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.gotools", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "path"), default="all", help="what is wanted (default: all)")
    try:
        if parser.parse_args().what == "path":
            print(f"{binaries()}:{helm().parent}")
        else:
            print(helm(), kubeconform(), kube_score(), monitoring_crds(), sep="\n")
    except BuildFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
