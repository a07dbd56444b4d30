"""`python -m tools.manifests`: see the package."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.manifests.chart import ChartError, render
from tools.manifests.kustomize import TREE, boards, files, generated


def differences(tree: Path) -> Iterator[str]:
    """What keeps the tree from being exactly what the chart says, as lines of a diff."""
    wanted = boards() | files()
    for name in sorted(wanted.keys() | generated(tree)):
        path = tree / name
        yield from difflib.unified_diff(
            path.read_text().splitlines(keepends=True) if path.exists() else [],
            wanted.get(name, "").splitlines(keepends=True),
            f"manifests/{name} as it is",
            f"manifests/{name} from the chart",
        )


def write(tree: Path) -> None:
    """Make the tree what the chart says; a file that nothing writes any more is removed."""
    _put(tree, boards())  # the chart has them in what comes next
    wanted = files()
    for name in generated(tree) - wanted.keys():
        (tree / name).unlink()
    _put(tree, wanted)


def _put(tree: Path, wanted: Mapping[str, str]) -> None:
    for name, text in wanted.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def install(image: str = "") -> str:
    """Everything in one file: the namespace, then what the chart has with default values."""
    repository, _, tag = image.rpartition(":")
    values = {"image": {"repository": repository, "tag": tag}} if image else {}
    namespace = (TREE / "overlays" / "default" / "namespace.yaml").read_text()
    return "---\n".join([namespace, *(document.text for document in render(values, plain=True))])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.manifests", description="Write manifests/ from the chart.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is out of date")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("install", help="print everything that an installation consists of")
    one.add_argument("--image", default="", metavar="NAME:TAG", help="image of the operator")
    options = parser.parse_args()
    try:
        if options.command == "install":
            sys.stdout.write(install(options.image))
            return 0
        if not options.check:
            write(TREE)
            return 0
        found = list(differences(TREE))
    except ChartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sys.stdout.writelines(found)
    if found:
        print("manifests/ is out of date: run `make manifests` and commit the result", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
