"""A small synchronous Kubernetes client for tests, the demo and the benchmarks; standard library only.

Kinds are named by text: "apps/v1/Deployment", "v1/Secret". Paths come from the server's own discovery,
asked again when a kind is not found, so that a CRD installed a moment ago works. Every answer of 400 and
above raises `ApiFailure` with the attempt and the server's words; no answer at all raises `ApiUnreachable`.
Nothing is retried, except what a server that has just started says of custom resources until it has read them.

One client keeps one connection and serves one thread at a time; make one per thread.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
import threading
import time
import urllib.parse
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_STARTING = b"storage is (re)initializing"
_STARTING_SECONDS = 0.2

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiUnreachable(Exception):
    """No answer came: refused, cut, or not in time."""


class ApiFailure(Exception):
    """The server answered with an error."""

    def __init__(self, attempt: str, status: int, body: bytes) -> None:
        try:
            decoded = json.loads(body)
            said = decoded if isinstance(decoded, dict) else {}
        except ValueError:
            said = {}
        self.attempt = attempt
        self.status = status
        self.reason: str = said.get("reason", "")
        self.message: str = said.get("message", body.decode(errors="replace")[:500])
        self.details: Object = said.get("details") or {}
        super().__init__(f"{attempt}: {status} {self.reason}: {self.message}")


@dataclass(frozen=True, slots=True)
class ApiKind:
    """Where objects of a kind live."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, *, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = [root]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", urllib.parse.quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(urllib.parse.quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


class ApiClient:
    """Requests to one API server as one user."""

    def __init__(self, server: str, *, token: str, ca: Path, timeout: float = 30.0) -> None:
        self.server = server
        self.token = token
        self.ca = ca
        url = urllib.parse.urlsplit(server)
        self._host, self._port = url.hostname or "", url.port or 443
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self._lock = threading.RLock()
        self._kinds: dict[str, ApiKind] = {}

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # -- requests ----------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; the decoded JSON answer (text where the answer is not JSON)."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", "User-Agent": "autobackup-tools", **(headers or {})}
        if data is not None:
            sent["Content-Type"] = content_type
        deadline = time.monotonic() + self._timeout
        while True:
            response, answer = self._exchange(method, target, data, sent)
            if response.status != 429 or _STARTING not in answer or time.monotonic() > deadline:
                break
            time.sleep(_STARTING_SECONDS)
        if response.status >= 400:
            raise ApiFailure(f"{method} {target}", response.status, answer)
        if "json" in response.headers.get("Content-Type", ""):
            return json.loads(answer)
        return answer.decode(errors="replace")

    def _exchange(
        self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with self._lock:
            connection = self._connected()
            try:
                connection.request(method, target, body=data, headers=dict(headers))
                response = connection.getresponse()
                return response, response.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise ApiUnreachable(f"{method} {self.server}{target}: {type(error).__name__}: {error}") from error

    def _connected(self) -> http.client.HTTPSConnection:
        # An idle connection has nothing to read; if it has, the server has closed it (restart, idle timeout).
        connection = self._connection
        if connection is not None and (connection.sock is None or select.select([connection.sock], [], [], 0)[0]):
            self.close()
            connection = None
        if connection is None:
            connection = self._new_connection(self._timeout)
            self._connection = connection
        return connection

    def _new_connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)

    # -- kinds -------------------------------------------------------------------------------------

    def kind(self, name: str) -> ApiKind:
        """Look a kind up by "group/version/Kind" or "version/Kind"."""
        if name not in self._kinds:
            api_version = name.rpartition("/")[0]
            for found in self.kinds_of(api_version):
                self._kinds[f"{found.api_version}/{found.kind}"] = found
        if name not in self._kinds:
            raise ApiFailure(f"look up kind {name}", 404, b'{"message": "the server does not serve this kind"}')
        return self._kinds[name]

    def kinds_of(self, api_version: str) -> list[ApiKind]:
        """All kinds of a group version, from discovery."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        resources = self.request("GET", root)["resources"]
        return [
            ApiKind(api_version, entry["kind"], entry["name"], entry["namespaced"], frozenset(entry["verbs"]))
            for entry in resources
            if "/" not in entry["name"]
        ]

    def all_kinds(self) -> list[ApiKind]:
        """Every kind, in the most preferred version that has it; one request to each of the two API roots."""
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        found: dict[tuple[str, str], ApiKind] = {}
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, headers={"Accept": accept})["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    for entry in version.get("resources", []):
                        kind = ApiKind(
                            api_version,
                            entry["responseKind"]["kind"],
                            entry["resource"],
                            entry["scope"] == "Namespaced",
                            frozenset(entry["verbs"]),
                        )
                        found.setdefault((name, kind.plural), kind)
        return list(found.values())

    # -- objects -----------------------------------------------------------------------------------

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object:
        got: Object = self.request("GET", self.kind(kind).path(namespace=namespace, name=name))
        return got

    def find(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """Like `get`, but None when there is no such object (or no such kind)."""
        try:
            return self.get(kind, name, namespace=namespace)
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise

    def list(self, kind: str, *, namespace: str | None = None, labels: str = "", fields: str = "") -> list[Object]:
        query = {key: text for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}
        items: list[Object] = self.request("GET", self.kind(kind).path(namespace=namespace), query=query)["items"]
        return items

    def create(self, manifest: Mapping[str, Any], *, namespace: str | None = None) -> Object:
        kind = self._kind_of(manifest)
        created: Object = self.request("POST", kind.path(namespace=_namespace_of(manifest, namespace)), body=manifest)
        return created

    def apply(
        self,
        manifest: Mapping[str, Any],
        *,
        namespace: str | None = None,
        manager: str = "autobackup-tools",
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Server-side apply."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        path = self._kind_of(manifest).path(
            namespace=_namespace_of(manifest, namespace),
            name=manifest["metadata"]["name"],
            subresource=subresource,
        )
        applied: Object = self.request("PATCH", path, query=query, body=manifest, content_type=PATCH_TYPES["apply"])
        return applied

    def replace(self, manifest: Mapping[str, Any], *, subresource: str = "") -> Object:
        path = self._kind_of(manifest).path(
            namespace=_namespace_of(manifest, None),
            name=manifest["metadata"]["name"],
            subresource=subresource,
        )
        replaced: Object = self.request("PUT", path, body=manifest)
        return replaced

    def patch(
        self,
        kind: str,
        name: str,
        patch: Any,
        *,
        namespace: str | None = None,
        patch_type: str = "merge",
        subresource: str = "",
    ) -> Object:
        path = self.kind(kind).path(namespace=namespace, name=name, subresource=subresource)
        patched: Object = self.request("PATCH", path, body=patch, content_type=PATCH_TYPES[patch_type])
        return patched

    def annotate(
        self, kind: str, name: str, annotations: Mapping[str, str | None], *, namespace: str | None = None
    ) -> Object:
        """Set annotations; None removes one."""
        return self.patch(kind, name, {"metadata": {"annotations": dict(annotations)}}, namespace=namespace)

    def delete(self, kind: str, name: str, *, namespace: str | None = None, propagation: str = "Background") -> None:
        query = {"propagationPolicy": propagation}
        self.request("DELETE", self.kind(kind).path(namespace=namespace, name=name), query=query)

    def watch(
        self, kind: str, *, namespace: str | None = None, resource_version: str = "", seconds: int = 10
    ) -> Generator[Object, None, None]:
        """Watch events until the server ends the watch after `seconds`; `ApiUnreachable` if it is cut before.

        Uses a connection of its own.
        """
        query = {"watch": "true", "timeoutSeconds": str(seconds)}
        if resource_version:
            query["resourceVersion"] = resource_version
        target = self.kind(kind).path(namespace=namespace) + "?" + urllib.parse.urlencode(query)
        connection = self._new_connection(seconds + 10.0)
        try:
            connection.request("GET", target, headers={"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            if response.status >= 400:
                raise ApiFailure(f"GET {target}", response.status, response.read())
            rest = b""
            while piece := response.read1(1 << 16):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachable(f"GET {self.server}{target}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _kind_of(self, manifest: Mapping[str, Any]) -> ApiKind:
        return self.kind(f"{manifest['apiVersion']}/{manifest['kind']}")


def _namespace_of(manifest: Mapping[str, Any], namespace: str | None) -> str | None:
    found: str | None = manifest.get("metadata", {}).get("namespace", namespace)
    return found
