"""From an API object to the few values that are kept of it.

Contract: `project` is pure and is called once per received object, before the store (S10). It returns a
frozen row, or None for "not of interest": such an object is stored nowhere, and a row that was stored under
its key is deleted.

Invariants:
- Row equality means "nothing that we use has changed": it is what decides whether an update is an update
  (D4), so `resource_version` must be declared `field(compare=False)`.
- A row holds strings, numbers and flat tuples, never a part of the decoded object: one nested dictionary
  keeps kilobytes alive.
- `marker` is a promise about encoding: an object whose encoded form lacks these bytes projects to None. It
  saves the decoding of nearly every object in a cluster where few are of interest.

Source of the idea: client-go's transformers, turned round: they strip what is known to be useless, this keeps
what is known to be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from informers.revision import parse_revision

# Bytes that every JSON encoder writes as they are. A slash may be escaped, which frames.py takes care of.
_PLAIN = re.compile(rb"[A-Za-z0-9._/ :-]+")


class Row(Protocol):
    """The least that a stored row has."""

    @property
    def namespace(self) -> str:
        """The empty string for a cluster-scoped object."""
        ...

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> int:
        """As `revision.parse_revision` reads it; not part of the row's equality."""
        ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Projection(Generic[R]):
    """How the objects of one resource become rows.

    `metadata_only` asks the server for `PartialObjectMetadata`: a third of the bytes, and a cheaper decode.
    `marker`, see above, is only meaningful together with it.
    """

    project: Callable[[Mapping[str, Any]], R | None]
    metadata_only: bool
    marker: bytes | None = None

    def __post_init__(self) -> None:
        if self.marker is not None and not _PLAIN.fullmatch(self.marker):
            raise ValueError(
                f"marker {self.marker!r}: only letters, digits and ' ._/:-' are encoded the same everywhere"
            )
        if self.marker is not None and not self.metadata_only:
            raise ValueError("a marker needs metadata_only: a whole object is always decoded")


@dataclass(frozen=True, slots=True)
class MetaRow:
    """The smallest useful row: that an object exists, and which life of it this is."""

    namespace: str
    name: str
    uid: str
    resource_version: int = field(compare=False)


def project_meta(document: Mapping[str, Any]) -> MetaRow:
    """The projection to `MetaRow`."""
    metadata = document["metadata"]
    return MetaRow(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=parse_revision(metadata["resourceVersion"]),
    )
