"""Kubeconfigs that hold all that is needed: an address, a CA and a token.

Contract: `read_plain` gives what such a file says, or None for everything else: files that are merged, programs to
run, client certificates, plugins, passwords, tokens in files, and whatever is not as it should be. The official library
reads those. Where both can read a file they agree; a test compares them. `why_unusable` says what is wrong with one
that neither can read, in the words of who wrote it, not of the library.

Why there are two: the library costs 18 MB and a fifth of a second at the start, for a file that twenty lines can read.

Source of the rules: client-go `tools/clientcmd`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CLUSTER = {
    "server": str,
    "certificate-authority": str,
    "certificate-authority-data": str,
    "insecure-skip-tls-verify": bool,
    "tls-server-name": str,
    "proxy-url": str,
}
_USER = {"token": str}


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """One context of a kubeconfig."""

    context: str
    namespace: str
    server: str
    token: str | None
    ca_file: str | None
    ca_data: str | None
    verify: bool
    tls_server_name: str | None
    proxy_url: str | None


def read_plain(path: str, context: str | None, *, decode: Callable[[str], Any]) -> PlainConfig | None:
    """What the file says, if it is one of the plain ones. `decode` makes a document of YAML or raises ValueError."""
    file = Path(path).expanduser()
    try:
        found = decode(file.read_text(encoding="utf-8")) if os.pathsep not in path else None
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    name = context or found.get("current-context")
    chosen = _named(found, "contexts", "context", name)
    cluster = _only(_named(found, "clusters", "cluster", chosen.get("cluster")), _CLUSTER)
    user = _only(_named(found, "users", "user", chosen.get("user")), _USER)
    if not isinstance(name, str) or user is None or cluster is None or not cluster.get("server"):
        return None
    data = cluster.get("certificate-authority-data")
    try:
        ca_data = base64.b64decode(data, validate=True).decode("ascii") if data else None
    except (binascii.Error, UnicodeDecodeError):
        return None
    ca_file = cluster.get("certificate-authority")
    return PlainConfig(
        context=name,
        namespace=str(chosen.get("namespace") or "default"),
        server=cluster["server"],
        token=user.get("token") or None,
        ca_file=None if ca_data or not ca_file else str(file.parent.absolute() / ca_file),
        ca_data=ca_data,
        verify=not cluster.get("insecure-skip-tls-verify", False),
        tls_server_name=cluster.get("tls-server-name") or None,
        proxy_url=cluster.get("proxy-url") or None,
    )


def why_unusable(path: str, context: str | None, *, decode: Callable[[str], Any]) -> str | None:
    """What is wrong with the kubeconfig, if it is a usual mistake; several files are merged, as by kubectl."""
    files = [file for part in path.split(os.pathsep) if part and (file := Path(part).expanduser()).exists()]
    if not files:
        return "there is no such file; give the path of a kubeconfig, or run in a pod with a service account"
    names: dict[str, list[str]] = {"contexts": [], "clusters": [], "users": []}
    current = None
    chosen: Mapping[str, Any] = {}
    for file in files:
        try:
            document = decode(file.read_text(encoding="utf-8"))
        except OSError as error:
            return f"{file} cannot be read: {error.strerror}"
        except ValueError as error:
            return f"{file} is not YAML: {' '.join(str(error).split())}"
        if not isinstance(document, dict):
            return f"{file} is {'empty' if document is None else 'no kubeconfig'}; kubectl config view shows a good one"
        current = current or document.get("current-context")
        for listing, found in names.items():
            entries = document.get(listing)
            found += [str(entry.get("name")) for entry in entries or () if isinstance(entry, dict)]
        chosen = chosen or _named(document, "contexts", "context", context or current)
        chosen = {} if "" in chosen else chosen
    contexts = ", ".join(names["contexts"]) or "none"
    if not (context or current):
        return f"it has no current-context; name a context: it has {contexts}"
    if (context or current) not in names["contexts"]:
        return f"it has no context {context or current!r}; it has {contexts}"
    for part in ("cluster", "user"):
        if chosen and chosen.get(part) not in names[f"{part}s"]:
            has = ", ".join(names[f"{part}s"]) or "none"
            return f"context {context or current!r} names {part} {chosen.get(part)!r}, which is not in it; it has {has}"
    return None


def _named(document: Mapping[str, Any], listing: str, part: str, name: Any) -> Mapping[str, Any]:
    """The part of the one entry with this name; nothing if that is not clear."""
    entries = document.get(listing)
    found = [
        entry.get(part)
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and entry.get("name") == name
    ]
    return found[0] if len(found) == 1 and isinstance(found[0], dict) else {"": "not there"}


def _only(part: Mapping[str, Any], known: Mapping[str, type]) -> Mapping[str, Any] | None:
    """The part, if it has nothing but these fields, of these types."""
    return part if all(name in known and isinstance(value, known[name]) for name, value in part.items()) else None
