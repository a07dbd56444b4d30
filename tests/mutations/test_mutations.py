"""Every defect of others that is put into our code is noticed; and a defect that were not would be reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.machinery.collection import collect, complaints
from tools.mutations.__main__ import main
from tools.mutations.catalogue import SPECIFIED, defect_of, every_mutation
from tools.mutations.mutation import Edit, Mutation, Stale, mutation
from tools.mutations.trial import ROOT, Unsound, Verdict, try_all

S6 = "tests/informers/test_store.py::test_s6_an_equal_relisted_row_is_not_an_update_but_its_version_is_kept"
TELLS_ALL = ("informers/store.py", "            elif before != new:", "            elif before is not new:")


def test_every_defect_is_in_the_catalogue_once() -> None:
    identities = [found.id for found in every_mutation()]
    assert len(set(identities)) == len(identities)
    assert {defect_of(found) for found in every_mutation()} >= set(SPECIFIED)


@pytest.mark.parametrize(
    "found", [found for found in every_mutation() if not found.structural], ids=lambda found: found.id
)
def test_each_can_still_be_put_into_the_code(found: Mutation, tmp_path: Path) -> None:
    for path in {edit.path for edit in found.edits}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for edit in found.edits:
        edit.apply(tmp_path)


def test_every_test_that_is_to_notice_one_would_run() -> None:
    tests = {test.partition("[")[0] for found in every_mutation() for test in found.tests}
    collected = collect(tests)
    assert [complaint for test in sorted(tests) for complaint in complaints(test, collected)] == []


def test_an_edit_that_no_longer_fits_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("a = 1\nb = 1\n")
    with pytest.raises(Stale, match="found 2 times"):
        Edit("x.py", "= 1", "= 2").apply(tmp_path)
    with pytest.raises(Stale, match="found 0 times"):
        Edit("x.py", "c", "d").apply(tmp_path)
    with pytest.raises(Stale, match="no Python"):
        Edit("x.py", "a = 1", "a = (1").apply(tmp_path)
    assert (tmp_path / "x.py").read_text() == "a = 1\nb = 1\n"


def test_each_kind_of_end_is_told_apart() -> None:
    tried = [
        mutation("1", "noticed", TELLS_ALL, tests=(S6,)),
        mutation(
            "2", "not noticed", ("informers/store.py", '"""Store what a watch', '"""Keep what a watch'), tests=(S6,)
        ),
        mutation("3", "of an older text", ("informers/store.py", "no such text", ""), tests=(S6,)),
        mutation(
            "4", "not even imported", ("informers/store.py", "from informers.delta", "from informers.gone"), tests=(S6,)
        ),
        mutation("5", "kept out", tests=(S6,)),
    ]
    results = list(try_all(tried, jobs=1))
    assert [result.verdict for result in results] == [
        Verdict.KILLED,
        Verdict.SURVIVED,
        Verdict.STALE,
        Verdict.BROKEN,
        Verdict.KEPT,
    ]
    assert [result.good for result in results] == [True, False, False, False, True]
    assert (ROOT / "informers/store.py").read_text().count("no such text") == 0


def test_without_sound_tests_there_is_no_verdict() -> None:
    with pytest.raises(Unsound, match="without any mutation"):
        list(try_all([mutation("1", "x", TELLS_ALL, tests=("tests/informers/test_store.py::test_gone",))], jobs=1))


def test_what_there_is_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {found.id:5} {found.defect}" in shown for found in every_mutation())
    with pytest.raises(SystemExit):
        main(["--only", "Z9"])


@pytest.mark.slow
def test_no_defect_survives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out
