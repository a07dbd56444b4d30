"""The reference is what the code says: up to date, and complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config import OPTIONS, Option
from controller.families import FAMILIES
from reconcilers.annotations import ANNOTATIONS
from reconcilers.reasons import Reason
from reconcilers.status import CONDITIONS
from reconcilers.variables import VARIABLES
from tools.reference.__main__ import DIRECTORY, differences, write
from tools.reference.pages import render
from tools.reference.targets import require_same
from tools.reference.telling import BLUEPRINT_SECTION, reasons_of_conditions, sections


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return render()


def test_the_committed_pages_are_what_the_code_says() -> None:
    assert "".join(differences(DIRECTORY)) == "", "run `make docs` and commit the result"


def test_a_page_that_is_changed_removed_or_left_over_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(differences(tmp_path)) == []
    page = tmp_path / "metrics.md"
    page.write_text(page.read_text().replace("gauge", "gauze", 1))
    (tmp_path / "reasons.md").unlink()
    (tmp_path / "fields" / "gone.md").write_text("left over\n")
    text = "".join(differences(tmp_path))
    assert "+++ docs/reference/metrics.md" in text
    assert "+++ docs/reference/reasons.md" in text
    assert "-left over" in text
    write(tmp_path)
    assert list(differences(tmp_path)) == []


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(pages: dict[str, str], reason: Reason) -> None:
    assert f"| `{reason.value}` |" in pages["reasons.md"]


@pytest.mark.parametrize("name", [name for name, _ in CONDITIONS])
def test_every_condition_is_explained(pages: dict[str, str], name: str) -> None:
    assert f"| `{name}` |" in pages["conditions.md"]


@pytest.mark.parametrize("key", [found.key for found in ANNOTATIONS])
def test_every_annotation_is_explained(pages: dict[str, str], key: str) -> None:
    assert f"| `{key}` |" in pages["annotations.md"]


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_explained(pages: dict[str, str], name: str) -> None:
    assert f"| `${{{name}}}` |" in pages["variables.md"]


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_every_metric_is_explained(pages: dict[str, str], name: str) -> None:
    assert f"| `{name}` |" in pages["metrics.md"]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_every_option_is_explained_with_key_variable_and_flag(pages: dict[str, str], option: Option) -> None:
    row = next(line for line in pages["configuration.md"].splitlines() if f"| `{option.key}` |" in line)
    assert f"`{option.variable}`" in row
    assert f"`{option.flag}`" in row


def test_the_reasons_of_blueprint_conditions_are_the_ones_that_the_reconciler_gives() -> None:
    given = {
        reason for by_status in reasons_of_conditions().values() for found in by_status.values() for reason in found
    }
    assert given == {reason.value for reason in sections()[BLUEPRINT_SECTION]}


def test_a_table_of_words_that_does_not_fit_the_code_is_refused() -> None:
    require_same("colours", {"red", "green"}, ["green", "red"])
    with pytest.raises(SystemExit, match="describe red, remove blue"):
        require_same("colours", {"red", "green"}, ["green", "blue"])
