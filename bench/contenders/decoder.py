"""One decoder over one event, so many times: python -m bench.contenders.decoder KIND FILE COUNT

It imports as little as can be, because it also runs under valgrind and in the environment of the Python peers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Decode = Callable[[bytes], Any]
_MARKER = b"stash.appscode.com/backup-blueprint"


def _whole() -> Decode:
    return json.loads


def _cut() -> Decode:
    from informers.frames import decode_line  # noqa: PLC0415

    return lambda line: decode_line(line, metadata_only=True)


def _ours() -> Decode:
    from informers.frames import decode_line  # noqa: PLC0415

    return lambda line: decode_line(line, metadata_only=True, marker=_MARKER)


def _protobuf() -> Decode:
    from informers.protobufframes import decode_frame  # noqa: PLC0415

    return lambda frame: decode_frame(frame, marker=_MARKER)


def _msgspec() -> Decode:
    import msgspec  # noqa: PLC0415 - in the peers' environment only

    fields: list[Any] = [(name, str) for name in ("name", "uid", "resourceVersion")]
    fields += [("namespace", str, ""), ("generation", int, 0)]
    fields += [(name, dict[str, str], {}) for name in ("annotations", "labels")]
    metadata = msgspec.defstruct("Metadata", fields)
    whole = msgspec.defstruct("Object", [("metadata", metadata)])
    event = msgspec.defstruct("Event", [("type", str), ("object", whole)])
    decode: Decode = msgspec.json.Decoder(event).decode
    return decode


DECODERS: dict[str, Callable[[], Decode]] = {
    "json.loads": _whole,
    "cut": _cut,
    "ours": _ours,
    "protobuf": _protobuf,
    "msgspec": _msgspec,
}

if __name__ == "__main__":
    decode, data = DECODERS[sys.argv[1]](), Path(sys.argv[2]).read_bytes()
    for _ in range(int(sys.argv[3])):
        decode(data)
