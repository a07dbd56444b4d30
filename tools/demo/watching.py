"""A watch whose opening is known, so that nothing that happens afterwards can be missed or dated too late."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator

from tools.controlplane import ApiClient, ApiFailure, ApiUnreachable
from tools.controlplane.client import Object

_SECONDS = 3600


class Watch:
    """One watch of one kind from one revision on: open when the constructor returns."""

    def __init__(self, client: ApiClient, kind: str, *, namespace: str | None, revision: str) -> None:
        query = {
            "watch": "true",
            "resourceVersion": revision,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_SECONDS),
        }
        self._what = f"watch {kind}"
        target = client.kind(kind).path(namespace=namespace) + "?" + urllib.parse.urlencode(query)
        self._connection = client._new_connection(_SECONDS + 60.0)
        try:
            self._connection.request("GET", target, headers={"Authorization": f"Bearer {client.token}"})
            self._response = self._connection.getresponse()
            if self._response.status >= 400:
                raise ApiFailure(self._what, self._response.status, self._response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ApiUnreachable(f"{self._what}: {type(error).__name__}: {error}") from error

    def events(self) -> Iterator[Object]:
        """Events as they arrive, until the server ends the watch; `ApiUnreachable` if it is cut."""
        rest = b""
        try:
            while piece := self._response.read1(1 << 16):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachable(f"{self._what}: {type(error).__name__}: {error}") from error
        finally:
            self._connection.close()
