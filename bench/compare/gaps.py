"""What was to be measured and was not, and why: the table says so in place of a figure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

_LONGEST = 140
_FOLDERS = re.compile(r"(?<![\w.])(?:/[\w.@+-]+)+/")


@dataclass(frozen=True, slots=True)
class Gap:
    """`contestant` is empty where it is everybody; `failed`: it was tried, and a continued run tries it again."""

    group: str
    size: int
    contestant: str
    why: str
    failed: bool = True


class Gaps:
    """All of a run; the first reason for a place stays."""

    def __init__(self, gaps: Iterable[Gap] = ()) -> None:
        self._gaps = {(gap.group, gap.size, gap.contestant): gap for gap in gaps}

    def __iter__(self) -> Iterator[Gap]:
        return iter(self._gaps.values())

    def add(self, gap: Gap) -> None:
        self._gaps.setdefault((gap.group, gap.size, gap.contestant), gap)

    def forget(self, group: str, size: int) -> None:
        """What failed there; what was decided stays."""
        for key, gap in list(self._gaps.items()):
            if (gap.group, gap.size) == (group, size) and gap.failed:
                del self._gaps[key]

    def why(self, group: str, size: int, contestant: str) -> str | None:
        """The reason for this place, which may be that of everybody."""
        found = self._gaps.get((group, size, contestant)) or self._gaps.get((group, size, ""))
        return None if found is None else found.why

    def failed(self, group: str, size: int) -> bool:
        return any(gap.failed and (gap.group, gap.size) == (group, size) for gap in self)

    def failed_whole(self, group: str, size: int) -> bool:
        """For everybody."""
        return (group, size, "") in self._gaps

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(gap) for gap in self]

    @classmethod
    def of_json(cls, found: Iterable[Mapping[str, Any]]) -> Gaps:
        return cls(Gap(**entry) for entry in found)


def reason(error: BaseException) -> str:
    """One line that may be published: it names no folder of this machine, and fits into a table."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    line = _FOLDERS.sub("", line).replace("|", "/")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 2]} …"
