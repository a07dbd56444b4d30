"""What the contenders of the cold sync have in common: the request, and how its end looks.

It is the request of our informer for all Deployments: a streaming list, as metadata, in protobuf, uncompressed.
"""

from __future__ import annotations

from urllib.parse import urlencode

PATH = "/apis/apps/v1/deployments"
ACCEPT = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
QUERY = urlencode(
    {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "",
        "timeoutSeconds": "300",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
)
END = b"k8s.io/initial-events-end"


class EndFinder:
    """Whether the mark that ends the initial events has been seen, over the borders of pieces."""

    def __init__(self) -> None:
        self.bytes = 0
        self._tail = b""

    def feed(self, piece: bytes) -> bool:
        self.bytes += len(piece)
        if END in piece or END in self._tail + piece[: len(END)]:
            return True
        self._tail = piece[-len(END) :]
        return False
