"""How a measure grows with size: lines on logarithmic axes, as an SVG that needs nothing else.

Each line is named at its end, so that no colour has to be told from another; ours is drawn stronger. A dotted line
shows what linear growth from our first point would be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from bench.compare.cells import Cells, Measure
from bench.compare.contestants import OURS, named
from bench.compare.goals import GOALS
from bench.figures import number

PLOTTED = (*dict.fromkeys(goal.measure for goal in GOALS), "cache-rss", "cache-peak", "first", "targets-rss")
_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 250, 46, 44
_FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_COLOURS = ("#0969da", "#bc4c00", "#8250df", "#1a7f37", "#9a6700", "#cf222e", "#57606a", "#bf3989")
_STYLE = """
    .back { fill: #ffffff; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .linear { stroke: #8b949e; stroke-dasharray: 2 4; fill: none; }
    text { fill: #1f2328; font-size: 12px; }
    .title { font-size: 15px; font-weight: 600; }
    .ours { font-weight: 700; }
    @media (prefers-color-scheme: dark) {
      .back { fill: #0d1117; }
      .grid { stroke: #30363d; }
      text { fill: #e6edf3; }
    }
"""

Point = tuple[float, float]


def plots(cells: Cells, measures: dict[str, Measure]) -> Iterator[tuple[str, str]]:
    """(name, SVG) of every measure that was taken at two sizes or more."""
    for name in PLOTTED:
        lines = {
            contestant: [
                (float(size), cell.value)
                for size in cells.sizes(name)
                if (cell := cells.get(name, size, contestant)) is not None and cell.value > 0
            ]
            for contestant in cells.contestants(name)
        }
        lines = {contestant: points for contestant, points in lines.items() if points}
        if len({size for points in lines.values() for size, _ in points}) > 1:
            yield name, _plot(measures[name], lines)


def _plot(measure: Measure, lines: dict[str, list[Point]]) -> str:
    everything = [point for points in lines.values() for point in points]
    across = _Axis([x for x, _ in everything], _LEFT, _WIDTH - _RIGHT, whole=False)
    up = _Axis([y for _, y in everything], _HEIGHT - _BOTTOM, _TOP)
    title = f"{measure.title} ({measure.unit})" if measure.unit else measure.title
    title = title[0].upper() + title[1:]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="title" font-family="system-ui, -apple-system, \'Segoe UI\', Helvetica, Arial, sans-serif">',
        f'  <title id="title">{escape(title)}, by the number of objects</title>',
        f"  <style>{_STYLE}  </style>",
        f'  <rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'  <text class="title" x="{_LEFT}" y="24">{escape(title)}</text>',
    ]
    for value in up.ticks():
        y = up.at(value)
        parts.append(f'  <line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'  <text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
    for value in sorted({x for x, _ in everything}):
        parts.append(
            f'  <text x="{across.at(value):.1f}" y="{_HEIGHT - _BOTTOM + 22}" text-anchor="middle">{value:,.0f}</text>'
        )
    if ours := lines.get(OURS):
        parts += _linear(ours[0], across, up)
    labels = _spread({name: up.at(points[-1][1]) for name, points in lines.items()})
    for index, (name, points) in enumerate(lines.items()):
        parts += _line(name, points, _COLOURS[index % len(_COLOURS)], across, up)
        x = across.at(points[-1][0])
        parts.append(
            f'  <text x="{max(x, _WIDTH - _RIGHT) + 10:.1f}" y="{labels[name] + 4:.1f}"'
            f"{_class(name)}>{escape(named(name))}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _line(name: str, points: Sequence[Point], colour: str, across: _Axis, up: _Axis) -> Iterator[str]:
    placed = [(across.at(x), up.at(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    width = 3.5 if name == OURS else 1.5
    dashes = ' stroke-dasharray="6 4"' if name.startswith("floor-") else ""
    yield f'  <polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
    for x, y in placed:
        yield f'  <circle cx="{x:.1f}" cy="{y:.1f}" r="{width + 0.5}" fill="{colour}"/>'


def _linear(first: Point, across: _Axis, up: _Axis) -> Iterator[str]:
    """Where our line would be if the double cost the double; as far as it stays in the picture."""
    (x, y), factor = first, min(across.high / first[0], up.high / first[1])
    if factor > 1:
        ends = f"{across.at(x):.1f},{up.at(y):.1f} {across.at(x * factor):.1f},{up.at(y * factor):.1f}"
        yield f'  <polyline class="linear" points="{ends}"/>'


def _class(name: str) -> str:
    return ' class="ours"' if name == OURS else ""


def _spread(wanted: dict[str, float], gap: float = 15.0) -> dict[str, float]:
    """Positions near the wanted ones, none closer to another than the gap."""
    placed: dict[str, float] = {}
    lowest = -math.inf
    for name, position in sorted(wanted.items(), key=lambda item: item[1]):
        placed[name] = lowest = max(position, lowest + gap)
    over = lowest - (_HEIGHT - _BOTTOM)
    return {name: position - max(0.0, over) for name, position in placed.items()}


class _Axis:
    """Logarithmic, from the least to the largest value, or from and to `whole` powers of ten around them."""

    def __init__(self, values: Iterable[float], start: float, end: float, *, whole: bool = True) -> None:
        found = list(values)
        self.low, self.high = min(found), max(found)
        if whole:
            self.low = 10 ** math.floor(math.log10(self.low))
            self.high = 10 ** math.ceil(math.log10(self.high * 1.0001))
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._start + (self._end - self._start) * share

    def ticks(self) -> list[float]:
        powers = round(math.log10(self.high / self.low))
        return [self.low * 10**power for power in range(powers + 1)]
