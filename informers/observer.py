"""What an informer reports about itself.

Contract: every method does nothing; whoever wants logs and metrics overrides what it needs (H12). The
informers neither log nor count on their own. Methods are called from the event loop, must return at once and
must not raise.

Invariant: nothing here is called per event. Counts of events are handed over once per received chunk, so that
an implementation may spend a microsecond on them.

Source of the idea: client-go `tools/cache/reflector_metrics.go`, turned from a metrics registry into an
interface.
"""

from __future__ import annotations

from collections.abc import Mapping

from informers.resource import ObjectKey, Resource


class InformerObserver:
    """Observes nothing; a base to override."""

    def watch_started(self, resource: Resource, namespace: str) -> None:
        """A stream was opened, whether for the initial events or to resume."""

    def watch_ended(self, resource: Resource, namespace: str, *, reason: str, events: int, seconds: float) -> None:
        """A stream ended; `reason` is `closed`, `short` (R19), `rewound`, `undecodable`, or an error's class."""

    def listed(self, resource: Resource, namespace: str, *, items: int, rows: int, seconds: float) -> None:
        """The whole collection was read (`items` received, `rows` of interest) and has replaced the store's slice."""

    def relist(self, resource: Resource, namespace: str, *, reason: str) -> None:
        """The collection is going to be read again, and why."""

    def attempt_failed(
        self, resource: Resource, namespace: str, *, error: Exception, retry_in: float, repeated: bool
    ) -> None:
        """A request or stream failed; `repeated` when it is the same failure as the time before (log those once)."""

    def synced(self, resource: Resource, namespace: str, *, seconds: float) -> None:
        """The first complete state is in the store and with the handlers; seconds since the start."""

    def availability(self, resource: Resource, *, available: bool) -> None:
        """An optional kind appeared or disappeared."""

    def events(self, resource: Resource, counts: Mapping[str, int]) -> None:
        """Events received since the last call, by type; unknown types count as `UNKNOWN` (H11)."""

    def suppressed(self, resource: Resource, *, equal: int, stale: int) -> None:
        """Rows that changed nothing we use (D4), and rows older than what is stored (S7), since the last call."""

    def objects(self, resource: Resource, count: int) -> None:
        """How many rows the store holds now."""

    def decode_failed(self, resource: Resource, key: ObjectKey | None, error: Exception) -> None:
        """An object could not be decoded or projected; it was skipped and its old row kept (R20)."""

    def undecodable(self, resource: Resource, count: int) -> None:
        """How many objects are, as of now, skipped because they cannot be decoded."""

    def handler_failed(self, resource: Resource, handler: str, key: ObjectKey, error: Exception) -> None:
        """A handler raised; its other deltas and all other handlers go on (H3)."""

    def index_failed(self, resource: Resource, index: str, key: ObjectKey, error: Exception) -> None:
        """An index function raised; the row is stored and found by its key, not by this index (S9)."""
