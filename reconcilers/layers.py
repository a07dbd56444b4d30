"""Who says what: the layers of settings, and which of them counts.

The order is fixed and short: the operator's defaults are the weakest, then comes the blueprint, then the annotations of
the namespace, then those of the target. An annotation of the target takes the place of the same annotation of the
namespace as a whole; what either leaves unsaid stays as the blueprint has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconcilers.annotations import VARIABLES_PREFIX
from reconcilers.overridable import OVERRIDABLE


class Layer(StrEnum):
    """Where a setting comes from, the weakest first."""

    OPERATOR = "operator"
    BLUEPRINT = "blueprint"
    NAMESPACE = "namespace"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Wish:
    """An annotation that wants something otherwise than the blueprint says."""

    key: str
    value: str
    layer: Layer
    namespace: str = ""

    @property
    def field(self) -> str:
        """The annotation as errors name it."""
        return f"{self.key} on Namespace {self.namespace}" if self.layer is Layer.NAMESPACE else self.key


Annotations = Iterable[tuple[str, str]]


def wishes(target: Annotations, around: Annotations, *, namespace: str) -> dict[str, Wish]:
    """The annotations that count, by key: of the target, and of its namespace where the target has none."""
    found = {
        key: Wish(key, value, Layer.NAMESPACE, namespace)
        for key, value in around
        if key in OVERRIDABLE or key.startswith(VARIABLES_PREFIX)
    }
    for key, value in target:
        if key in OVERRIDABLE or key.startswith(VARIABLES_PREFIX):
            found[key] = Wish(key, value, Layer.TARGET, namespace)
    return found


def variables(found: Mapping[str, Wish]) -> dict[str, Wish]:
    """The wishes that are values of variables, by the name of the variable."""
    return {key.removeprefix(VARIABLES_PREFIX): wish for key, wish in found.items() if key.startswith(VARIABLES_PREFIX)}
