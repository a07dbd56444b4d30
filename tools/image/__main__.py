"""`python -m tools.image` builds the operator's image; archive, list of contents and sizes are what comes out."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tools.image.builder import NAME, ROOT, build_image
from tools.image.errors import ImageError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "image", metavar="FOLDER")
    parser.add_argument("--base", default="", help="image to build on, pulled if need be (default: a Debian made here)")
    parser.add_argument("--name", default=NAME, help="name in the archive (default: %(default)s)")
    return parser.parse_args()


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def main() -> int:
    options = arguments()
    began = time.monotonic()
    try:
        image = build_image(options.output, base=options.base or None, name=options.name)
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"image      {image.name}@{image.digest}")
    print(f"archive    {image.archive}, {megabytes(image.compressed_bytes)}")
    print(f"inventory  {image.inventory} (CycloneDX)")
    print(f"size       {megabytes(image.own_bytes)} above the base of {megabytes(image.base_bytes)}")
    print(f"built in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
