"""A client for a cluster that a kubeconfig names, with whatever way to log in it prescribes.

The operator's own reading of kubeconfigs is used, so that what works here works there: tokens, client certificates,
exec plugins, private CAs, a server behind a path.
"""

from __future__ import annotations

import asyncio
import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi

from informers import CredentialsError, load_credentials
from informers.credentials import Credentials
from tools.controlplane import ApiClient
from tools.demo.failure import DemoRefused


class _Connection(http.client.HTTPSConnection):
    """Adds the path that the server lives behind, and proves who we are in the kubeconfig's own way."""

    prefix = ""
    authorization: str | None = None

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, self.prefix + url, *args, **kwargs)

    def putheader(self, header: str | bytes, *argument: Any) -> None:
        if header == "Authorization":
            if self.authorization is None:
                return
            argument = (self.authorization,)
        super().putheader(header, *argument)


class KubeconfigClient(ApiClient):
    """An `ApiClient` with credentials from a kubeconfig."""

    def __init__(self, credentials: Credentials, *, timeout: float = 30.0) -> None:
        # The CA is only there because the base asks for one: connections are made with the credentials' own context.
        super().__init__(credentials.server_url, token="", ca=Path(certifi.where()), timeout=timeout)
        self._credentials = credentials

    def _new_connection(self, timeout: float) -> http.client.HTTPSConnection:
        url = urlsplit(self._credentials.server_url)
        connection = _Connection(
            url.hostname or "", url.port or 443, timeout=timeout, context=self._credentials.ssl_context()
        )
        connection.prefix = url.path.rstrip("/")
        connection.authorization = asyncio.run(self._credentials.authorization())
        return connection


def credentials_of(kubeconfig: str) -> Credentials:
    """The credentials of the current context; refuses what this client cannot do."""
    try:
        credentials = load_credentials(kubeconfig)
    except CredentialsError as error:
        raise DemoRefused(str(error)) from error
    if not credentials.server_url.startswith("https:"):
        raise DemoRefused(
            f"{credentials.source}: {credentials.server_url} is not https, and the demo speaks nothing else"
        )
    if credentials.proxy_url or credentials.tls_server_name:
        raise DemoRefused(
            f"{credentials.source} asks for a proxy or another TLS server name, which the demo cannot do; "
            "point it to the server itself"
        )
    return credentials
