"""`autobackup password`: the password of one restic repository, on the day on which it is needed.

For repositories with a password of their own: it is derived again from the master, which is read with the user's
rights from the source Secret, or from a file where no cluster is left. Nothing is written, and nothing but the password
gets to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autobackup import targetname
from autobackup.cli import complete_files, complete_words
from autobackup.cluster import Cluster, connect
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode, UsageError
from autobackup.manifests import load
from controller.passwords import derive
from informers.errors import Forbidden
from informers.resource import ObjectKey
from reconcilers.blueprint import source_in
from reconcilers.kinds import BLUEPRINT, REPOSITORY, TARGETS
from reconcilers.resolve import DERIVATION
from reconcilers.rows import RepositoryRow, project_blueprint, project_repository
from reconcilers.secretcopy import SECRET
from reconcilers.storagekeys import RESTIC

DESCRIPTION = """\
Print the password of a restic repository that has one of its own (passwordPerRepository of its blueprint).

TARGET is kind/name of the target, or repository/name; the Repository is looked for in the namespace. The target need
not exist any more. The master is read from the source that the blueprint names, for which you need the right to get
that Secret; with --master-file it is read from a file, and with --location or -f as well no cluster is asked at all.

Only the password goes to stdout.

Exit code: 0 printed, 1 there is no such password, 2 an argument cannot be used, 3 the cluster cannot be reached.\
"""
EXAMPLES = """\
  {prog} deployment/shop -n demo
  RESTIC_PASSWORD=$({prog} repository/deploy-shop -n demo) restic snapshots
  {prog} --master-file master --location 's3:s3.example.com:store|backups/demo/deployment/shop'
  {prog} --master-file master -f repository.yaml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    target = parser.add_argument(
        "target", metavar="TARGET", nargs="?", help="kind/name of the target, or repository/name"
    )
    complete_words(target, [f"{kind.lower()}/" for kind in (*TARGETS, REPOSITORY.kind)])
    parser.add_argument("-n", "--namespace", metavar="NAME", help="namespace of the Repository (default: as kubectl)")
    parser.add_argument("--blueprint", metavar="NAME", help="which one, of a target with several")
    parser.add_argument("--source", metavar="NAMESPACE/NAME", help="the source (default: what the blueprint names)")
    for option, text in (
        ("--master-file", "file with the master, byte for byte: the value of RESTIC_PASSWORD in the source"),
        ("--kubeconfig", "kubeconfig to use (default: as kubectl)"),
    ):
        complete_files(parser.add_argument(option, metavar="FILE", help=text))
    complete_files(
        parser.add_argument("-f", "--file", metavar="FILE", help="manifest of the Repository, instead of TARGET")
    )
    parser.add_argument("--location", metavar="TEXT", help="where the repository lies, instead of TARGET")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    given = [value for value in (options.target, options.file, options.location) if value]
    if len(given) != 1:
        raise UsageError("name one repository: TARGET, or -f FILE, or --location TEXT")
    master = _master_in(options.master_file) if options.master_file else b""
    if options.target:
        password = asyncio.run(_look_up(options, master))
    elif not master:
        raise UsageError("without a cluster the master comes from a file: give --master-file")
    else:
        location = options.location or _own(_described(options.file)).location
        password = derive(master, f"{DERIVATION} {location}")
    if console.on_terminal:
        console.warning("the password is on your screen now, and perhaps in its scrollback: clear both")
    console.result(password + "\n")
    return ExitCode.OK


def _master_in(name: str) -> bytes:
    try:
        master = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"the master cannot be read: {error}") from None
    if not master:
        raise UsageError(f"{name} is empty: it is to hold the value of {RESTIC} in the source")
    return master


def _described(name: str) -> RepositoryRow:
    found = [manifest.content for manifest in load([name]) if manifest.content["kind"] == REPOSITORY.kind]
    if len(found) != 1:
        raise UsageError(f"{name}: holds {len(found)} Repositories; give one")
    return _row(found[0])


def _row(content: Mapping[str, Any]) -> RepositoryRow:
    metadata = {"uid": "", "resourceVersion": "0", "namespace": "default", **content["metadata"]}
    return project_repository({**content, "metadata": metadata})


def _own(row: RepositoryRow) -> RepositoryRow:
    """The row, if the repository has a password of its own."""
    if row.mark is None:
        raise CommandError(f"Repository {row.key} was not made by the operator; who made it knows its password")
    if not row.password:
        raise CommandError(
            f"Repository {row.key} has no password of its own; it is {RESTIC} in Secret {row.namespace}/"
            f"{row.storage_secret or '?'}"
        )
    if row.password != DERIVATION or not row.location:
        raise CommandError(f"the password of Repository {row.key} is derived in a way that this version does not know")
    return row


async def _look_up(options: argparse.Namespace, master: bytes) -> str:
    kind, name = targetname.read(options.target, repositories=True)
    async with connect(options.kubeconfig, options.context) as cluster:
        try:
            row = _own(await _find(cluster, options.namespace or cluster.namespace, kind, name, options.blueprint))
            master = master or await _master_of(cluster, row, options.source)
        except Forbidden as error:
            raise CommandError(f"you lack a right that this needs: {error}") from None
    return derive(master, f"{row.password} {row.location}")


async def _find(cluster: Cluster, namespace: str, kind: str, name: str, blueprint: str | None) -> RepositoryRow:
    if kind == REPOSITORY.kind:
        live = await cluster.find(REPOSITORY, ObjectKey(namespace, name))
        found = [project_repository(live)] if live else []
    else:
        rows = map(project_repository, await cluster.all_of(REPOSITORY, namespace))
        found = [row for row in rows if row.mark and row.mark.target[0::2] == (kind, name) and not row.succeeded_by]
    if blueprint:
        found = [row for row in found if row.mark and row.mark.blueprint == blueprint]
    if not found:
        raise CommandError(f"namespace {namespace} has no Repository for {kind.lower()}/{name}; -n names another")
    if len(found) > 1:
        names = ", ".join(f"repository/{row.name}" for row in found)
        raise CommandError(f"{kind.lower()}/{name} has several Repositories: name one of {names}, or give --blueprint")
    return found[0]


async def _master_of(cluster: Cluster, row: RepositoryRow, given: str | None) -> bytes:
    """The master, from the source that is given or that the blueprint names."""
    if given:
        namespace, _, name = given.partition("/")
        source = ObjectKey(namespace, name)
    else:
        assert row.mark is not None
        live = await cluster.find(BLUEPRINT, ObjectKey("", row.mark.blueprint))
        named = source_in(project_blueprint(live)) if live else None
        if named is None:
            raise CommandError(f"BackupBlueprint {row.mark.blueprint} names no source; give --source or --master-file")
        source = named
    try:
        secret = await cluster.find(SECRET, source)
    except ValueError as error:
        raise UsageError(f"--source {given}: {error}") from None
    master = b64decode(((secret or {}).get("data") or {}).get(RESTIC, ""))
    if not master:
        raise CommandError(f"Secret {source} is not there, or has no {RESTIC}; give --source or --master-file")
    return master
