"""Programs that others' libraries are measured with: `go` and `python`, each with its own pinned dependencies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_PINS: Final = (
    (_HERE / "go" / "go.mod", r"^\s+k8s\.io/(client-go) v(\S+)"),
    (_HERE / "go" / "go.mod", r"^\s+sigs\.k8s\.io/(controller-runtime) v(\S+)"),
    (_HERE / "python" / "requirements.lock", r"^(kopf)==(\S+)"),
    (_HERE / "python" / "requirements.lock", r"^(kubernetes)==(\S+)"),
)


def versions() -> dict[str, str]:
    """Of the libraries that peers are built on, as they are pinned."""
    found = (re.search(pattern, file.read_text(), re.MULTILINE) for file, pattern in _PINS)
    return {pin[1]: pin[2] for pin in found if pin is not None}
