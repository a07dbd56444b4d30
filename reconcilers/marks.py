"""The labels and annotations that make an object ours, and what they say about it.

The label `app.kubernetes.io/managed-by` is the marker: an object without it is never touched. The annotations carry
the identity in full, because label values are cut at 63 characters; the labels are there for people and selectors.
None of the target's own labels or annotations is ever copied: some of them (GitOps tracking, Helm) mean ownership.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from reconcilers.keys import Key

PREFIX = "autobackup.stash.appscode.com/"
MANAGED_BY = "app.kubernetes.io/managed-by"
PRODUCT = "autobackup"
SUSPENSION = "autobackup-suspension"
"""Field manager of what suspends a BackupConfiguration; what else is in it stays as it was applied."""

BLUEPRINT = PREFIX + "blueprint"
TARGET = PREFIX + "target"
TARGET_KIND = PREFIX + "target-kind"
TARGET_NAME = PREFIX + "target-name"
TARGET_UID = PREFIX + "target-uid"
POD_TEMPLATE = PREFIX + "pod-template"
SUCCEEDED_BY = PREFIX + "succeeded-by"
NAMESPACE_UID = PREFIX + "namespace-uid"
SUSPENDED = PREFIX + "suspended"
OVERRIDES = PREFIX + "overrides"
RETENTION_PENDING = PREFIX + "retention-pending"
PASSWORD = PREFIX + "password"


@dataclass(frozen=True, slots=True)
class Mark:
    """What the marks on one of our objects say: whose target it serves, for which blueprint."""

    target: Key
    blueprint: str
    target_uid: str = ""


def labels_of(mark: Mark) -> dict[str, str]:
    return {
        MANAGED_BY: PRODUCT,
        BLUEPRINT: _label_value(mark.blueprint),
        TARGET_KIND: _label_value(mark.target.kind),
        TARGET_NAME: _label_value(mark.target.name),
    }


def annotations_of(mark: Mark) -> dict[str, str]:
    found = {
        TARGET: f"{mark.target.kind}/{mark.target.namespace}/{mark.target.name}",
        BLUEPRINT: mark.blueprint,
    }
    if mark.target_uid:
        found[TARGET_UID] = mark.target_uid
    return found


def read(metadata: Mapping[str, Any]) -> Mark | None:
    """The mark of an object, or None when it is not ours."""
    if (metadata.get("labels") or {}).get(MANAGED_BY) != PRODUCT:
        return None
    found = metadata.get("annotations") or {}
    kind, _, rest = str(found.get(TARGET, "")).partition("/")
    namespace, _, name = rest.partition("/")
    if not (kind and name):
        return None
    return Mark(
        target=Key(kind, namespace, name),
        blueprint=str(found.get(BLUEPRINT, "")),
        target_uid=str(found.get(TARGET_UID, "")),
    )


def _label_value(text: str) -> str:
    """`text` as a label value: names longer than 63 characters are cut and made unique by a digest."""
    if len(text) <= 63:
        return text
    suffix = blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{text[:54].rstrip('-._')}-{suffix}"
