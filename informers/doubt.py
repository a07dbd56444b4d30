"""Whether the server that answers may have older storage than we know (R10).

Contract: a watch that could not be opened raises the doubt; `settle`, before the next one is opened, asks the server.
To a watch from a version that it does not have a kube-apiserver says nothing until its versions have passed that one,
and what is between is missing for ever (kubernetes#107457). A list that may not be older than that version it refuses
at once, with `ResourceVersionTooLarge`.

Invariant: a server that answers with errors is asked once; one that did not answer may be another one afterwards.
"""

from __future__ import annotations

from informers.errors import TransportError
from informers.listing import require_version
from informers.resource import Resource
from informers.transport import Transport


class Doubt:
    """That of one reflector."""

    def __init__(self, transport: Transport, resource: Resource, *, namespace: str) -> None:
        self._transport = transport
        self._resource = resource
        self._namespace = namespace
        self._raised = False
        self._asked = False

    def open_failed(self, error: Exception) -> None:
        self._raised = self._raised or isinstance(error, TransportError) or not self._asked

    async def settle(self, revision: str) -> None:
        """Ask, if there is a doubt. Raises what `require_version` raises."""
        if self._raised:
            await require_version(self._transport, self._resource, namespace=self._namespace, revision=revision)
            self._raised, self._asked = False, True

    def clear(self) -> None:
        """A stream was opened, or a collection was read: whatever the server has, it is what we know."""
        self._raised = self._asked = False
