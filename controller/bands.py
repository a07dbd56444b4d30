"""The waiting room of the work queue: who is next.

Entries wait in bands (priorities), inside a band in one lane per namespace, inside a lane in order of
arrival.

Invariants:
- `pop` serves the highest band that has anybody (Q7), and in it the namespaces in turn (Q9): ten thousand
  keys of one tenant delay another tenant's key by one turn.
- An entry that waited `AGEING_SECONDS` in a band of which nobody was served for as long moves to the end of the next
  higher one (Q8), so a band that is never empty cannot starve the ones below it. This happens when somebody asks who
  is next, at most one band at a time and at most `AGEING_RESOLUTION_SECONDS` late. Who waits in a band that is served
  only waits for its turn: a roll-out that takes minutes must not climb before what people do meanwhile.
- An entry stands in exactly one lane; removing it from the middle is O(1) and leaves nothing behind.

Sources of the ideas: controller-runtime `pkg/controller/priorityqueue` (bands, order is re-stamped when
raised); ageing and turns of namespaces are ours.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from controller.priorities import BANDS

AGEING_SECONDS: Final = 60.0
AGEING_RESOLUTION_SECONDS: Final = 1.0


class Waiting(Protocol):
    """What an entry carries for the waiting room; `band` and `band_since` are written by it alone."""

    namespace: str
    band: int
    band_since: float


E = TypeVar("E", bound=Waiting)

BAND_OF: Final[dict[int, int]] = {priority: index for index, priority in enumerate(BANDS)}
"""Index of the band of a priority; 0 is the most urgent."""


class Bands(Generic[E]):
    """The ready entries, ordered by priority, age and turn of their namespaces."""

    def __init__(self, *, ageing: float = AGEING_SECONDS) -> None:
        self._ageing = ageing
        # OrderedDict and not dict, because taking the first of a dict whose front was deleted is linear in what was
        # deleted. Not a deque, because an entry that is raised leaves from the middle.
        self._lanes: tuple[dict[str, OrderedDict[E, None]], ...] = tuple({} for _ in BANDS)
        # The same lanes in the order of their turns; one that was emptied from the middle stays behind until its turn.
        self._turns: tuple[deque[OrderedDict[E, None]], ...] = tuple(deque() for _ in BANDS)
        self._served = [float("-inf")] * len(BANDS)
        self._next_ageing = float("inf")

    def waits(self, now: float, bands: int) -> bool:
        """Whether anybody waits in the first so many bands, or may rise into them."""
        return any(self._lanes[:bands]) or now >= self._next_ageing

    def __iter__(self) -> Iterator[E]:
        for turns in self._turns:
            for lane in turns:
                yield from lane

    def depth(self) -> dict[int, int]:
        """How many wait, by the priority of the band they wait in now."""
        return {priority: sum(map(len, lanes.values())) for priority, lanes in zip(BANDS, self._lanes, strict=True)}

    def push(self, entry: E, index: int, now: float) -> None:
        """Put `entry` at the end of its lane in the band with this index."""
        entry.band = index
        entry.band_since = now
        lanes = self._lanes[index]
        lane = lanes.get(entry.namespace)
        if lane is None:
            lane = lanes[entry.namespace] = OrderedDict()
            self._turns[index].append(lane)
        lane[entry] = None
        if index and now + self._ageing < self._next_ageing:
            self._next_ageing = now + self._ageing

    def remove(self, entry: E) -> None:
        lanes = self._lanes[entry.band]
        lane = lanes[entry.namespace]
        del lane[entry]
        if not lane:
            del lanes[entry.namespace]

    def raise_to(self, entry: E, index: int, now: float) -> None:
        """Move `entry` to the end of a higher band; one that has risen that far already stays."""
        if index < entry.band:
            self.remove(entry)
            self.push(entry, index, now)

    def pop(self, now: float, bands: int = len(BANDS)) -> E | None:
        """Take the entry whose turn it is, of those in the first so many bands."""
        if now >= self._next_ageing:
            self._age(now)
        for turns in self._turns if bands == len(BANDS) else self._turns[:bands]:
            while turns:
                lane = turns[0]
                if not lane:
                    turns.popleft()
                    continue
                entry = lane.popitem(last=False)[0]
                if lane:
                    turns.rotate(-1)
                else:
                    turns.popleft()
                    del self._lanes[entry.band][entry.namespace]
                self._served[entry.band] = now
                return entry
        return None

    def _age(self, now: float) -> None:
        """Lift who waited long enough, in a band that is not served, by one band.

        Lanes are sorted by arrival in the band, so their heads are enough to look at; the heads are looked at
        once a second at most, so ten thousand namespaces do not make `pop` linear.
        """
        oldest = float("inf")
        for index in range(len(self._turns) - 1, 0, -1):
            for lane in self._turns[index]:
                while lane:
                    entry = next(iter(lane))
                    since = max(entry.band_since, self._served[index])
                    if since + self._ageing > now:
                        oldest = min(oldest, since)
                        break
                    self.remove(entry)
                    self.push(entry, index - 1, now)
        self._next_ageing = max(oldest + self._ageing, now + AGEING_RESOLUTION_SECONDS)
