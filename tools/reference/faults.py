"""What the operator survives, how that is made to happen for real, and the tests that hold it to it."""

from __future__ import annotations

from tools.machinery.cells import every_cell
from tools.reference.machinery import link_to_test
from tools.reference.markdown import page, prose, table


def render_faults() -> str:
    cells = every_cell()
    rows = [
        (cell.id, prose(cell.fault), prose(cell.made), prose(cell.expected), "<br>".join(map(link_to_test, cell.tests)))
        for cell in cells
    ]
    return page(
        "Faults",
        f"{len(cells)} kinds of trouble, each made for real: an API server or an etcd that is killed, stalled, taken "
        "back in time or cut off, credentials that change, people and programs that undo what the operator does. "
        "Whatever happens, within a minute of its end all objects are as they would be without it, none is there "
        "twice, and the audit log of the API server shows no write without a reason. "
        "`python -m tools.machinery --check` makes sure that each test exists and runs; `make test` ends with a look "
        "at whether all of them passed.",
        table(["Id", "Fault", "How it is made", "What is expected", "Tests"], rows),
    )
