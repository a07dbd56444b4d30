"""Metadata, Status and watch events as a real API server writes them in protobuf: order of fields, what is left out.

Texts that are no pointers are written even where they are empty, as are times; maps are sorted by key. It takes the
same dictionaries as `wirejson`, and is compared with a real server in tests/informers/test_fake_is_like_real.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

ACCEPTED = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata"
OBJECT = "application/vnd.kubernetes.protobuf"
STREAM = "application/vnd.kubernetes.protobuf;stream=watch"


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def run(number: int, value: str | bytes) -> bytes:
    """A field that is a text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def table(number: int, entries: Mapping[str, str] | None) -> bytes:
    return b"".join(run(number, run(1, key) + run(2, text)) for key, text in sorted((entries or {}).items()))


def time(text: str | None) -> bytes:
    if not text:
        return b""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return integer(1, int(moment.timestamp())) + integer(2, 0)


def metadata(meta: Mapping[str, Any]) -> bytes:
    """An ObjectMeta."""
    names = ("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion")
    written = [run(number, meta.get(name) or "") for number, name in enumerate(names, start=1)]
    written.append(integer(7, meta.get("generation") or 0))
    written.append(run(8, time(meta.get("creationTimestamp"))))
    if meta.get("deletionTimestamp"):
        written.append(run(9, time(meta["deletionTimestamp"])))
    if meta.get("deletionGracePeriodSeconds") is not None:
        written.append(integer(10, meta["deletionGracePeriodSeconds"]))
    written += [table(11, meta.get("labels")), table(12, meta.get("annotations"))]
    written += [run(13, _owner(owner)) for owner in meta.get("ownerReferences") or ()]
    written += [run(14, finalizer) for finalizer in meta.get("finalizers") or ()]
    written += [run(17, _managed(entry)) for entry in meta.get("managedFields") or ()]
    return b"".join(written)


def wrapped(api_version: str, kind: str, message: bytes) -> bytes:
    """A whole object: the magic, and what says of which kind it is."""
    type_meta = run(1, api_version) + run(2, kind)
    return b"k8s\0" + run(1, type_meta) + run(2, message) + run(3, "") + run(4, "")


def partial(document: Mapping[str, Any]) -> bytes:
    """PartialObjectMetadata."""
    return wrapped("meta.k8s.io/v1", "PartialObjectMetadata", run(1, metadata(document["metadata"])))


def partial_list(documents: Iterable[Mapping[str, Any]], meta: Mapping[str, Any]) -> bytes:
    """PartialObjectMetadataList."""
    written = [run(1, _list_metadata(meta))]
    written += [run(2, run(1, metadata(document["metadata"]))) for document in documents]
    return wrapped("meta.k8s.io/v1", "PartialObjectMetadataList", b"".join(written))


def status(document: Mapping[str, Any]) -> bytes:
    """A Status."""
    written = [run(1, _list_metadata(document.get("metadata") or {}))]
    written += [run(number, document.get(name, "")) for number, name in enumerate(("status", "message", "reason"), 2)]
    details = document.get("details")
    if details is not None:
        inner = [run(number, details.get(name, "")) for number, name in ((1, "name"), (2, "group"), (3, "kind"))]
        for cause in details.get("causes") or ():
            texts = (cause.get(name, "") for name in ("reason", "message", "field"))
            inner.append(run(4, b"".join(run(number, text) for number, text in enumerate(texts, 1))))
        inner += [integer(5, details.get("retryAfterSeconds", 0)), run(6, details.get("uid", ""))]
        written.append(run(5, b"".join(inner)))
    written.append(integer(6, document.get("code", 0)))
    return wrapped("v1", "Status", b"".join(written))


def frame(kind: str, raw: bytes) -> bytes:
    """A watch event, without its length."""
    return run(1, kind) + run(2, run(1, raw))


def event(kind: str, document: Mapping[str, Any]) -> bytes:
    """A watch event as it is on the wire."""
    raw = status(document) if document.get("kind") == "Status" else partial(document)
    body = frame(kind, raw)
    return len(body).to_bytes(4, "big") + body


def _list_metadata(meta: Mapping[str, Any]) -> bytes:
    written = [run(1, ""), run(2, meta.get("resourceVersion", "")), run(3, meta.get("continue", ""))]
    if meta.get("remainingItemCount") is not None:
        written.append(integer(4, meta["remainingItemCount"]))
    return b"".join(written)


def _owner(owner: Mapping[str, Any]) -> bytes:
    named = ((1, "kind"), (3, "name"), (4, "uid"), (5, "apiVersion"))
    written = [run(number, owner.get(name, "")) for number, name in named]
    flags = ((6, "controller"), (7, "blockOwnerDeletion"))
    written += [integer(number, int(owner[name])) for number, name in flags if owner.get(name) is not None]
    return b"".join(written)


def _managed(entry: Mapping[str, Any]) -> bytes:
    names = ((1, "manager"), (2, "operation"), (3, "apiVersion"))
    return b"".join(run(number, entry.get(name, "")) for number, name in names) + run(7, run(1, repr(entry)))
