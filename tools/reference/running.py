"""What whoever runs the operator sets and watches: options, metrics, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

from autobackup import exits
from controller import families
from controller.config import FILE_FLAG, FILE_VARIABLE, OPTIONS, PREFIX
from controller.families import FAMILIES, Family
from controller.values import Switch, write
from tools.reference.markdown import code, codes, page, prose, table


def render_configuration() -> str:
    rows = []
    for option in OPTIONS:
        flag = code(option.flag)
        if isinstance(option.kind, Switch):
            flag += f", {code('--no-' + option.flag.removeprefix('--'))}"
        value = write(option.kind, option.default)
        default = "" if value in (None, []) else code(str(value).lower() if isinstance(value, bool) else str(value))
        rows.append(
            (
                code(option.key),
                code(option.variable),
                flag,
                default,
                prose(f"{option.help} Allowed: {option.kind.allowed}."),
            )
        )
    return page(
        "Configuration",
        f"The operator reads a YAML file, then the environment, then its flags; the later one wins. The file is named "
        f"by {code(FILE_FLAG)} or {code(FILE_VARIABLE)}. A key with a dot is a key inside a key.",
        table(["File key", "Variable", "Flag", "Default", "Meaning"], rows),
        f"An unknown key, an unknown variable that begins with {code(PREFIX)} and a value that is not allowed stop the "
        "operator at its start. It names all of them at once, each with its source and with what is allowed. Variables "
        "that Kubernetes itself sets for a Service of such a name are passed over.",
    )


def render_metrics() -> str:
    groups: dict[str, list[Family]] = {}
    for family in FAMILIES:
        own = family.name.startswith("autobackup_")
        groups.setdefault("Own metrics" if own else "Names that other operators use as well", []).append(family)
    parts = []
    for heading in sorted(groups, reverse=True):
        rows = [
            (
                code(family.name),
                family.type.value,
                codes(family.labels),
                prose(family.help)
                + (f" Buckets: {_numbers(family.buckets)}." if family.buckets else "")
                + ("" if _is_fed(family) else " Not filled yet."),
            )
            for family in groups[heading]
        ]
        parts += [f"## {heading}", table(["Name", "Type", "Labels", "Meaning"], rows)]
    return page(
        "Metrics",
        "Served at `/metrics` in the Prometheus text format, together with the `process_*` and `python_*` metrics of "
        "the Prometheus client. Histograms have the usual `_bucket`, `_sum` and `_count`.",
        *parts,
        "No label carries the value of an annotation, a path, an error text or the name of a Secret.",
    )


def render_exit_codes() -> str:
    rows = [(str(int(member)), code(member.name)) for member in exits.ExitCode]
    # The module's docstring is the contract that scripts rely on.
    contract = (exits.__doc__ or "").partition("Contract: ")[2].partition("Verbs return")[0]
    return page(
        "Exit codes",
        table(["Code", "Name"], rows),
        prose(contract[:1].upper() + contract[1:]) if contract else "",
    )


def _is_fed(family: Family) -> bool:
    """Whether any module of the controller speaks of this family."""
    name = next(name for name, value in vars(families).items() if value is family)
    return any(
        re.search(rf"\b{name}\b", path.read_text())
        for path in Path(families.__file__).parent.glob("*.py")
        if path.name != "families.py"
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
