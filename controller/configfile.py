"""The configuration file: YAML into values by dotted key, and words for what is wrong in it.

Contract: `read` never raises for what a file holds; each mistake becomes a text in `problems`, which names the file,
the key and the nearest known one. A key that is there twice is a mistake: YAML lets the last one win in silence.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


def shown(raw: object) -> str:
    """A value as it stands in an error."""
    text = repr(raw)
    return text if len(text) <= 80 else text[:77] + "..."


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that was perhaps meant, or all of them, as the end of a sentence."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys, of which the last one would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read(path: str, known: Sequence[str], problems: list[str]) -> dict[str, object]:
    """What the file sets, by dotted key; `known` are the keys that there are."""
    try:
        data = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  it is a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"file {path}: cannot be read: {error}")
        return {}
    except yaml.YAMLError as error:
        problems.append(f"file {path}: is not YAML: {' '.join(str(error).split())}")
        return {}
    if data is None:
        return {}
    if not isinstance(data, dict):
        problems.append(f"file {path}: holds {shown(data)} instead of keys with values")
        return {}
    found: dict[str, object] = {}
    _collect(data, "", path, known=known, found=found, problems=problems)
    return found


def _collect(
    data: Mapping[Any, object],
    at: str,
    path: str,
    *,
    known: Sequence[str],
    found: dict[str, object],
    problems: list[str],
) -> None:
    for name, value in data.items():
        key = f"{at}{name}"
        if key in known:
            found[key] = value
        elif any(other.startswith(f"{key}.") for other in known):
            if isinstance(value, dict):
                _collect(value, f"{key}.", path, known=known, found=found, problems=problems)
            else:
                inside = ", ".join(other for other in known if other.startswith(f"{key}."))
                problems.append(f"file {path}, {key}: {shown(value)} is not allowed; it holds {inside}")
        else:
            problems.append(f"file {path}: unknown key {key}{nearest(key, known)}")
