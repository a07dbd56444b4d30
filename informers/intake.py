"""From lines to rows: decoding, projecting, and what to do with an object for which that fails.

Contract: `gather` puts one initial event into a replacement, `gather_item` one element of a LIST; `apply`
puts live events into the sink and moves `revision` behind them. All of it is synchronous (T1).

Invariants:
- `revision`, from which a watch is resumed, moves after the sink has the event (R11), by bookmarks as well
  (R12), and never backwards: a lower one raises `Rewound`.
- R20: an object that cannot be decoded or projected is counted and named, its old row stays, and neither the
  events after it nor any other object waits. When an object begins to be undecodable in a live stream, one
  repairing relist is asked for (`repair_wanted`), which mends a passing fault; a projection that raises would
  raise again.
- Event types and kinds outside the protocol are counted and ignored (H11).

Source of the idea: client-go `reflector.go: handleAnyWatch`, which logs such an event and loses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from informers.clock import Clock
from informers.encoding import Encoding
from informers.errors import ApiError, DecodeError, Rewound, error_from_status
from informers.frames import OBJECT_EVENTS, RawEvent, count_types, decode_item
from informers.history import Anchor
from informers.observer import InformerObserver
from informers.projection import Projection, Row
from informers.replacement import Replacement
from informers.resource import ObjectKey, Resource
from informers.revision import UNKNOWN, is_older, parse_revision

R = TypeVar("R", bound=Row)
_ANCHOR_BYTES = 64 * 1024


class Sink(Protocol[R]):
    """Where a reflector puts what it learns; implemented by the shared informer, synchronous throughout."""

    def begin(self, scope: str) -> Replacement[R]:
        """An empty replacement of the slice."""
        ...

    def replace(self, scope: str, replacement: Replacement[R], *, revision: int, initial: bool) -> Iterator[None]:
        """Make this the whole slice, at once. The iterator then tells the handlers: one share of it each step."""
        ...

    def reaches(self, scope: str) -> int:
        """The version up to which the slice is known."""
        ...

    def upsert(self, row: R) -> None: ...

    def remove(self, key: ObjectKey, *, uid: str, revision: int) -> None: ...

    def advance(self, scope: str, revision: int) -> None: ...

    def absent(self, scope: str) -> None:
        """The kind is certainly not served."""
        ...

    def holds(self, scope: str) -> bool:
        """Whether the slice has any rows."""
        ...

    def flush(self) -> None:
        """The end of a batch: time to report counts."""
        ...


class Intake(Generic[R]):
    """The synchronous half of a reflector."""

    def __init__(
        self,
        resource: Resource,
        projection: Projection[R],
        sink: Sink[R],
        *,
        namespace: str,
        clock: Clock,
        observer: InformerObserver,
    ) -> None:
        self.revision = ""
        self.anchor: Anchor | None = None
        self._number = UNKNOWN
        self.repair_wanted = False
        self.last_bookmark_at: float | None = None
        self.bookmarked = False
        self.undecodable: set[ObjectKey] = set()
        self.unidentified = 0
        self.attempt = f"WATCH {resource.collection_path(namespace or None)}"
        self._resource = resource
        self._project = projection.project
        self._metadata_only = projection.metadata_only
        self._marker = projection.marker
        self._sink = sink
        self._namespace = namespace
        self._clock = clock
        self._observer = observer

    def widen(self, projection: Projection[R]) -> None:
        """Keep rows of more objects from now on; who asks for it sees to it that the collection is read again."""
        self._project = projection.project
        self._marker = projection.marker

    # ---- the collection

    def gather(self, line: bytes, replacement: Replacement[R], encoding: Encoding) -> RawEvent | None:
        """Take one initial event; returns the bookmark that ends them."""
        try:
            event = encoding.decode(line, metadata_only=self._metadata_only, marker=self._marker)
        except DecodeError as error:
            self._skip_initial(encoding.identify(line), error, replacement)
            return None
        kind = event.type
        if kind in OBJECT_EVENTS:
            replacement.note(parse_revision(event.resource_version), event.uid)
        if kind in ("ADDED", "MODIFIED"):
            if event.document is None:
                replacement.drop(event.namespace, event.name)
            else:
                self._gather_object(event, event.document, replacement)
        elif kind == "DELETED":
            replacement.drop(event.namespace, event.name)
        elif kind == "ERROR":
            raise self._stream_error(event)
        elif kind == "BOOKMARK" and event.ends_initial_events:
            if not event.resource_version:
                raise DecodeError(self.attempt, reason="BadBookmark", message="no resourceVersion to watch from")
            return event
        return None

    def gather_item(self, item: Any, replacement: Replacement[R], *, api_version: str, kind: str) -> None:
        """Take one element of a LIST."""
        try:
            event = decode_item(item, api_version=api_version, kind=kind)
        except DecodeError as error:
            self._skip_initial(_key_of(item), error, replacement)
        else:
            replacement.note(parse_revision(event.resource_version), event.uid)
            self._gather_object(event, item, replacement)

    def adopt(
        self, replacement: Replacement[R], revision: str, *, authoritative: bool, initial: bool
    ) -> Iterator[None]:
        """Hand over a collection that was received to its end; the iterator tells the handlers, share by share.

        A collection that is older than what is stored is refused (S7), unless it was read as authoritative.
        """
        number = parse_revision(revision)
        if not authoritative and is_older(number, self._sink.reaches(self._namespace)):
            raise Rewound(
                self.attempt, reason="Rewound", message=f"the collection at {revision} is older than what is stored"
            )
        telling = self._sink.replace(self._namespace, replacement, revision=number, initial=initial)
        self.revision = revision
        self._number = number
        self.anchor = Anchor(*replacement.newest) if replacement.newest[0] else None
        self.repair_wanted = False
        self.last_bookmark_at = self._clock.monotonic()
        self.bookmarked = False
        self.undecodable = set(replacement.skipped)
        self.unidentified = replacement.unidentified
        self._report_undecodable()
        return telling

    def forget(self) -> None:
        """The kind is not served: nothing of it is undecodable either."""
        self.revision = ""
        self.anchor = None
        self._number = UNKNOWN
        self.repair_wanted = False
        self.undecodable = set()
        self.unidentified = 0
        self._report_undecodable()

    def _gather_object(self, event: RawEvent, document: Any, replacement: Replacement[R]) -> None:
        try:
            row = self._project(document)
        except Exception as error:  # a projection is foreign code: its failure is this object's, nobody else's
            self._skip_initial(ObjectKey(event.namespace, event.name), error, replacement)
            return
        if row is None:
            replacement.drop(event.namespace, event.name)
        else:
            replacement.put(row)

    def _skip_initial(self, key: ObjectKey | None, error: Exception, replacement: Replacement[R]) -> None:
        replacement.skip(key)
        self._observer.decode_failed(self._resource, key, error)

    # ---- live events

    def apply(self, lines: Sequence[bytes], encoding: Encoding) -> int:
        """Take live events; returns how many there were."""
        types: list[str] = []
        decode = encoding.decode
        heard: tuple[RawEvent, bytes] | None = None
        try:
            for line in lines:
                try:
                    event = decode(line, metadata_only=self._metadata_only, marker=self._marker)
                except DecodeError as error:
                    self._skip(encoding.identify(line), error, passing=True)
                    continue
                types.append(event.type)
                self._apply_event(event)
                if event.type in OBJECT_EVENTS:
                    heard = event, line
        finally:
            if heard is not None:
                self._remember(*heard)
            # Nobody but handlers can look before this, and what they are told of is in the store already.
            self._sink.advance(self._namespace, self._number)
            if types:
                self._observer.events(self._resource, count_types(types))
            self._sink.flush()
        return len(types)

    def _remember(self, event: RawEvent, line: bytes) -> None:
        number = parse_revision(event.resource_version)
        if number != UNKNOWN:
            self.anchor = Anchor(number, event.uid, line if len(line) <= _ANCHOR_BYTES else b"")

    def _apply_event(self, event: RawEvent) -> None:
        kind = event.type
        number = parse_revision(event.resource_version)
        if kind in ("ADDED", "MODIFIED"):
            if event.document is None:
                self._remove(event, number)
            else:
                self._upsert(event, event.document, number)
        elif kind == "DELETED":
            self._remove(event, number)
        elif kind == "BOOKMARK":
            self.last_bookmark_at = self._clock.monotonic()
            self.bookmarked = True
        elif kind == "ERROR":
            raise self._stream_error(event)
        else:
            return
        if event.resource_version:
            self._move_to(event.resource_version, number)

    def _upsert(self, event: RawEvent, document: Mapping[str, Any], number: int) -> None:
        try:
            row = self._project(document)
        except Exception as error:  # foreign code, as above
            self._skip(ObjectKey(event.namespace, event.name), error, passing=False)
            return
        if row is None:
            self._remove(event, number)
            return
        if self.undecodable:
            self._heal(ObjectKey(event.namespace, event.name))
        self._sink.upsert(row)

    def _remove(self, event: RawEvent, number: int) -> None:
        key = ObjectKey(event.namespace, event.name)
        if self.undecodable:
            self._heal(key)
        self._sink.remove(key, uid=event.uid, revision=number)

    def _move_to(self, revision: str, number: int) -> None:
        if is_older(number, self._number):
            raise Rewound(
                self.attempt,
                reason="Rewound",
                message=f"version {revision} came after {self.revision}: the server went back in time",
            )
        self.revision = revision
        self._number = number

    def _skip(self, key: ObjectKey | None, error: Exception, *, passing: bool) -> None:
        self._observer.decode_failed(self._resource, key, error)
        known = key is not None and key in self.undecodable
        if key is None:
            self.unidentified += 1
        else:
            self.undecodable.add(key)
        self.repair_wanted = self.repair_wanted or (passing and not known)
        self._report_undecodable()

    def _heal(self, key: ObjectKey) -> None:
        if key in self.undecodable:
            self.undecodable.discard(key)
            self._report_undecodable()

    def _report_undecodable(self) -> None:
        self._observer.undecodable(self._resource, len(self.undecodable) + self.unidentified)

    def _stream_error(self, event: RawEvent) -> ApiError:
        return error_from_status(self.attempt, event.document or {})


def _key_of(item: Any) -> ObjectKey | None:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    namespace = metadata.get("namespace", "") if isinstance(metadata, dict) else None
    if isinstance(name, str) and isinstance(namespace, str) and name:
        return ObjectKey(namespace, name)
    return None
