"""One kube-apiserver: its flags, its certificate, its life.

Invariants: the port, the certificate and the audit log stay the same over `restart()` and `kill9()`, so
clients reconnect to "the same" server. Ready means: /readyz answers 200 to the administrator, the bootstrap
RBAC rules are in place and the `default` namespace exists.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.controlplane.audit import AuditLog
from tools.controlplane.client import ApiClient, ApiFailure, ApiUnreachable
from tools.controlplane.identity import User, write_kubeconfig
from tools.controlplane.process import ControlPlaneError, Flags, Process, flag_arguments, free_port

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class ApiServer:
    """A kube-apiserver on a loopback port of its own."""

    def __init__(
        self,
        *,
        name: str,
        program: Path,
        folder: Path,
        etcd_url: str,
        service_account_key: Path,
        token_file: Path,
        users: Mapping[str, User],
        audit: bool = True,
        flags: Flags | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.users = users
        self.flags: Flags = dict(flags or {})
        self.audit_log_path = folder / "audit.log"
        self._program = program
        self._etcd_url = etcd_url
        self._service_account_key = service_account_key
        self._token_file = token_file
        self._audit = audit
        self._clients: list[ApiClient] = []
        self.process = Process(name, [], log=folder / "log")

    @property
    def url(self) -> str:
        # A server on every address makes a certificate for this name, not for the loopback's number.
        host = "localhost" if self.flags.get("bind-address") == "0.0.0.0" else "127.0.0.1"
        return f"https://{host}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The self-signed serving certificate and its issuer: verifies this server, and nothing else."""
        return self.folder / "certs" / "apiserver.crt"

    @property
    def key_file(self) -> Path:
        """The key of the serving certificate, for a proxy that answers in this server's name."""
        return self.folder / "certs" / "apiserver.key"

    def _arguments(self) -> list[str]:
        defaults: dict[str, str | Sequence[str] | None] = {
            "etcd-servers": self._etcd_url,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": str(self.port),
            "cert-dir": str(self.folder / "certs"),
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(self._service_account_key),
            "service-account-signing-key-file": str(self._service_account_key),
            "token-auth-file": str(self._token_file),
            "authorization-mode": "Node,RBAC",
            "service-cluster-ip-range": "10.0.0.0/24",
            "allow-privileged": "true",
            # A loopback address is no valid endpoint of the `kubernetes` Service.
            "endpoint-reconciler-type": "none",
        }
        if self._audit:
            policy = self.folder / "audit-policy.json"
            policy.write_text(json.dumps(AUDIT_POLICY))
            defaults |= {
                "audit-policy-file": str(policy),
                "audit-log-path": str(self.audit_log_path),
                # The record is on disk before the handler returns.
                "audit-log-mode": "blocking",
                "audit-log-maxsize": "0",
            }
        return flag_arguments(defaults, self.flags)

    # -- life --------------------------------------------------------------------------------------

    def start(self, *, timeout: float = 60.0, wait: bool = True) -> None:
        self.process.argv = [str(self._program), *self._arguments()]
        self.process.start()
        if wait:
            self.wait_ready(timeout=timeout)

    def start_on_free_port(self, *, timeout: float = 60.0, tries: int = 3) -> None:
        """The first start: takes another port when somebody else was faster."""
        for left in range(tries, 0, -1):
            try:
                self.start(timeout=timeout)
            except ControlPlaneError:
                self.process.kill()
                if left == 1 or "address already in use" not in self.process.last_lines(30):
                    raise
                self.port = free_port()
            else:
                return

    def wait_ready(self, *, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        last: object = "no answer yet"
        while time.monotonic() < deadline:
            if not self.process.running:
                raise ControlPlaneError(
                    f"{self.name} ended with code {self.process.exit_code} while starting; "
                    f"the end of {self.process.log}:\n{self.process.last_lines()}"
                )
            try:
                with self.client("admin", timeout=5.0, kept=False) as admin:
                    admin.request("GET", "/readyz")
                    admin.request("GET", "/api/v1/namespaces/default")
                    return
            except (
                ApiFailure,
                ApiUnreachable,
                FileNotFoundError,
                ssl.SSLError,
                urllib.error.URLError,
            ) as error:
                last = error
            time.sleep(0.05)
        raise ControlPlaneError(
            f"{self.name} was not ready within {timeout:g} s ({last}); the end of {self.process.log}:\n"
            f"{self.process.last_lines()}"
        )

    def stop(self) -> None:
        """SIGTERM: an orderly end, as in a rolling upgrade."""
        self.process.stop()

    def kill9(self) -> None:
        self.process.kill()

    def restart(self, *, flags: Flags | None = None, timeout: float = 60.0) -> None:
        """Stop (if it runs) and start again on the same port. `flags`, if given, replace all overrides."""
        self.stop()
        if flags is not None:
            self.flags = dict(flags)
        self.start(timeout=timeout)

    def renew_certificate(self) -> None:
        """Another certificate by another issuer, from the next start on; whoever trusts the old one is locked out."""
        for file in (self.ca_file, self.key_file):
            file.unlink()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        self.process.kill()

    # -- ways in -----------------------------------------------------------------------------------

    @property
    def audit_log(self) -> AuditLog:
        if not self._audit:
            raise ControlPlaneError(f"{self.name} was started without an audit log")
        return AuditLog(self.audit_log_path)

    def user(self, user: str | User) -> User:
        return user if isinstance(user, User) else self.users[user]

    def client(self, user: str | User = "admin", *, timeout: float = 30.0, kept: bool = True) -> ApiClient:
        """A client with the rights of `user`. It is closed with the server unless `kept` is false."""
        client = ApiClient(self.url, token=self.user(user).token, ca=self.ca_file, timeout=timeout)
        if kept:
            self._clients.append(client)
        return client

    def kubeconfig(self, user: str | User = "admin", *, server: str | None = None, namespace: str = "default") -> Path:
        """Write a kubeconfig for `user`; `server` names a proxy with the same certificate."""
        who = self.user(user)
        port = (server or self.url).rpartition(":")[2]
        path = self.folder / f"kubeconfig-{who.name.replace(':', '_')}-{port}-{namespace}"
        return write_kubeconfig(path, who, server=server or self.url, ca=self.ca_file.read_bytes(), namespace=namespace)
