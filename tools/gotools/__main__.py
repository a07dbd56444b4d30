"""`python -m tools.gotools` finds or builds helm and the linters of manifests, and prints where they are."""

from __future__ import annotations

import sys

from tools.controlplane.build import BuildFailed
from tools.gotools import helm, kube_score, kubeconform


def main() -> int:
    try:
        print(helm(), kubeconform(), kube_score(), sep="\n")
    except BuildFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
