"""Every page of docs/reference/, and its index."""

from __future__ import annotations

from collections.abc import Callable

from tools.reference.annotationschema import NAME as SCHEMA
from tools.reference.annotationschema import render_annotation_schema
from tools.reference.command import render_command
from tools.reference.defects import render_defects
from tools.reference.dependencies import render_dependencies
from tools.reference.faults import render_faults
from tools.reference.fields import render_fields
from tools.reference.figures import render_figures
from tools.reference.machinery import render_machinery
from tools.reference.markdown import page
from tools.reference.rbac import render_rbac
from tools.reference.running import render_configuration, render_exit_codes, render_metrics
from tools.reference.targets import render_annotations, render_objects, render_variables
from tools.reference.telling import render_conditions, render_events, render_reasons

_PAGES: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("annotations.md", "what a target may carry", render_annotations),
    ("variables.md", "what a blueprint may use", render_variables),
    ("objects.md", "names, labels and annotations of what is generated", render_objects),
    ("conditions.md", "the status of a BackupBlueprint", render_conditions),
    ("reasons.md", "every reason of a condition, Event or failure", render_reasons),
    ("events.md", "what is recorded where", render_events),
    ("metrics.md", "what `/metrics` serves", render_metrics),
    ("configuration.md", "file keys, variables and flags of the operator", render_configuration),
    ("rbac.md", "every right, and the reason for it", render_rbac),
    ("command.md", "the verbs of `autobackup` and their options", render_command),
    ("exit-codes.md", "how the command ends", render_exit_codes),
    ("machinery.md", "the rules of informers, queue, writer and election, each with its tests", render_machinery),
    ("defects.md", "defects of other libraries, each tried on this code", render_defects),
    ("faults.md", "what the operator survives, each with the tests that show it", render_faults),
    ("figures.md", "what was measured in pods on a real node, beside the goals", render_figures),
    ("dependencies.md", "each package and why it is there", render_dependencies),
)


def render() -> dict[str, str]:
    """Every page by its path below docs/reference/."""
    pages = {name: render_page() for name, _, render_page in _PAGES}
    pages |= render_fields()
    pages[SCHEMA] = render_annotation_schema()
    pages["README.md"] = _index(pages)
    return pages


def _index(pages: dict[str, str]) -> str:
    lines = [f"- [{_title(pages[name])}]({name}): {about}" for name, about, _ in _PAGES]
    fields = [f"- [{_title(text)}]({name})" for name, text in pages.items() if name.startswith("fields/")]
    return page(
        "Reference",
        "Made from the code; `make docs` writes it, `make docs-check` compares.",
        "\n".join(lines),
        "## Fields of each kind",
        "\n".join(fields),
    )


def _title(text: str) -> str:
    return next(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
