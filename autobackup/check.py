"""`autobackup check`: what is wrong with an installation, from outside."""

from __future__ import annotations

import argparse
import asyncio
import json

from autobackup.cli import complete_files
from autobackup.console import Console
from autobackup.exits import ExitCode, UsageError
from autobackup.findings import Finding, Level

DESCRIPTION = """\
Check an installation: version of the API server, clocks, CRDs, rights of the operator's account, leader, admission
policies, blueprints. It reads with your rights and changes nothing; what you may not look at is told as a warning.

It ends with 1 when something is wrong, and with 3 when the cluster cannot be reached.\
"""
EXAMPLES = """\
  {prog}
  {prog} --namespace backup --service-account backup/autobackup
  {prog} --namespaces shop,blog                  for an operator that watches only these
  {prog} -o json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table", help="the form")
    parser.add_argument(
        "-n",
        "--namespace",
        default="autobackup-system",
        help="namespace of the operator and its Lease (default: autobackup-system)",
    )
    parser.add_argument(
        "--service-account",
        metavar="NAMESPACE/NAME",
        help="account of the operator (default: autobackup in the operator's namespace)",
    )
    parser.add_argument("--lease", metavar="NAME", default="autobackup", help="name of the Lease (default: autobackup)")
    parser.add_argument(
        "--namespaces", metavar="NAMES", default="", help="namespaces that the operator watches (default: all)"
    )
    complete_files(parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig to use"))
    parser.add_argument("--context", help="context of the kubeconfig")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    findings = asyncio.run(_findings(options))
    failed = any(finding.level is Level.FAIL for finding in findings)
    document = {"ok": not failed, "findings": [finding.as_json() for finding in findings]}
    if options.output == "json":
        console.result(json.dumps(document, indent=2, ensure_ascii=console.ascii_only) + "\n")
    elif options.output == "yaml":
        from autobackup import yamltext  # noqa: PLC0415 - a table needs none of it

        console.result(yamltext.write(document))
    else:
        for finding in findings:
            console.finding(finding.level.value, finding.check, finding.message, remedy=finding.remedy)
    return ExitCode.PROBLEM if failed else ExitCode.OK


async def _findings(options: argparse.Namespace) -> list[Finding]:
    # Help and completion need no client.
    from autobackup.cluster import connect  # noqa: PLC0415
    from autobackup.inspection import Installation, inspect  # noqa: PLC0415
    from informers.clock import RealClock  # noqa: PLC0415

    namespace, slash, name = (options.service_account or f"{options.namespace}/autobackup").partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"--service-account {options.service_account}: write it as NAMESPACE/NAME")
    installation = Installation(
        namespace=options.namespace,
        account=f"{namespace}:{name}",
        lease=options.lease,
        namespaces=tuple(part.strip() for part in options.namespaces.split(",") if part.strip()),
    )
    async with connect(options.kubeconfig, options.context) as cluster:
        return [finding async for finding in inspect(cluster, installation, RealClock())]
