"""The Lease object: what it says, and what is written into it.

Contract: `read` understands whatever an API server may hand out, also what other programs wrote into the Lease: a field
that is missing, or of a form we do not know, counts as not said. `held_by` and `released` make the next version of the
object and keep what they do not know. Nothing here compares a time in a Lease with a clock: those times are another
machine's (L1). They are written for people, always UTC and with six digits, which is the only form the server takes.

Source: Kubernetes' `coordination.k8s.io/v1`; client-go `tools/leaderelection/resourcelock/leaselock.go`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from informers.errors import DecodeError
from informers.resource import ObjectKey, Resource
from informers.revision import parse_revision

LEASE: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
RELEASED_SECONDS: Final = 1
NOTE: Final = "autobackup.stash.appscode.com/handed-over"
"""Annotation with what the last holder had to tell when it gave the Lease back; gone as soon as somebody holds it."""


@dataclass(frozen=True, slots=True)
class Record:
    """Who holds the Lease and since when, as it is written there. Times are texts, kept to see that they changed."""

    holder: str = ""
    seconds: float | None = None
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """One version of the object."""

    document: Mapping[str, Any]
    revision: str
    uid: str
    record: Record

    @property
    def note(self) -> str:
        """What the last holder left, if nobody has held the Lease since."""
        annotations = self.document["metadata"].get("annotations")
        return "" if self.record.holder or not isinstance(annotations, dict) else _text(annotations.get(NOTE))

    @property
    def order(self) -> int:
        """A number that grows from version to version; 0 when it cannot be told."""
        return parse_revision(self.revision)


def read(document: Any) -> Lease:
    """The Lease in a decoded answer or event. Raises DecodeError when it cannot be one."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    revision = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(revision, str) or not revision:
        raise DecodeError("read the Lease", reason="BadObject", message="an object without metadata.resourceVersion")
    return Lease(document, revision, _text(metadata.get("uid")), _record(document.get("spec")))


def held_by(holder: str, *, seconds: int, at: datetime, key: ObjectKey, last: Lease | None) -> dict[str, Any]:
    """The next version, in which `holder` has the Lease: taken, if somebody else had it before, or else renewed.

    Without a `last` version the object is to be created; with one, the server accepts it only if nothing was written in
    between: the resourceVersion is in it. The uid is as well, because a Lease may be created by PUT, and a renewal of
    one that was deleted must fail instead.
    """
    record = last.record if last else Record()
    document = _copy(last) if last else _new(key)
    spec = document["spec"]
    _leave(document, "")
    spec["holderIdentity"] = holder
    spec["leaseDurationSeconds"] = seconds
    spec["renewTime"] = micro(at)
    if record.holder != holder:
        spec["acquireTime"] = spec["renewTime"]
        spec["leaseTransitions"] = record.transitions + 1 if last else 0
    return document


def released(last: Lease, *, at: datetime, note: str = "") -> dict[str, Any]:
    """The next version, in which nobody has the Lease (L9)."""
    document = _copy(last)
    _leave(document, note)
    spec = document["spec"]
    spec["holderIdentity"] = ""
    spec["leaseDurationSeconds"] = RELEASED_SECONDS
    spec["renewTime"] = spec["acquireTime"] = micro(at)
    return document


def micro(at: datetime) -> str:
    """An instant as the API's MicroTime."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime | None:
    """An instant out of a Lease, for people: in UTC, whatever the zone and the digits; None when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Without a zone it could be any instant of a day: not said.
    return at.astimezone(UTC) if at.tzinfo else None


def _copy(last: Lease) -> dict[str, Any]:
    document = copy.deepcopy(dict(last.document))
    if not isinstance(document.get("spec"), dict):
        document["spec"] = {}
    # Half of the object, and not ours to say; the server keeps it.
    document["metadata"].pop("managedFields", None)
    return document


def _leave(document: dict[str, Any], note: str) -> None:
    annotations = document["metadata"].get("annotations")
    if note:
        document["metadata"]["annotations"] = {**(annotations or {}), NOTE: note}
    elif isinstance(annotations, dict):
        annotations.pop(NOTE, None)


def _new(key: ObjectKey) -> dict[str, Any]:
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {},
    }


def _record(spec: object) -> Record:
    if not isinstance(spec, dict):
        return Record()
    seconds = _number(spec.get("leaseDurationSeconds"))
    return Record(
        holder=_text(spec.get("holderIdentity")),
        seconds=seconds if seconds > 0 else None,
        acquired=_text(spec.get("acquireTime")),
        renewed=_text(spec.get("renewTime")),
        transitions=int(_number(spec.get("leaseTransitions"))),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
