"""`autobackup explain`: why a target in a cluster is backed up as it is, or is not.

Only reads, with the user's rights: the target, its namespace, its blueprints, and the objects that were made for it.
The plan is made by the reconciler that the operator runs, so what is told is what the operator does.
"""

from __future__ import annotations

import argparse
import asyncio

from autobackup import explanation, live, operatorconfig, targetname
from autobackup.cli import complete_files, complete_words
from autobackup.cluster import Cluster, Object, connect
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode
from autobackup.manifests import Manifest
from autobackup.snapshot import Snapshot
from autobackup.subjects import sort
from informers.errors import Forbidden
from informers.resource import ObjectKey
from reconcilers import annotations as asked
from reconcilers import inheritance
from reconcilers.kinds import TARGETS
from reconcilers.plan import State
from reconcilers.rows import TargetRow
from reconcilers.target import plan_target

DESCRIPTION = """\
Tell how a target stands with each blueprint that it names: every setting of its BackupConfiguration with its value and
who decided it (operator, blueprint, namespace or target), what is refused and why, and what waits.

TARGET is kind/name as for kubectl: deployment/shop, sts/db, pvc/media, appbinding/orders.

Nothing is written, and only your own rights are used.

Exit code: 0 the target is configured as it asks, 1 it is not, 2 an argument cannot be used, 3 the cluster cannot be
reached.\
"""
EXAMPLES = """\
  {prog} deployment/shop -n demo
  {prog} pvc/media -o json
  {prog} sts/db -n demo --context staging
"""


def configure(parser: argparse.ArgumentParser) -> None:
    target = parser.add_argument("target", metavar="TARGET", help="kind/name of the target")
    complete_words(target, [f"{kind.lower()}/" for kind in TARGETS])
    parser.add_argument("-n", "--namespace", metavar="NAME", help="namespace of the target (default: as kubectl)")
    parser.add_argument(
        "-o", "--output", choices=explanation.FORMATS, default=explanation.FORMATS[0], help="format (default: table)"
    )
    complete_files(parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig to use (default: as kubectl)"))
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    operatorconfig.add_flag(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings and notes, only errors")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    if options.quiet:
        console.hush()
    kind, name = targetname.read(options.target)
    return asyncio.run(_explain(options, console, kind, name))


async def _explain(options: argparse.Namespace, console: Console, kind: str, name: str) -> ExitCode:
    async with connect(options.kubeconfig, options.context) as cluster:
        content = await _find(cluster, kind, ObjectKey(options.namespace or cluster.namespace, name))
        manifest = Manifest(content, file=f"{kind} {content['metadata']['namespace']}/{name}")
        subjects = sort([manifest], namespace=content["metadata"]["namespace"])
        subjects.defaults = operatorconfig.defaults_of(options)
        found = await live.look(cluster, subjects, console)
        [(key, target)] = found.subjects.targets.items()
        first = plan_target(found.snapshot(), key)
        await live.look_for_secrets(cluster, found, [first])
        plan = plan_target(found.snapshot(), key)
    if target.row is None:
        why = (
            f"it belongs to {target.controller}, which is the target to annotate"
            if target.controller
            else (f"it does not name a blueprint; put the annotation {asked.BLUEPRINT} on it")
        )
        console.error(f"{key} is not backed up: {why}")
        return ExitCode.PROBLEM
    space = found.namespaces.get(key.namespace)
    if not plan.outcomes:
        backed_up, text = _instead(found.snapshot(), target.row)
        tell = console.note if backed_up else console.error
        tell(f"{key} {text}")
        return ExitCode.OK if backed_up else ExitCode.PROBLEM
    told = explanation.explain(plan, key, target.row, around=space.annotations if space else (), live=found.objects)
    console.result(explanation.render(told, options.output, ascii_only=console.ascii_only))
    configured = all(each.outcome.state is State.CONFIGURED for each in told)
    return ExitCode.OK if told and configured else ExitCode.PROBLEM


def _instead(view: Snapshot, row: TargetRow) -> tuple[bool, str]:
    """Why nothing is made for an object although it, or its Namespace, carries the annotation; first whether it is
    backed up all the same."""
    coverer = inheritance.coverer(view, row)
    if coverer is not None and coverer.mark is not None:
        by = f"BackupConfiguration {coverer.namespace}/{coverer.name}"
        return True, f"is backed up with {coverer.mark.target}, by {by}"
    if row.annotation(asked.BLUEPRINT) is not None:
        return False, f"is not backed up: its annotation {asked.BLUEPRINT} says {asked.NONE}, which opts it out"
    if not inheritance.blueprints_of(view, row):
        names = ", ".join(inheritance.known_names(view.namespace(row.namespace))) or asked.NONE
        return False, f"is not backed up: its Namespace names {names}, which takes no {row.kind} (spec.targetKinds)"
    return False, "is not backed up: it has no volume to back up, and only its Namespace asks"


async def _find(cluster: Cluster, kind: str, key: ObjectKey) -> Object:
    """The whole target as it is live; raises CommandError."""
    resource = TARGETS[kind].resource
    try:
        found = await cluster.find(resource, key)
    except Forbidden as error:
        raise CommandError(f"{kind} {key.namespace}/{key.name} cannot be looked at: {error}") from None
    if found is None:
        raise CommandError(f"there is no {kind} {key.namespace}/{key.name}; name another with kind/name and -n")
    return {**found, "apiVersion": resource.api_version, "kind": resource.kind}
