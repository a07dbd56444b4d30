"""Where a backend keeps its data, as one comparable text.

Two Repositories with the same location share one restic repository, and with it retention and deletion; so a location
belongs to one target. The text is made of the store (provider, endpoint, bucket) and the path within it, both
normalised: blanks, leading, trailing and doubled slashes do not make a different place.

Credentials are not part of it: two accounts that see different stores under the same name (Azure, Swift) are taken for
one, which errs on the side of refusing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from reconcilers.errors import Refusal
from reconcilers.reasons import Reason

PROVIDERS = ("local", "s3", "gcs", "azure", "swift", "b2", "rest")
_BUCKET_FIELD = {"s3": "bucket", "gcs": "bucket", "b2": "bucket", "azure": "container", "swift": "container"}
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Location:
    """A store and the path segments within it."""

    store: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.store}{_SEPARATOR}{'/'.join(self.path)}"


def enclosing(location: str) -> Iterator[str]:
    """The locations that would contain this one: every shorter path in the same store."""
    store, _, path = location.partition(_SEPARATOR)
    segments = path.split("/") if path else []
    for length in range(len(segments)):
        yield f"{store}{_SEPARATOR}{'/'.join(segments[:length])}"


def provider_of(backend: Mapping[str, Any]) -> str:
    """The one provider that a backend configures; a Refusal when there is none or more than one."""
    found = [name for name in PROVIDERS if isinstance(backend.get(name), Mapping)]
    if len(found) != 1:
        raise Refusal(
            Reason.INVALID_BACKEND,
            "spec.backend",
            f"configures {' and '.join(found) if found else 'no provider'}",
            hint=f"give exactly one of {', '.join(PROVIDERS)}",
        )
    return found[0]


def prefix_of(backend: Mapping[str, Any]) -> str:
    """The path of a resolved backend as its author wrote it, for people."""
    provider = provider_of(backend)
    config = backend[provider]
    if provider == "rest":
        return _split(str(config.get("url") or "")).path
    return str(config.get("subPath" if provider == "local" else "prefix") or "")


def locate(backend: Mapping[str, Any], *, namespace: str) -> Location:
    """The location of a resolved backend whose Repository lives in `namespace`; raises Refusal."""
    provider = provider_of(backend)
    config = backend[provider]
    if provider == "rest":
        return _rest(str(config.get("url") or ""))
    if provider == "local":
        return Location(f"local:{_volume(config, namespace)}", _segments(config.get("subPath"), "local.subPath"))
    bucket_field = _BUCKET_FIELD[provider]
    bucket = str(config.get(bucket_field) or "").strip()
    if not bucket:
        raise Refusal(
            Reason.INVALID_BACKEND,
            f"spec.backend.{provider}.{bucket_field}",
            "is empty",
            hint="name the bucket or container that holds the backups",
        )
    endpoint = _endpoint(config.get("endpoint")) if provider == "s3" else ""
    return Location(f"{provider}:{endpoint}:{bucket}", _segments(config.get("prefix"), f"{provider}.prefix"))


def _segments(path: Any, field: str) -> tuple[str, ...]:
    segments = tuple(part for part in str(path or "").strip().split("/") if part)
    if any(part in (".", "..") for part in segments):
        raise Refusal(
            Reason.INVALID_BACKEND,
            f"spec.backend.{field}",
            "has a '.' or '..' segment",
            value=str(path),
            hint="write the path without it",
        )
    return segments


def _endpoint(endpoint: Any) -> str:
    text = str(endpoint or "").strip().lower()
    return text.removeprefix("https://").removeprefix("http://").rstrip("/")


def _rest(url: str) -> Location:
    parts = _split(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Location(f"rest:{parts.hostname}:{port}", _segments(unquote(parts.path), "rest.url"))


def _split(url: str) -> SplitResult:
    """The parts of an http or https URL; raises Refusal, which does not repeat the password in it."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Refusal(
            Reason.INVALID_BACKEND,
            "spec.backend.rest.url",
            "is not an http or https URL",
            value=url.rpartition("@")[2].partition("?")[0],
            hint="write it like https://backup.example.com:8000/path; user and password belong into the storage Secret",
        )
    return parts


def _volume(config: Mapping[str, Any], namespace: str) -> str:
    if isinstance(nfs := config.get("nfs"), Mapping):
        return f"nfs:{nfs.get('server')}:{str(nfs.get('path') or '').rstrip('/')}"
    if isinstance(host_path := config.get("hostPath"), Mapping):
        return f"hostPath:{str(host_path.get('path') or '').rstrip('/')}"
    if isinstance(claim := config.get("persistentVolumeClaim"), Mapping):
        return f"pvc:{namespace}/{claim.get('claimName')}"
    source = {k: v for k, v in config.items() if k not in ("mountPath", "subPath")}
    return f"{namespace}:{json.dumps(source, sort_keys=True, separators=(',', ':'))}"
