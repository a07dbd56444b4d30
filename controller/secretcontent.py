"""The content of a source Secret, held while copies of it are written, in a type that does not print.

Contract: nothing of it gets into a representation, a log line, a traceback or a pickle. What leaves it is the body of a
write, and only the keys that were asked for.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Never

from controller.passwords import derive
from reconcilers.storagekeys import RESTIC


class SecretContent:
    """The data of one version of a Secret, encoded as the API has it."""

    __slots__ = ("_data", "version")

    def __init__(self, version: str, data: Mapping[str, str]) -> None:
        self.version = version
        self._data = data

    def data_for(self, keys: Iterable[str], *, identity: str) -> dict[str, str]:
        """The data of a copy with these keys; with an `identity` it has that repository's own password."""
        found = {key: self._data[key] for key in keys}
        if identity:
            found[RESTIC] = b64encode(derive(b64decode(self._data[RESTIC]), identity).encode()).decode()
        return found

    def __repr__(self) -> str:
        return "<content of a Secret>"

    def __reduce__(self) -> Never:
        raise TypeError("the content of a Secret is not to be stored")
