"""Defects that others have, each tried on our code, and the tests that notice it."""

from __future__ import annotations

from tools.mutations.catalogue import ORIGINS, every_mutation
from tools.mutations.mutation import Mutation
from tools.reference.markdown import code, page, prose, table


def render_defects() -> str:
    mutations = every_mutation()
    kept_out = sum(mutation.structural for mutation in mutations)
    parts = []
    for origin in ORIGINS:
        rows = [(found.id, prose(found.defect), _where(found), _tests(found)) for found in origin.mutations]
        parts += [f"## {origin.title}", table(["Id", "Defect", "Put into", "Noticed by"], rows)]
    return page(
        "Machinery: defects of others",
        "What measurement or reading found in other libraries. `make mutations` puts each defect into a copy of our "
        f"code and wants a test to fail: {len(mutations) - kept_out} do. {kept_out} cannot be expressed here; the test "
        "that is named keeps it so. A letter at the end of an id stands for one of several forms of a defect.",
        *parts,
    )


def _where(mutation: Mutation) -> str:
    return "<br>".join(code(path) for path in dict.fromkeys(edit.path for edit in mutation.edits)) or "the design"


def _tests(mutation: Mutation) -> str:
    tests = (test.partition("::") for test in mutation.tests)
    return "<br>".join(f"[{code(name.partition('[')[0])}](../../{file})" for file, _, name in tests)
