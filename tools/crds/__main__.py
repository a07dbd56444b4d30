"""`python -m tools.crds`: see the package."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.crds.definition import count
from tools.crds.kinds import KINDS

DIRECTORY = Path(__file__).parents[2] / "manifests" / "crds"


def stale(directory: Path) -> list[str]:
    """What keeps the directory from being exactly what the generator writes."""
    rendered = {kind.file_name: kind.render() for kind in KINDS}
    found = [
        f"{name}: {'differs' if (directory / name).exists() else 'is missing'}"
        for name, text in rendered.items()
        if not (directory / name).exists() or (directory / name).read_text() != text
    ]
    found += [f"{path.name}: no such kind" for path in sorted(directory.glob("*.yaml")) if path.name not in rendered]
    return found


def write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (directory / kind.file_name).write_text(kind.render())


def summarise() -> None:
    print(f"{'kind':24}{'fields':>8}{'rules':>8}{'bytes':>10}")
    for kind in KINDS:
        fields, rules = count(kind.schema())
        size = len(json.dumps(kind.definition(), separators=(",", ":")))
        print(f"{kind.kind:24}{fields:>8}{rules:>8}{size:>10}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.crds", description="Write the CustomResourceDefinitions.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is out of date")
    parser.add_argument(
        "--summary", action="store_true", help="change nothing; print fields, rules and size of each kind"
    )
    parser.add_argument("--output", type=Path, default=DIRECTORY, help="directory of the files (default: %(default)s)")
    options = parser.parse_args()
    if options.summary:
        summarise()
        return 0
    if options.check:
        found = stale(options.output)
        for line in found:
            print(line, file=sys.stderr)
        if found:
            print("run `python -m tools.crds` and commit the result", file=sys.stderr)
        return 1 if found else 0
    write(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
