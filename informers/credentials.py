"""Where the API server is, and how to prove who we are.

Contract: `load` finds the server and the credentials once, or raises `CredentialsError` that names what it
looked at. In order: an explicit kubeconfig or context; the service account of the pod we run in;
`$KUBECONFIG` or `~/.kube/config`. What comes back renews itself: a mounted token is read again each minute,
and at once after a 401; so are certificates, and when the server's is not accepted.

Invariants: this is the only module that imports `kubernetes`, and only when a kubeconfig is read that is not a plain
one (`kubeconfig.py`), because that import costs a fifth of a second and 18 MB. A token never travels over plain HTTP
except to this machine itself.

Source of the idea: client-go `rest.InClusterConfig`, `transport/token_source.go`, `clientcmd`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from ssl import SSLContext
from typing import Any, Protocol
from urllib.parse import urlsplit

from informers.clock import Clock, RealClock
from informers.errors import CredentialsError
from informers.kubeconfig import read_plain, why_unusable
from informers.proxy import is_loopback
from informers.tls import TlsFiles

REREAD_SECONDS = 60.0
# What the library raises for a kubeconfig whose parts have other types than it expects.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Credentials(Protocol):
    """One API server and one identity."""

    @property
    def server_url(self) -> str:
        """Scheme, host, port and possibly a path prefix, without a slash at the end."""
        ...

    @property
    def namespace(self) -> str:
        """The namespace that the source names: the pod's own, or the context's."""
        ...

    @property
    def source(self) -> str:
        """Where all this was read, for people."""
        ...

    @property
    def tls_server_name(self) -> str | None:
        """The name to expect in the server's certificate, when it is not the host's."""
        ...

    @property
    def proxy_url(self) -> str | None:
        """A proxy that the source itself prescribes."""
        ...

    def ssl_context(self, *, fresh: bool = False) -> SSLContext | None:
        """The context for new connections; None for plain HTTP. `fresh` after a certificate was not accepted."""
        ...

    async def authorization(self, *, fresh: bool = False) -> str | None:
        """The value of the Authorization header; `fresh` after the last one was refused."""
        ...


def load(
    kubeconfig: str | None = None,
    context: str | None = None,
    *,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> Credentials:
    """The credentials to use; an explicit kubeconfig or context wins over everything else."""
    clock = clock or RealClock()
    environ = os.environ if environ is None else environ
    if not kubeconfig and not context and InClusterCredentials.available(environ):
        return InClusterCredentials(environ, clock=clock)
    path = kubeconfig or environ.get("KUBECONFIG") or "~/.kube/config"
    return KubeconfigCredentials(path, context, clock=clock)


class StaticCredentials:
    """An address and perhaps a token, given rather than found: for tools and tests."""

    tls_server_name: str | None = None
    proxy_url: str | None = None

    def __init__(
        self,
        server_url: str,
        *,
        token: str | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        verify: bool = True,
        namespace: str = "default",
    ) -> None:
        self.server_url = _checked_url(server_url, source="the given address")
        self.namespace = namespace
        self.source = "given address"
        self._token = token
        self._tls = TlsFiles(RealClock(), ca_file=ca_file, cert_file=cert_file, key_file=key_file, verify=verify)

    def ssl_context(self, *, fresh: bool = False) -> SSLContext | None:
        return self._tls.context(fresh=fresh) if self.server_url.startswith("https:") else None

    async def authorization(self, *, fresh: bool = False) -> str | None:
        return f"Bearer {self._token}" if self._token else None


class InClusterCredentials:
    """The service account that is mounted into this pod."""

    tls_server_name: str | None = None
    proxy_url: str | None = None

    def __init__(self, environ: Mapping[str, str], *, clock: Clock, folder: Path = SERVICE_ACCOUNT) -> None:
        host = environ["KUBERNETES_SERVICE_HOST"]
        port = environ.get("KUBERNETES_SERVICE_PORT", "443")
        self.server_url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self.source = f"service account in {folder}"
        self._folder = folder
        self._clock = clock
        self._tls = TlsFiles(clock, ca_file=str(folder / "ca.crt"))
        self._token = ""
        self._read_at = float("-inf")
        try:
            self.namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
        except OSError:
            self.namespace = "default"

    @staticmethod
    def available(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> bool:
        """Whether this process runs in a pod with a service account."""
        return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (folder / "token").is_file()

    def ssl_context(self, *, fresh: bool = False) -> SSLContext | None:
        return self._tls.context(fresh=fresh)

    async def authorization(self, *, fresh: bool = False) -> str | None:
        now = self._clock.monotonic()
        if fresh or now - self._read_at >= REREAD_SECONDS:
            # A projected file of some hundred bytes on a tmpfs: read in place, no thread (T6).
            self._token = self._read_token() or self._token
            self._read_at = now
        return f"Bearer {self._token}"

    def _read_token(self) -> str:
        path = self._folder / "token"
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            if self._token:
                return ""  # it is being rotated; the one we have may still be good
            raise CredentialsError(f"read the service account token {path}: {error}") from error


class KubeconfigCredentials:
    """One context of a kubeconfig: token, token file, client certificate, basic auth or exec plugin."""

    def __init__(self, path: str, context: str | None, *, clock: Clock) -> None:
        self._path = path
        self._context = context
        self._clock = clock
        self._tls: TlsFiles
        self._token: Callable[[], str | None]
        self._renew: Callable[[], None]
        self._read_at = clock.monotonic()
        self._lock = asyncio.Lock()
        self.namespace = "default"
        self.source = f"kubeconfig {path}"
        address, self.tls_server_name, self.proxy_url = self._read()
        self.server_url = _checked_url(address, source=self.source)

    def ssl_context(self, *, fresh: bool = False) -> SSLContext | None:
        return self._tls.context(fresh=fresh) if self.server_url.startswith("https:") else None

    async def authorization(self, *, fresh: bool = False) -> str | None:
        if fresh or self._clock.monotonic() - self._read_at >= REREAD_SECONDS:
            async with self._lock:
                # An exec plugin is a program that may take seconds: never on the event loop.
                await asyncio.to_thread(self._read if fresh else self._renew)
                self._read_at = self._clock.monotonic()
        return self._token()

    def _read(self) -> tuple[str, str | None, str | None]:
        """Address, name in the certificate, proxy: these stay as they were first read. Sets all that is read again."""
        plain = read_plain(self._path, self._context, decode=_decode_yaml)
        if plain is None:
            return self._read_with_library()
        self.namespace = plain.namespace
        self.source = f"context {plain.context!r} of kubeconfig {self._path}"
        authorization = f"Bearer {plain.token}" if plain.token else None
        self._token = lambda: authorization
        self._renew = lambda: None
        self._tls = TlsFiles(self._clock, ca_file=plain.ca_file, ca_data=plain.ca_data, verify=plain.verify)
        return plain.server, plain.tls_server_name, plain.proxy_url

    def _read_with_library(self) -> tuple[str, str | None, str | None]:
        import yaml  # noqa: PLC0415 - see the module's invariant
        from kubernetes import client, config  # noqa: PLC0415

        where = self.source if self._context is None else f"context {self._context!r} of {self.source}"
        configuration = client.Configuration()
        try:
            contexts, active = config.list_kube_config_contexts(self._path)  # type: ignore[no-untyped-call]
            config.load_kube_config(  # type: ignore[no-untyped-call]
                self._path, self._context, client_configuration=configuration
            )
        except (config.ConfigException, yaml.YAMLError, OSError, *_MALFORMED) as error:
            why = why_unusable(self._path, self._context, decode=_decode_yaml) or " ".join(str(error).split())
            raise CredentialsError(f"read {where}: {why}") from error
        chosen = next((entry for entry in contexts if entry["name"] == self._context), active)
        self.namespace = chosen.get("context", {}).get("namespace") or "default"
        self.source = f"context {chosen['name']!r} of kubeconfig {self._path}"
        renew = configuration.refresh_api_key_hook
        self._token = lambda: configuration.api_key.get("BearerToken") or configuration.api_key.get("authorization")
        self._renew = (lambda: renew(configuration)) if renew is not None else lambda: None
        self._tls = TlsFiles(
            self._clock,
            ca_file=configuration.ssl_ca_cert or None,
            cert_file=configuration.cert_file or None,
            key_file=configuration.key_file or None,
            verify=configuration.verify_ssl,
        )
        name = getattr(configuration, "tls_server_name", None) or None
        return str(configuration.host), name, getattr(configuration, "proxy", None) or None


def _decode_yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415 - only a kubeconfig needs it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _checked_url(url: str, *, source: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CredentialsError(f"{source}: {url!r} is not an http(s) address of an API server")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise CredentialsError(f"{source}: {url!r} would send credentials in the clear; use https")
    return url.rstrip("/")
