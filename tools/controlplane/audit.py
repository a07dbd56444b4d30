"""The API server's own record of who asked for what: the oracle for write counts, rights and writers.

`AuditLog.mark()` is a position in the file; `since(mark)` gives the events after it. Written with policy
level Metadata and mode "blocking": an event is on disk before the handler of its request returns. A line
that a `kill -9` cut short is skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One request, as far as questions about it go."""

    stage: str
    verb: str
    uri: str
    user: str
    user_agent: str
    status: int
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    time: str

    @property
    def is_write(self) -> bool:
        return self.verb in WRITE_VERBS

    @property
    def is_denied(self) -> bool:
        return self.status in (401, 403)

    @property
    def dry_run(self) -> bool:
        return "dryRun=" in self.uri

    @classmethod
    def parse(cls, event: dict[str, Any]) -> AuditEvent:
        target = event.get("objectRef") or {}
        return cls(
            stage=event["stage"],
            verb=event["verb"],
            uri=event["requestURI"],
            user=event.get("user", {}).get("username", ""),
            user_agent=event.get("userAgent", ""),
            status=(event.get("responseStatus") or {}).get("code", 0),
            group=target.get("apiGroup", ""),
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            time=event.get("stageTimestamp", ""),
        )


class AuditLog:
    """Reads an audit log that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """Now, as an offset for `since`."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, mark: int = 0) -> Iterator[AuditEvent]:
        """Finished requests and started watches after `mark`, oldest first."""
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                yield AuditEvent.parse(event)

    def requests(
        self,
        mark: int = 0,
        *,
        user: str | None = None,
        namespace: str | None = None,
        resource: str | None = None,
        verbs: frozenset[str] | set[str] | None = None,
    ) -> list[AuditEvent]:
        """Each matching request once (a watch counts when it starts)."""
        return [
            event
            for event in self.since(mark)
            if event.stage == ("ResponseStarted" if event.verb == "watch" else "ResponseComplete")
            and (user is None or event.user == user)
            and (namespace is None or event.namespace == namespace)
            and (resource is None or event.resource == resource)
            and (verbs is None or event.verb in verbs)
        ]

    def writes(
        self,
        mark: int = 0,
        *,
        user: str | None = None,
        namespace: str | None = None,
        resource: str | None = None,
    ) -> list[AuditEvent]:
        """Requests that change something; dry runs do not."""
        found = self.requests(mark, user=user, namespace=namespace, resource=resource, verbs=WRITE_VERBS)
        return [event for event in found if not event.dry_run]

    def count(self, mark: int = 0, *, user: str | None = None) -> Counter[tuple[str, str, str]]:
        """Number of requests by (user, verb, resource/subresource)."""
        return Counter(
            (event.user, event.verb, f"{event.resource}/{event.subresource}".rstrip("/"))
            for event in self.requests(mark, user=user)
        )
