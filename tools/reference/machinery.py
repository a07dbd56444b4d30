"""The rules that informers, queue, writer and election keep, and the tests that hold them to it."""

from __future__ import annotations

from tools.machinery.rules import Chapter, Rule, Stands, chapters, every_rule
from tools.reference.markdown import code, page, prose, table


def render_machinery() -> str:
    rules = every_rule()
    count = {stands: sum(rule.stands is stands for rule in rules) for stands in Stands}
    return page(
        "Machinery: the rules",
        f"{len(rules)} rules for a trustworthy informer, work queue, writer and leader, drawn from client-go, "
        "controller-runtime, kube-rs and the mistakes of others. "
        f"{count[Stands.KEPT]} are kept as they are, {count[Stands.DEVIATES]} otherwise than most would, with a "
        f"reason, and {count[Stands.REFUSED]} are refused. Each names the tests that would fail without it; "
        "`python -m tools.machinery --check` makes sure that these exist and run.",
        *(part for chapter in chapters() for part in _chapter(chapter)),
    )


def _chapter(chapter: Chapter) -> tuple[str, ...]:
    rows = [
        (rule.id, prose(rule.rule), _how(rule), "<br>".join(map(link_to_test, rule.tests))) for rule in chapter.rules
    ]
    return f"## {chapter.title}", prose(chapter.about), table(["Rule", "What it asks", "How", "Tests"], rows)


def _how(rule: Rule) -> str:
    how = prose(rule.how)
    if rule.stands is Stands.REFUSED:
        how = f"Refused: {how}"
    if rule.record is None:
        return how
    verb = "Why" if rule.stands is Stands.DEVIATES else "See"
    return f"{how} {verb}: [ADR {rule.adr}](../adr/{rule.record.name})."


def link_to_test(test: str) -> str:
    """The name alone, as a link to its file."""
    file, _, name = test.partition("::")
    return f"[{code(name.replace('::runTest', ''))}](../../{file})"
