"""`autobackup adopt`: say that the Repositories of an earlier namespace belong to the one that has its name now.

A namespace that was deleted and made anew inherits no Repository by itself (`reconcilers.incarnation`). Who may write
that Repository may hand it over: the uid of the present Namespace is written into it, with the user's own rights, and
the operator goes on with it. What is on the target says nothing, because whoever may annotate a target need not be who
the data belongs to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autobackup.cli import complete_files
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode, UsageError
from autobackup.tables import aligned
from informers.resource import ObjectKey

if TYPE_CHECKING:
    from autobackup.cluster import Cluster
    from reconcilers.namespace import NamespaceRow
    from reconcilers.rows import RepositoryRow

DESCRIPTION = """\
Let a target go on with the Repository that an earlier namespace of the same name left behind.

When a namespace was deleted and made anew, its targets do not get the Repositories of the earlier one, and have the
reason NamespaceReused. Look whose data it is; if it is yours, adopt it. This writes into the Repository, with your
rights: it takes the right to patch it, and with the admission policies the verb adopt on it as well.

It ends with 1 when there is nothing to adopt, or a Repository could not be written.\
"""
EXAMPLES = """\
  {prog} deployment/shop -n demo                 what one target left
  {prog} pvc/data pvc/media -n demo --dry-run    tell, and write nothing
  {prog} --all -n demo                           everything, for example after a cluster was restored
"""
MANAGER = "autobackup-adopt"
"""Field manager of the write: who adopted is told from others in managedFields."""

_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Adoption:
    """One Repository, whose it was and whose it is, and what became of it."""

    repository: ObjectKey
    target: str
    before: str
    after: str
    result: str
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "repository": {"namespace": self.repository.namespace, "name": self.repository.name},
            "target": self.target,
            "earlierNamespaceUID": self.before,
            "namespaceUID": self.after,
            "result": self.result,
            **({"message": self.message} if self.message else {}),
        }


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="KIND/NAME", help="targets, for example deployment/shop or pvc/data"
    )
    parser.add_argument("--all", action="store_true", help="every target of the namespace")
    parser.add_argument("-n", "--namespace", help="namespace of the targets (default: that of the context)")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be adopted, and write nothing")
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table", help="the form")
    complete_files(parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig to use"))
    parser.add_argument("--context", help="context of the kubeconfig")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    if bool(options.targets) == options.all:
        raise UsageError("name targets as KIND/NAME, or give --all")
    wanted = [_parsed(text) for text in options.targets]
    namespace, found = asyncio.run(_adopt(options, wanted))
    for missing in _without(wanted, found):
        console.error(f"{missing} in namespace {namespace}: no Repository of an earlier namespace; nothing to adopt")
    document = {"adoptions": [adoption.as_json() for adoption in found]}
    if options.output == "json":
        console.result(json.dumps(document, indent=2, ensure_ascii=console.ascii_only) + "\n")
    elif options.output == "yaml":
        from autobackup import yamltext  # noqa: PLC0415 - a table needs none of it

        console.result(yamltext.write(document))
    elif found:
        rows = [(str(each.repository), each.target, each.before or "unknown", each.result) for each in found]
        console.result(aligned([("REPOSITORY", "TARGET", "EARLIER NAMESPACE", "RESULT"), *rows]))
    if options.all and not found:
        console.error(f"namespace {namespace}: no Repository of an earlier namespace; nothing to adopt")
    for each in found:
        if each.message:
            console.error(f"Repository {each.repository}: {each.message}")
    good = bool(found) and all(each.result != "failed" for each in found) and not list(_without(wanted, found))
    return ExitCode.OK if good else ExitCode.PROBLEM


def _parsed(text: str) -> str:
    """`Kind/name` of what the user wrote."""
    from autobackup import targetname  # noqa: PLC0415 - help and completion need none of it

    return "/".join(targetname.read(text))


def _without(wanted: Iterable[str], found: Iterable[Adoption]) -> Iterator[str]:
    had = {adoption.target for adoption in found}
    return (target for target in wanted if target not in had)


async def _adopt(options: argparse.Namespace, wanted: list[str]) -> tuple[str, list[Adoption]]:
    # Help and completion need no client.
    from autobackup.cluster import connect  # noqa: PLC0415

    async with connect(options.kubeconfig, options.context) as cluster:
        namespace = await _namespace(cluster, options.namespace or cluster.namespace)
        rows = [
            row
            for row in await _left_behind(cluster, namespace)
            if row.mark is not None and (options.all or f"{row.mark.target.kind}/{row.mark.target.name}" in wanted)
        ]

        async def adopt(row: RepositoryRow) -> None:
            if not options.dry_run:
                await _write(cluster, row, namespace)

        answers = await cluster.each(adopt, rows)
    told = [_told(row, namespace, answer, dry=options.dry_run) for row, answer in zip(rows, answers, strict=True)]
    return namespace.name, told


async def _namespace(cluster: Cluster, name: str) -> NamespaceRow:
    from informers.errors import Forbidden  # noqa: PLC0415
    from reconcilers.namespace import NAMESPACE, project_namespace  # noqa: PLC0415

    try:
        live = await cluster.find(NAMESPACE, ObjectKey("", name), metadata_only=True)
    except Forbidden as error:
        raise CommandError(
            f"namespace {name}: its uid is what is written down, and you may not read it: {error}"
        ) from None
    if live is None:
        raise CommandError(f"namespace {name}: there is none in {cluster.source}; name another with -n")
    return project_namespace(live)


async def _left_behind(cluster: Cluster, namespace: NamespaceRow) -> list[RepositoryRow]:
    """The Repositories of targets in earlier namespaces of this name, wherever they are."""
    from informers.errors import Forbidden  # noqa: PLC0415
    from reconcilers.incarnation import is_earlier  # noqa: PLC0415
    from reconcilers.kinds import REPOSITORY  # noqa: PLC0415
    from reconcilers.marks import MANAGED_BY, PRODUCT  # noqa: PLC0415
    from reconcilers.rows import project_repository  # noqa: PLC0415

    ours = f"{MANAGED_BY}={PRODUCT}"
    try:
        found = await cluster.all_of(REPOSITORY, labels=ours)
    except Forbidden as error:
        raise CommandError(
            f"the Repositories may be in any namespace, and you may not list them all: {error}"
        ) from None
    rows = (project_repository({**obj, "apiVersion": REPOSITORY.api_version, "kind": REPOSITORY.kind}) for obj in found)
    return [
        row for row in rows if row.mark and row.mark.target.namespace == namespace.name and is_earlier(row, namespace)
    ]


async def _write(cluster: Cluster, row: RepositoryRow, namespace: NamespaceRow) -> None:
    """Write the uid of the Namespace down, if the Repository is still the one that was looked at."""
    from reconcilers.kinds import REPOSITORY  # noqa: PLC0415
    from reconcilers.marks import NAMESPACE_UID  # noqa: PLC0415

    metadata = {
        "uid": row.uid,
        "resourceVersion": str(row.resource_version),
        "annotations": {NAMESPACE_UID: namespace.uid},
    }
    await cluster.transport.request(
        "PATCH",
        REPOSITORY.object_path(row.key),
        query={"fieldManager": MANAGER},
        body=json.dumps({"metadata": metadata}).encode(),
        content_type=_MERGE,
    )


def _told(row: RepositoryRow, namespace: NamespaceRow, answer: object, *, dry: bool) -> Adoption:
    assert row.mark is not None
    failed = isinstance(answer, Exception)
    return Adoption(
        repository=row.key,
        target=f"{row.mark.target.kind}/{row.mark.target.name}",
        before=row.namespace_uid,
        after=namespace.uid,
        result="failed" if failed else "would be adopted" if dry else "adopted",
        message=str(answer) if failed else "",
    )
