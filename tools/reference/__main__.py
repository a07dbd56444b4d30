"""`python -m tools.reference`: see the package."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.reference.pages import render

DIRECTORY = Path(__file__).parents[2] / "docs" / "reference"


def differences(directory: Path) -> Iterator[str]:
    """What keeps the directory from being exactly what the code says, as lines of a diff."""
    wanted = render()
    for name in sorted(wanted.keys() | _present(directory)):
        path = directory / name
        before = path.read_text() if path.exists() else ""
        after = wanted.get(name, "")
        yield from difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"docs/reference/{name} as committed",
            f"docs/reference/{name} from the code",
        )


def write(directory: Path) -> None:
    """Make the directory what the code says; a page that nobody writes any more is removed."""
    wanted = render()
    for name in _present(directory) - wanted.keys():
        (directory / name).unlink()
    for name, text in wanted.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _present(directory: Path) -> set[str]:
    found = (path for kind in ("*.md", "*.json") for path in directory.rglob(kind))
    return {path.relative_to(directory).as_posix() for path in found}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description="Write docs/reference/.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a page is out of date")
    parser.add_argument("--output", type=Path, default=DIRECTORY, help="directory of the pages (default: %(default)s)")
    options = parser.parse_args()
    if not options.check:
        write(options.output)
        return 0
    found = list(differences(options.output))
    if found:
        sys.stdout.writelines(found)
        print("docs/reference is out of date: run `make docs` and commit the result", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
