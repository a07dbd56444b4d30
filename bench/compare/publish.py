"""The published comparison: samples beside the code, table and plots in the docs, each made from the samples alone.

The page is written by hand but for what stands between two marks; a test makes that again and compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.compare.cells import Cells
from bench.compare.measures import MEASURES
from bench.compare.plots import plots
from bench.compare.report import report

_ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = _ROOT / "bench" / "compare" / "published.json"
PAGE: Final = _ROOT / "docs" / "explanation" / "performance.md"
PICTURES: Final = _ROOT / "docs" / "pictures"
BEGIN: Final = "<!-- measured: written by `make bench ARGS=--publish`, do not edit -->"
END: Final = "<!-- end of what is measured -->"
PREFIX: Final = "performance-"


def publish(document: Mapping[str, Any]) -> None:
    SAMPLES.write_text(json.dumps(document, indent=1) + "\n")
    for old in PICTURES.glob(f"{PREFIX}*.svg"):
        old.unlink()
    for name, picture in pictures(document).items():
        (PICTURES / name).write_text(picture)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{measured(document)}\n\n{END}{after}")


def pictures(document: Mapping[str, Any]) -> dict[str, str]:
    """By the name of the file."""
    drawn = plots(Cells.of_json(document["cells"]), MEASURES)
    return {f"{PREFIX}{name}.svg": picture for name, picture in drawn}


def measured(document: Mapping[str, Any]) -> str:
    """The part of the page that is made from samples."""
    shown = "\n\n".join(f"![{_alt(name)}](../pictures/{name})" for name in pictures(document))
    return f"{report(document)}\n\n## Growth\n\n{shown}" if shown else report(document)


def _alt(name: str) -> str:
    title = MEASURES[name.removeprefix(PREFIX).removesuffix(".svg")].title
    return f"{title[0].upper()}{title[1:]}, by the number of objects"
