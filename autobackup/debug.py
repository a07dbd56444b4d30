"""`autobackup debug`: what a running operator knows, and what it would do.

It asks the debug pages of one operator process (see `controller.debug`), at an address that the user can reach: that of
a `kubectl port-forward`, or of an operator that runs on this machine. Not through the API server's proxy: that keeps
the caller's token to itself, and the operator would not know who asks.

Over https the token of the kubeconfig is sent, or one from a file; over http, which is only understood on this machine,
none is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from autobackup import __version__
from autobackup.cli import complete_files
from autobackup.console import Console
from autobackup.exits import CommandError, ExitCode, Unreachable, UsageError
from autobackup.tables import aligned

DESCRIPTION = """\
Look inside a running operator: its caches, its work queue, its plan for one object. Nothing is changed by looking.

The operator must run with --debug-endpoint. Reach it with kubectl port-forward, or run it on this machine.

informers shows how far each cache follows the API server; queue what is worked on, what is next and what waits; plan
KIND NAMESPACE/NAME what would be done about an object now; loglevel shows the log level, or sets it until the process
ends.\
"""
EXAMPLES = """\
  kubectl -n autobackup-system port-forward deploy/autobackup 8080
  {prog} informers
  {prog} queue -o json
  {prog} plan Deployment demo/shop
  {prog} plan BackupBlueprint nightly
  {prog} loglevel debug
  {prog} informers --url https://127.0.0.1:8443 --insecure-skip-tls-verify --token-file token
"""
WHAT = ("informers", "queue", "plan", "loglevel")
_URL = "http://127.0.0.1:8080"
_ROW = {
    "informers": ("resource", "state", "rows", "secondsSinceEvent", "relists", "undecodable", "lastError"),
    "queue": ("state", "kind", "namespace", "name", "seconds", "failures", "priority", "reason"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=WHAT, help="what to look at")
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="for plan: KIND and NAMESPACE/NAME; for loglevel: the new level"
    )
    parser.add_argument("--url", default=_URL, help=f"where the operator serves metrics (default: {_URL})")
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table", help="the form")
    complete_files(
        parser.add_argument("--token-file", metavar="FILE", help="read the token from here, - for stdin (https only)")
    )
    complete_files(
        parser.add_argument("--certificate-authority", metavar="FILE", help="CA of the operator's certificate (PEM)")
    )
    parser.add_argument("--tls-server-name", metavar="NAME", help="name to expect in the operator's certificate")
    parser.add_argument(
        "--insecure-skip-tls-verify",
        action="store_true",
        help="do not verify the operator's certificate; whoever is in between gets the token",
    )
    complete_files(parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig whose token is sent"))
    parser.add_argument("--context", help="context of the kubeconfig")


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    method, path, query, body = _question(options.what, options.words)
    document = asyncio.run(_ask(options, method, path, query=query, body=body))
    if options.output == "json":
        console.result(json.dumps(document, indent=2, ensure_ascii=console.ascii_only) + "\n")
    elif options.output == "yaml":
        from autobackup import yamltext  # noqa: PLC0415 - a table needs none of it

        console.result(yamltext.write(document))
    else:
        console.result(_table(options.what, document))
    return ExitCode.OK


def _question(what: str, words: Sequence[str]) -> tuple[str, str, dict[str, str], bytes | None]:
    """Method, path, query and body of the request."""
    if what == "plan":
        if len(words) != 2:
            raise UsageError("plan takes a kind and NAMESPACE/NAME, for example: plan Deployment demo/shop")
        from autobackup import targetname  # noqa: PLC0415 - nothing else needs the kinds

        namespace, _, name = words[1].rpartition("/")
        query = {"kind": targetname.kind_of(words[0]), "namespace": namespace, "name": name}
        return "GET", "/debug/plan", {key: value for key, value in query.items() if value}, None
    if what == "loglevel" and words:
        if len(words) > 1:
            raise UsageError("loglevel takes one level, or none to show it")
        return "PUT", "/debug/loglevel", {}, json.dumps({"level": words[0]}).encode()
    if words:
        raise UsageError(f"{what} takes no more words: {' '.join(words)}")
    return "GET", f"/debug/{what}", {}, None


async def _ask(
    options: argparse.Namespace, method: str, path: str, *, query: Mapping[str, str], body: bytes | None
) -> Any:
    # Help and completion need no client.
    from informers import AiohttpTransport  # noqa: PLC0415
    from informers.credentials import StaticCredentials  # noqa: PLC0415
    from informers.errors import (  # noqa: PLC0415
        ApiError,
        BadRequest,
        CredentialsError,
        DecodeError,
        Forbidden,
        NotFound,
        TransportError,
        Unauthorized,
    )

    secure = urlsplit(options.url).scheme == "https"
    try:
        credentials = StaticCredentials(
            options.url,
            token=await _token(options) if secure else None,
            ca_file=options.certificate_authority,
            verify=not options.insecure_skip_tls_verify,
        )
        credentials.tls_server_name = options.tls_server_name
    except CredentialsError as error:
        raise UsageError(f"--url: {error}") from None
    transport = AiohttpTransport(credentials, user_agent=f"autobackup-cli/{__version__}")
    try:
        answer = await transport.request(method, path, query=query, body=body)
        return answer.json()
    except Unauthorized:
        hint = "give a token of the cluster with --token-file (kubectl create token NAME)" if secure else "use https"
        raise CommandError(f"{options.url} wants to know who asks: {hint}") from None
    except Forbidden as error:
        raise CommandError(f"{options.url}{path}: {error.message or 'this account may not look'}") from None
    except NotFound:
        raise CommandError(f"{options.url} has no debug pages: run the operator with --debug-endpoint") from None
    except BadRequest as error:
        raise UsageError(_told(error.message)) from None
    except (TransportError, DecodeError) as error:
        raise Unreachable(
            f"{options.url}: {error.message or error.reason}; {_way_out(error.reason, secure=secure)}"
        ) from None
    except ApiError as error:
        raise CommandError(f"{options.url}{path}: {_told(error.message) or error}") from None
    finally:
        await transport.close()


def _way_out(reason: str, *, secure: bool) -> str:
    if reason == "Certificate":
        return (
            "name its authority with --certificate-authority, or, where the operator made it itself and a port-forward "
            "protects the connection, give --insecure-skip-tls-verify"
        )
    if reason == "Closed" and not secure:
        return "with metrics.secure, as in the chart, it is --url https://…"
    return "is it the metrics address of an operator, and within reach (kubectl port-forward)?"


async def _token(options: argparse.Namespace) -> str | None:
    """A token of the cluster: from the file, else that of the kubeconfig if it has one."""
    if options.token_file:
        try:
            if options.token_file == "-":  # noqa: S105 - the usual name of stdin
                return sys.stdin.readline().strip()
            return Path(options.token_file).read_text(encoding="utf-8").strip()  # noqa: ASYNC240 - nothing else runs
        except OSError as error:
            raise UsageError(f"--token-file {options.token_file}: {error.strerror}") from None
    from informers import load_credentials  # noqa: PLC0415
    from informers.errors import CredentialsError  # noqa: PLC0415

    try:
        header = await load_credentials(options.kubeconfig, options.context).authorization()
    except CredentialsError as error:
        if options.kubeconfig or options.context:
            raise Unreachable(str(error)) from None
        return None
    scheme, _, token = (header or "").partition(" ")
    return token if scheme == "Bearer" else None


def _told(message: str) -> str:
    """What the debug pages say about a mistake."""
    try:
        document = json.loads(message)
    except ValueError:
        return message
    return str(document.get("error", message)) if isinstance(document, dict) else message


def _table(what: str, document: Mapping[str, Any]) -> str:
    if what == "loglevel":
        return f"{document['level']}\n"
    if what == "plan":
        return _plan(document)
    columns = _ROW[what]
    rows = [
        [_cell(row, column) for column in columns] for row in document["informers" if what == "informers" else "items"]
    ]
    text = aligned([[_title(column) for column in columns], *rows])
    if what == "queue":
        total = document["total"]
        text += f"{total} key{'' if total == 1 else 's'}: " + ", ".join(
            f"{n} {state}" for state, n in document["states"].items()
        )
        text += "\n" if len(rows) == document["total"] else f"; the first {len(rows)} are shown\n"
    return text


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if column == "state" and row.get("available") is False:
        return "not served"
    if column == "state" and row.get("synced") is False:
        return f"{value}, not synced"
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def _title(column: str) -> str:
    return {"secondsSinceEvent": "LAST EVENT (S)", "lastError": "LAST ERROR"}.get(column, column.upper())


def _plan(document: Mapping[str, Any]) -> str:
    key = document["key"]
    queued = document["queued"]
    lines = [
        f"{key['kind']} {key['namespace']}/{key['name']}".replace(" /", " "),
        f"  in the cache: {'yes' if document['inCache'] else 'no; it does not exist, or names no blueprint'}",
        "  in the queue: " + (f"{queued['state']}, {queued['reason']}" if queued else "no"),
    ]
    lines += [f"  last look:    {_outcome(outcome)}" for outcome in document["recorded"]]
    lines += [f"  would be:     {_outcome(outcome)}" for outcome in document["outcomes"]]
    lines += [f"  first read:   the {need['read']} at generation {need['generation']}" for need in document["needs"]]
    for step in document["steps"]:
        where = "/".join(part for part in (step["key"]["namespace"], step["key"]["name"]) if part)
        lines.append(f"  step:         {step['step']} {step['resource']['kind']} {where}")
    if not document["steps"] and not document["needs"]:
        lines.append("  step:         none, all is as it should be")
    return "\n".join(lines) + "\n"


def _outcome(outcome: Mapping[str, Any]) -> str:
    return (
        f"{outcome['state']} with {outcome['blueprint'] or 'no blueprint'}: {outcome['reason']}: {outcome['message']}"
    )
