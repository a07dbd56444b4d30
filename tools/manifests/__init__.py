"""The manifests that install the operator: the Helm chart is the source, and everything else is rendered from it.

`python -m tools.manifests` writes the kustomize base, components and the parts of the overlays from the chart;
`python -m tools.manifests install` prints the one file for who uses neither. What is written by hand are the
kustomizations themselves and the namespace.
"""

from tools.manifests.chart import CHART, ChartError, Document, render
from tools.manifests.kustomize import build

__all__ = ["CHART", "ChartError", "Document", "build", "render"]
