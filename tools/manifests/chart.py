"""The chart, rendered by helm."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.controlplane.build import kubernetes_version
from tools.gotools import helm

CHART: Final = Path(__file__).parents[2] / "manifests" / "chart"
RELEASE: Final = "autobackup"
NAMESPACE: Final = "autobackup-system"

_SOURCE = re.compile(r"^# Source: autobackup/templates/(\S+)\n", re.MULTILINE)
_HELMS_OWN = re.compile(
    r"^ +(helm\.sh/(chart|resource-policy)|app\.kubernetes\.io/managed-by: Helm|checksum/config).*\n", re.MULTILINE
)
_EMPTY = re.compile(r"^( +)annotations:\n(?!\1 )", re.MULTILINE)


class ChartError(Exception):
    """helm refused; the text is helm's."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object: the template it comes from, its text with the template's comments, and what the text says."""

    template: str
    text: str
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        return str(self.content["metadata"]["name"])


def render(
    values: Mapping[str, Any] | None = None,
    *,
    plain: bool = False,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    kubernetes: str = "",
) -> list[Document]:
    """Every object of the chart with these values; `plain` leaves out the labels and annotations of Helm."""
    command = ["template", release, str(CHART), "--namespace", namespace, "--values", "-"]
    text = run_helm(*command, "--kube-version", kubernetes or kubernetes_version(), stdin=yaml.safe_dump(values or {}))
    return list(_documents(_EMPTY.sub("", _HELMS_OWN.sub("", text)) if plain else text))


def run_helm(*arguments: str, stdin: str = "") -> str:
    """What helm prints; raises `ChartError` with what it says instead."""
    answer = subprocess.run([helm(), *arguments], input=stdin, capture_output=True, text=True, check=False)
    if answer.returncode:
        said = [line for line in answer.stderr.splitlines() if "found symbolic link" not in line]
        raise ChartError("\n".join(said))
    return answer.stdout


def _documents(text: str) -> Iterator[Document]:
    for part in re.split(r"^---\n", text, flags=re.MULTILINE):
        source = _SOURCE.search(part)
        content = yaml.load(part, Loader=yaml.CSafeLoader)
        if content:
            assert source is not None, part[:200]
            yield Document(source[1], _SOURCE.sub("", part).strip("\n") + "\n", content)
