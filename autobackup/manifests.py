"""Reading manifests: files, directories and stdin, YAML or JSON, one object or many.

Contract: `load` gives every object with the place where it stands, in the order of the arguments and of the files;
lists (`kind: List`, and the `…List` that `kubectl get` prints) are taken apart. What cannot be read is a `UsageError`
that names file and line. A directory gives its `.yaml`, `.yml` and `.json` files in order of their names, without
those of its subdirectories, as kubectl does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autobackup.exits import UsageError
from autobackup.yamltext import MOST_DEPTH, Document, YamlProblem, read

STDIN = "-"
MOST_BYTES = 256 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as a file has it. `item` is its position in a list, from 0."""

    content: dict[str, Any]
    file: str
    item: int | None = None
    document: Document | None = field(default=None, repr=False)

    def place(self, *path: str) -> str:
        """`file:line` of a field of this object, or of what encloses it as far as it is there."""
        where = f"{self.file}: items[{self.item}]" if self.item is not None else self.file
        if self.document is None:
            return where
        mapping: Any = self.content
        line = self.document.line_of(mapping)
        for name in path:
            if not isinstance(mapping, dict) or name not in mapping:
                break
            line = self.document.line_of(mapping, name)
            mapping = mapping[name]
        return f"{self.file}:{line}"


def load(names: Iterable[str]) -> list[Manifest]:
    """All objects of all files; raises UsageError for the first that cannot be read."""
    found: list[Manifest] = []
    for name in names:
        if name == STDIN:
            found.extend(_objects("stdin", _text("stdin", sys.stdin.buffer.read(MOST_BYTES + 1))))
            continue
        for path in _files(name):
            found.extend(_objects(str(path), _text(str(path), _bytes(path))))
    return found


def _files(name: str) -> list[Path]:
    path = Path(name)
    try:
        if not path.is_dir():
            return [path]
        found = sorted(child for child in path.iterdir() if child.suffix in _SUFFIXES and child.is_file())
    except (OSError, ValueError) as error:
        raise UsageError(f"read {name!r}: {_why(error)}") from None
    if not found:
        raise UsageError(f"read directory {name}: it has no file that ends in {', '.join(_SUFFIXES)}")
    return found


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"read {str(path)!r}: {_why(error)}") from None


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _text(file: str, content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise UsageError(f"is larger than {MOST_BYTES // 1024**2} MiB; give the files that matter", where=file)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"is not UTF-8 text (byte {error.start})", where=f"{file}:{line}") from None


def _objects(file: str, text: str) -> Iterator[Manifest]:
    for document in _documents(file, text):
        source = document if document.lines else None
        if not isinstance(document.value, dict):
            what = "a list" if isinstance(document.value, list) else "a plain value"
            raise UsageError(
                f"{what}, where an object with apiVersion and kind belongs", where=f"{file}:{document.line}"
            )
        yield from _taken_apart(Manifest(document.value, file, None, source))


def _taken_apart(manifest: Manifest) -> Iterator[Manifest]:
    content = manifest.content
    for name in ("apiVersion", "kind"):
        value = content.get(name)
        if not isinstance(value, str) or not value:
            problem = "is not text" if name in content else "is missing"
            raise UsageError(
                f"{name} {problem}; every object starts with apiVersion and kind", where=manifest.place(name)
            )
    items = content.get("items")
    if not content["kind"].endswith("List") or not isinstance(items, list):
        yield manifest
        return
    for position, item in enumerate(items):
        part = Manifest(item, manifest.file, position, manifest.document)
        if not isinstance(item, dict):
            raise UsageError(f"items[{position}] is not an object", where=manifest.place("items"))
        # In a typed list (`DeploymentList`) the items need not say their kind.
        if content["kind"] != "List":
            item.setdefault("apiVersion", content["apiVersion"])
            item.setdefault("kind", content["kind"].removesuffix("List"))
        if str(item.get("kind", "")).endswith("List"):
            raise UsageError("a list within a list; take it out", where=part.place("kind"))
        yield from _taken_apart(part)


def _documents(file: str, text: str) -> Iterator[Document]:
    if text.lstrip()[:1] == "{":
        try:
            value = json.loads(text, object_pairs_hook=_without_repetition)
        except json.JSONDecodeError as error:
            if file.endswith(".json"):
                raise UsageError(f"is not JSON: {error.msg}", where=f"{file}:{error.lineno}:{error.colno}") from None
        except _Repeated as error:
            raise UsageError(f"key {str(error)[:80]!r} is given twice in one object", where=file) from None
        except (RecursionError, ValueError) as error:
            what = f"nested deeper than {MOST_DEPTH} levels" if isinstance(error, RecursionError) else str(error)
            raise UsageError(what, where=file) from None
        else:
            if _is_deeper(value, MOST_DEPTH):
                raise UsageError(f"nested deeper than {MOST_DEPTH} levels", where=file)
            yield Document(value, 1)
            return
    try:
        yield from read(text)
    except YamlProblem as problem:
        raise UsageError(str(problem), where=f"{file}:{problem.line}") from None


class _Repeated(Exception):
    """A key that is there twice."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _Repeated(next(key for key in keys if keys.count(key) > 1))
    return found


def _is_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True
