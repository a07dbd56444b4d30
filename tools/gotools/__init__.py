"""Programs written in Go that render and check the manifests: helm, kubeconform, kube-score.

Each is pinned by a go.mod and go.sum below this folder, built from source once and kept in the cache beside the
programs of the control plane. helm is a module of its own: the linters need older versions of libraries that both use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.controlplane.build import built

_FOLDER: Final = Path(__file__).parent
_FLAGS: Final = "-s -w"
_HELM: Final = {"helm": "helm.sh/helm/v3/cmd/helm"}
_LINTERS: Final = {
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score",
}


def helm() -> Path:
    return built("helm", _HELM, module=_FOLDER / "helm", flags=_FLAGS) / "helm"


def kubeconform() -> Path:
    return _linters() / "kubeconform"


def kube_score() -> Path:
    return _linters() / "kube-score"


def _linters() -> Path:
    return built("linters", _LINTERS, module=_FOLDER / "linters", flags=_FLAGS)
