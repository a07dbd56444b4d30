"""Where the story plays: a cluster, the names used in it, and what the operator may do there.

Two stages are made: `throwaway` (a control plane of our own) and `borrowed` (somebody's cluster). Both are context
managers that leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane import ApiClient

BLUEPRINT = "stash.appscode.com/v1beta1/BackupBlueprint"
STORAGE_SECRET = "bucket-credentials"
SHARED_SOURCE, SHARED_COPY = "bucket-of-all", "shared-credentials"


@dataclass(frozen=True, slots=True)
class Names:
    """What things are called."""

    namespace: str
    blueprint: str
    vault: str
    """Namespace of the Secret that is shared."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A cluster that is ready for the operator."""

    names: Names
    connect: Callable[[], ApiClient]
    """A client with the rights of the person who runs the demo, one for each thread."""
    operator_kubeconfig: Path
    namespaces: tuple[str, ...]
    """What the operator watches; nothing means all."""
    kubectl: Path | None
    kubeconfig: str
    """The person's own; may be several paths, as in $KUBECONFIG."""
