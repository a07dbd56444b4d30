"""The project's own documents, taken apart: fenced blocks, links, headings, code spans."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`\n]*)$")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_SPAN = re.compile(r"(`+)(.+?)\1")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words after the fence, the text, and the line (from 1) of the fence."""

    file: Path
    line: int
    info: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.info[0] if self.info else ""

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """Every document of the project."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "informers").glob("*.md")])


def written_by_hand() -> list[Path]:
    return [path for path in documents() if ROOT / "docs" / "reference" not in path.parents]


def blocks(path: Path) -> list[Block]:
    found: list[Block] = []
    opening: re.Match[str] | None = None
    start, lines = 0, list[str]()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opening is None and fence:
            opening, start, lines = fence, number, []
        elif opening is not None and line.strip() == opening["fence"]:
            found.append(Block(path, start, tuple(opening["info"].split()), "\n".join(lines) + "\n"))
            opening = None
        elif opening is not None:
            lines.append(line.removeprefix(opening["indent"]))
    assert opening is None, f"{path}:{start}: the block is never closed"
    return found


def prose(path: Path) -> str:
    """The text without fenced blocks."""
    kept, inside = [], False
    for line in path.read_text().splitlines():
        if _FENCE.match(line) or (inside and line.strip().startswith("```")):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links(path: Path) -> list[str]:
    """The targets of the links that stay within the project."""
    text = _SPAN.sub("", prose(path))
    return [m["target"] for m in _LINK.finditer(text) if not re.match(r"[a-z]+:", m["target"])]


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    found = set()
    for heading in _HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return found


def spans(path: Path) -> list[str]:
    return [text.strip() for _, text in _SPAN.findall(prose(path))]


def command_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The words after `autobackup` of every command line that a document shows, with the line as it stands."""
    shown = [line for block in blocks(path) if block.language in ("sh", "console") for line in _lines(block)]
    shown += [span for span in spans(path) if re.match(r"(kubectl )?autobackup [a-z-]", span)]
    for line in shown:
        for part in re.split(r"\s(?:\|\||&&|\||;)\s", line):
            words = shlex.split(part, comments=True)
            words = words[1:] if words[:1] == ["kubectl"] else words
            if words[:1] == ["autobackup"]:
                end = next((n for n, word in enumerate(words) if word in (">", ">>", "2>", "&")), len(words))
                yield line, words[1:end]


def _lines(block: Block) -> list[str]:
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        return [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return text.splitlines()
