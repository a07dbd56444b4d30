"""`autobackup resolve`: what the operator would apply for these targets, without a cluster.

The plan is made by the same reconciler that the operator runs, over a view that holds what the files say. With
`--diff` the view also holds what a cluster has, and the result is compared with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection

from autobackup import explanation, operatorconfig, report
from autobackup.cli import complete_files
from autobackup.console import Console
from autobackup.exits import ExitCode, UsageError
from autobackup.manifests import STDIN, Manifest, load
from autobackup.objects import FORMATS, applied, finished, render, without_uid
from autobackup.snapshot import Snapshot
from autobackup.subjects import Subjects, sort
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, TARGETS, Family
from reconcilers.plan import Delete, Plan
from reconcilers.target import plan_target

DESCRIPTION = """\
Print exactly the objects that the operator would apply for annotated targets and their blueprints.

Files are YAML or JSON with one object or many; a directory stands for the manifests in it, '-' for stdin.
Blueprints may also be among the targets, as may Repositories and BackupConfigurations: then they count as
existing. So may Namespaces, whose annotations count for the targets in them. Objects that cannot be targets are
passed over.

The uid of a target is known to the cluster only. Where the file does not have it, it is left empty in
ownerReferences, and such an object cannot be applied by hand; --diff takes the uid from the cluster.

With --diff, blueprints that are named and not given are those of the cluster, and annotations that the file does
not mention stay as they are, as with 'kubectl apply'. The API server is asked what an apply would change (a dry
run, with your rights); nothing is written.

Exit code: 0 all targets can be configured (with --diff: and nothing would change), 1 a target has a problem or
something would change, 2 a file or argument cannot be used, 3 the cluster cannot be reached.\
"""
EXAMPLES = """\
  {prog} -b blueprint.yaml -f deployment.yaml
  {prog} -b blueprint.yaml -f manifests/ -o name
  helm template shop ./chart | {prog} -b blueprint.yaml -f - -n shop
  {prog} -b blueprint.yaml -f pvc.yaml --as-if        as if it named the blueprint
  {prog} -b blueprint.yaml -f namespace.yaml -f deployment.yaml --explain
  {prog} -b blueprint.yaml -f deployment.yaml --diff  what would change in the cluster
"""


def configure(parser: argparse.ArgumentParser) -> None:
    for flags, dest, text in (
        (("-b", "--blueprint"), "blueprints", "file with BackupBlueprints; may be given several times"),
        (("-f", "--filename"), "files", "file, directory or '-' with targets; may be given several times"),
        (("--kubeconfig",), "kubeconfig", "kubeconfig for --diff (default: as kubectl)"),
    ):
        several = dest != "kubeconfig"
        action = parser.add_argument(
            *flags,
            dest=dest,
            metavar="FILE",
            action="append" if several else "store",
            default=[] if several else None,
            help=text,
        )
        complete_files(action)
    parser.add_argument(
        "-n", "--namespace", metavar="NAME", help="namespace of objects whose file names none (default: default)"
    )
    parser.add_argument("-o", "--output", choices=FORMATS, help="format of the objects (default: yaml)")
    parser.add_argument(
        "--as-if",
        metavar="BLUEPRINT",
        nargs="?",
        const="",
        help="take targets without the annotation as if they named this blueprint (default: the only one given)",
    )
    parser.add_argument("--diff", action="store_true", help="compare with the live objects of a cluster")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig for --diff")
    parser.add_argument(
        "--explain", action="store_true", help="print each setting with its value and who decided it, not the objects"
    )
    operatorconfig.add_flag(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings and notes, only errors")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    if options.quiet:
        console.hush()
    _check(options)
    if options.diff:
        import asyncio  # noqa: PLC0415 - offline needs neither it nor what it drags along

        return asyncio.run(_compare(options, console))
    subjects = _read(options, namespace=options.namespace or "default")
    bad = _tell_blueprints(console, subjects)
    plans, also_bad = _plan(console, subjects, Snapshot.of(subjects), named=subjects.blueprints)
    if not plans:
        report.tell_not_annotated(console, subjects)
        return ExitCode.PROBLEM
    report.tell_passed_over(console, subjects)
    if options.explain:
        console.result(_explained(plans, subjects, options.output, ascii_only=console.ascii_only))
        return ExitCode.PROBLEM if bad or also_bad else ExitCode.OK
    _tell_gaps(console, plans)
    bodies = [finished(step.body) for plan in plans.values() for step in applied(plan)]
    console.result(render(bodies, options.output or "yaml", ascii_only=console.ascii_only))
    return ExitCode.PROBLEM if bad or also_bad else ExitCode.OK


def _explained(plans: dict[Key, Plan], subjects: Subjects, output: str | None, *, ascii_only: bool) -> str:
    """The explanation of each target with each of its blueprints."""
    found = []
    for key, plan in plans.items():
        space = subjects.namespaces.get(key.namespace)
        around = space.annotations if space else ()
        found += explanation.explain(plan, key, subjects.targets[key].row, around=around, live=None)
    return explanation.render(found, output or "table", ascii_only=ascii_only)


async def _compare(options: argparse.Namespace, console: Console) -> ExitCode:
    """The way of `--diff`."""
    from autobackup import difference, live  # noqa: PLC0415
    from autobackup.cluster import connect  # noqa: PLC0415

    async with connect(options.kubeconfig, options.context) as cluster:
        subjects = _read(options, namespace=options.namespace or cluster.namespace)
        bad = _tell_blueprints(console, subjects)
        found = await live.look(cluster, subjects, console)
        # Which Secrets to look for is known once there is a plan; what is found goes into the one that counts.
        first, _ = _plan(None, subjects, found.snapshot(), named=found.blueprints)
        await live.look_for_secrets(cluster, found, first.values())
        plans, also_bad = _plan(console, subjects, found.snapshot(), named=found.blueprints)
        if not plans:
            report.tell_not_annotated(console, subjects)
            return ExitCode.PROBLEM
        report.tell_passed_over(console, subjects)
        changes, refused = await live.compare(cluster, found, plans.values(), console)
    changed = [change for change in changes if change.action != "unchanged"]
    console.difference(difference.render(changed, options.output, ascii_only=console.ascii_only))
    if not changed and not (bad or also_bad or refused):
        console.note(f"no difference: {len(changes)} objects are as they should be")
    return ExitCode.PROBLEM if changed or bad or also_bad or refused else ExitCode.OK


def _plan(
    console: Console | None, subjects: Subjects, snapshot: Snapshot, *, named: Collection[str]
) -> tuple[dict[Key, Plan], bool]:
    """The plan of each target that asks for a backup or has one, and whether one of them cannot be configured."""
    plans: dict[Key, Plan] = {}
    bad = False
    # Workloads first: what they back up is not backed up as a claim besides.
    order = sorted(subjects.targets, key=lambda key: TARGETS[key.kind].family is not Family.WORKLOAD)
    for key in order:
        target = subjects.targets[key]
        plan = plan_target(snapshot, key)
        if not plan.outcomes and not plan.steps:
            continue
        plans[key] = plan
        snapshot.settle(plan)
        if console is not None:
            bad |= report.tell_target(console, target, plan, subjects, named=named)
    return plans, bad


def _tell_blueprints(console: Console, subjects: Subjects) -> bool:
    bad = False
    for blueprint in subjects.blueprints.values():
        bad |= report.tell_blueprint(console, blueprint)
    return bad


def _check(options: argparse.Namespace) -> None:
    """Refuse combinations of arguments that cannot be meant."""
    if not options.files:
        raise UsageError("no target given; name its file with -f, or '-f -' for stdin")
    if [*options.blueprints, *options.files].count(STDIN) > 1:
        raise UsageError("stdin is given twice; give '-' once, it may hold blueprints and targets")
    if options.explain and options.diff:
        raise UsageError("--explain does not go with --diff; 'autobackup explain' looks into a cluster")
    if options.explain and options.output == "name":
        raise UsageError("-o name does not go with --explain; use -o json or -o yaml, or leave it out for a table")
    if options.diff and options.output == "yaml":
        raise UsageError("-o yaml does not go with --diff; leave it out for a text, or use -o json or -o name")
    if not options.diff and (options.kubeconfig or options.context):
        raise UsageError("--kubeconfig and --context go with --diff only; without it no cluster is asked")


def _read(options: argparse.Namespace, *, namespace: str) -> Subjects:
    """Everything that the files hold; raises UsageError when that cannot be enough."""
    manifests: list[Manifest] = []
    for name in options.blueprints:
        found = load([name])
        if not any(manifest.content["kind"] == BLUEPRINT.kind for manifest in found):
            kinds = ", ".join(sorted({manifest.content["kind"][:80] for manifest in found})) or "nothing"
            raise UsageError(f"{name}: holds {kinds}, and no BackupBlueprint; targets are given with -f")
        manifests.extend(found)
    manifests.extend(load(options.files))
    subjects = sort(manifests, namespace=namespace, as_if=_pretended(options, manifests))
    subjects.defaults = operatorconfig.defaults_of(options)
    if not subjects.blueprints and not options.diff:
        raise UsageError("no BackupBlueprint given; name its file with -b")
    if not subjects.targets:
        kinds = ", ".join(sorted(subjects.others)) or "nothing of the kind"
        raise UsageError(
            f"no object that can be a target in {', '.join(options.files)}: found {kinds}; "
            f"a target is one of {report.what_can_be_a_target()}"
        )
    return subjects


def _pretended(options: argparse.Namespace, manifests: list[Manifest]) -> str:
    """The value of the annotation that targets without one are taken to have; "" for none."""
    if options.as_if is None:
        return ""
    if options.as_if:
        return str(options.as_if)
    metadata = [m.content.get("metadata") for m in manifests if m.content["kind"] == BLUEPRINT.kind]
    names = [str(found.get("name") or "") for found in metadata if isinstance(found, dict)]
    if len(names) != 1:
        raise UsageError(f"--as-if needs a name, as {len(names)} blueprints are given: {', '.join(names) or 'none'}")
    return names[0]


def _tell_gaps(console: Console, plans: dict[Key, Plan]) -> None:
    gaps = without_uid(plans)
    if gaps:
        more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        console.note(
            f"the uid of {gaps[0]}{more} is not in the file and is left empty: the API server refuses the "
            "ownerReference until the cluster has given one; --diff uses the live uid"
        )
    for key, plan in plans.items():
        for step in plan.steps:
            what = f"{step.resource.kind} {step.key}"
            if isinstance(step, Delete):
                console.note(f"{key}: {what} would be deleted; Repository and data are kept")
            elif step not in applied(plan):
                console.note(f"{key}: {what} would be marked as succeeded by another; its data is kept")
