"""How a server may write what is watched, and which of these it chose.

Contract: a client asks for what it likes best and for what it understands as well, in one header; the answer says what
it is, and is read as that. So a server, or a proxy, that knows nothing of protobuf is understood too. Whole objects
are asked for in JSON only: each kind would need a decoder of its own.

An `Encoding` is a splitter, which makes frames of the chunks of a stream, and pure functions from a frame to an event,
or to the object that an undecodable one was about. Its events do not tell which encoding it was.

Source of the idea: client-go `metadata/metadata.go`, which asks for the same three in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from informers.frames import LineSplitter, RawEvent, decode_line, identify
from informers.protobufframes import FrameSplitter, decode_frame, identify_frame
from informers.resource import ObjectKey
from informers.transport import METADATA

PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf"
ACCEPT_OBJECTS = "application/json"
# The last choice is for servers that cannot reduce objects; whole ones are understood as well.
ACCEPT_METADATA = f"{PROTOBUF_TYPE};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{METADATA},application/json"


class Splitter(Protocol):
    """Whole frames out of arbitrary chunks."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk completes."""
        ...

    @property
    def fragment(self) -> int:
        """The bytes of a frame that has not ended yet."""
        ...


class Decode(Protocol):
    """The event in one frame, or a `DecodeError`."""

    def __call__(self, frame: bytes, /, *, metadata_only: bool, marker: bytes | None) -> RawEvent: ...


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to write events."""

    splitter: Callable[[], Splitter]
    decode: Decode
    identify: Callable[[bytes], ObjectKey | None]


JSON = Encoding(LineSplitter, decode_line, identify)
PROTOBUF = Encoding(FrameSplitter, decode_frame, identify_frame)


def encoding_of(content_type: str) -> Encoding:
    """That of an answer of this type; whatever is not known is read as JSON, which says what is wrong with it."""
    return PROTOBUF if content_type.partition(";")[0].strip().lower() == PROTOBUF_TYPE else JSON
