"""Where the settings of a BackupConfiguration come from, written down on it.

The annotation lists the settings that an annotation of the target or its namespace, or a default of the operator,
decided; whatever it does not list is the blueprint's. A target without any such annotation gets none, so objects that
are not touched by overrides are as they always were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from reconcilers.layers import Layer

_RETENTION = "retentionPolicy"
_ONLY_THE_TARGET = ("target.paths", "target.volumeMounts", "task.params.")
"""Settings that no other layer could decide, so that there is nothing to write down."""


def record(origins: Mapping[str, Layer]) -> str:
    """The text of the annotation, "" for none."""
    found: dict[str, list[str]] = {}
    for path, layer in origins.items():
        if not path.startswith(_ONLY_THE_TARGET):
            found.setdefault(layer.value, []).append(path)
    if not found:
        return ""
    return json.dumps({layer: sorted(found[layer]) for layer in sorted(found)}, separators=(",", ":"))


@lru_cache(maxsize=4096)
def recall(text: str) -> Mapping[str, Layer]:
    """The layers by setting, out of the annotation; nothing when the text is not one of ours."""
    try:
        loaded = json.loads(text or "{}")
        return {str(path): Layer(layer) for layer, paths in loaded.items() for path in paths}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def about_retention(origins: Mapping[str, Layer]) -> dict[str, Layer]:
    """Those that say who decided what is kept."""
    return {path: layer for path, layer in origins.items() if path.startswith(_RETENTION)}
