"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and, on demand, kube-controller-manager.

Contract: `with ControlPlane() as plane:` gives a server that answers in 3 to 4 seconds, verifies as TLS,
knows the users of `identity.standard_users()` by token and enforces RBAC. All state is below one throw-away
folder, in memory where there is room; every program dies with this interpreter and the folder is removed
with the plane.

Synchronous on purpose, for pytest fixtures and scripts. Asynchronous code talks to the server, not to this.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from pathlib import Path

from tools.controlplane.apiserver import ApiServer
from tools.controlplane.audit import AuditLog
from tools.controlplane.build import binaries
from tools.controlplane.client import ApiClient
from tools.controlplane.etcd import Etcd
from tools.controlplane.identity import User, signing_key, standard_users, token_file
from tools.controlplane.process import ControlPlaneError, Flags, Process, flag_arguments
from tools.controlplane.workdir import WorkDir

GARBAGE_COLLECTION = ("garbage-collector-controller", "namespace-controller")


class ControlPlane:
    """One etcd, one API server (more with `second_apiserver`), optional controllers."""

    def __init__(
        self,
        *,
        assets: Path | None = None,
        apiserver_flags: Flags | None = None,
        etcd_flags: Flags | None = None,
        users: dict[str, User] | None = None,
        audit: bool = True,
        root: Path | None = None,
    ) -> None:
        self.assets = assets
        self._root = root
        self.users = {**standard_users(), **(users or {})}
        self._apiserver_flags = dict(apiserver_flags or {})
        self._etcd_flags = dict(etcd_flags or {})
        self._audit = audit
        self._workdir: WorkDir | None = None
        self._etcd: Etcd | None = None
        self._servers: list[ApiServer] = []
        self._controllers: Process | None = None

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- life --------------------------------------------------------------------------------------

    def add_user(self, short_name: str, user: User | None = None) -> User:
        """Add an identity; only before `start()`, because the server reads the token file once."""
        if self._servers:
            raise ControlPlaneError(f"user {short_name}: the API server runs already; add users before start()")
        self.users[short_name] = user or User(short_name)
        return self.users[short_name]

    def start(self) -> None:
        if self._workdir is not None:
            raise ControlPlaneError("the control plane runs already")
        if self.assets is None:
            self.assets = binaries()
        self._workdir = WorkDir(self._root)
        atexit.register(self.close)
        try:
            (self.folder / "tokens.csv").write_text(token_file(self.users.values()))
            (self.folder / "service-account.key").write_text(signing_key())
            self._etcd = Etcd(self.program("etcd"), self.folder, flags=self._etcd_flags)
            self._etcd.start()
            self._servers.append(self._new_server("kube-apiserver", self._apiserver_flags))
            self.apiserver.start_on_free_port()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill everything and remove every trace. May be called twice."""
        atexit.unregister(self.close)
        if self._controllers is not None:
            self._controllers.kill()
            self._controllers = None
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._etcd is not None:
            self._etcd.process.kill()
            self._etcd = None
        if self._workdir is not None:
            self._workdir.remove()
            self._workdir = None

    @property
    def folder(self) -> Path:
        if self._workdir is None:
            raise ControlPlaneError("the control plane was not started")
        return self._workdir.path

    def program(self, name: str) -> Path:
        """Where `kubectl` or another program is, or an error that says what to do."""
        path = (self.assets or binaries()) / name
        if not path.exists():
            raise ControlPlaneError(
                f"{path} does not exist. $KUBEBUILDER_ASSETS usually holds etcd, kube-apiserver and kubectl "
                "only: unset it, and `make controlplane` builds all programs from source."
            )
        return path

    # -- etcd --------------------------------------------------------------------------------------

    @property
    def etcd(self) -> Etcd:
        if self._etcd is None:
            raise ControlPlaneError("the control plane was not started")
        return self._etcd

    def stall_etcd(self) -> None:
        """etcd hangs: reads of the cache go on, everything else waits until `resume_etcd()`."""
        self.etcd.process.suspend()

    def resume_etcd(self) -> None:
        self.etcd.process.resume()

    def compact_etcd(self) -> int:
        """Forget all history up to now; returns the revision.

        The API server serves watches, exact lists and continue tokens from its own cache, which remembers
        longer: 410 comes after a `restart()`.
        """
        return self.etcd.compact()

    def restore_etcd(self, copied: Path) -> None:
        """Go back to what `etcd.copy()` gave: every API server is stopped for that, and started again."""
        running = [server for server in self._servers if server.process.running]
        for server in running:
            server.stop()
        self.etcd.restore(copied)
        for server in running:
            server.start()

    # -- API servers -------------------------------------------------------------------------------

    def _new_server(self, name: str, flags: Flags, *, etcd_url: str = "") -> ApiServer:
        return ApiServer(
            name=name,
            program=self.program("kube-apiserver"),
            folder=self.folder / name,
            etcd_url=etcd_url or self.etcd.url,
            service_account_key=self.folder / "service-account.key",
            token_file=self.folder / "tokens.csv",
            users=self.users,
            audit=self._audit,
            flags=flags,
        )

    @property
    def apiserver(self) -> ApiServer:
        if not self._servers:
            raise ControlPlaneError("the control plane was not started")
        return self._servers[0]

    def second_apiserver(self, *, flags: Flags | None = None, etcd_url: str = "") -> ApiServer:
        """One more API server on the same etcd, with its own port, certificate and audit log.

        `etcd_url` may be a way to etcd that somebody can hold up: then this server falls behind the first one.
        """
        server = self._new_server(
            f"kube-apiserver-{len(self._servers) + 1}",
            self._apiserver_flags if flags is None else flags,
            etcd_url=etcd_url,
        )
        self._servers.append(server)
        server.start_on_free_port()
        return server

    def stop(self) -> None:
        """SIGTERM to the API server; etcd and its data stay."""
        self.apiserver.stop()

    def kill9(self) -> None:
        """SIGKILL to the API server; `restart()` brings it back on the same port with the same data."""
        self.apiserver.kill9()

    def restart(self, flags: Flags | None = None) -> None:
        self.apiserver.restart(flags=flags)

    @property
    def url(self) -> str:
        return self.apiserver.url

    @property
    def audit_log(self) -> AuditLog:
        return self.apiserver.audit_log

    def client(self, user: str | User = "admin", *, timeout: float = 30.0) -> ApiClient:
        return self.apiserver.client(user, timeout=timeout)

    def kubeconfig(self, user: str | User = "admin", *, server: str | None = None, namespace: str = "default") -> Path:
        return self.apiserver.kubeconfig(user, server=server, namespace=namespace)

    # -- controllers -------------------------------------------------------------------------------

    @property
    def controllers_running(self) -> bool:
        return self._controllers is not None and self._controllers.running

    def start_controllers(self, controllers: Iterable[str] = GARBAGE_COLLECTION, *, flags: Flags | None = None) -> None:
        """Run kube-controller-manager with exactly these controllers ("*" is all of the default ones)."""
        if self.controllers_running:
            raise ControlPlaneError("kube-controller-manager runs already")
        defaults: Flags = {
            "kubeconfig": str(self.kubeconfig("admin")),
            "controllers": ",".join(controllers),
            "leader-elect": "false",
            "secure-port": "0",
            "root-ca-file": str(self.apiserver.ca_file),
            "service-account-private-key-file": str(self.folder / "service-account.key"),
        }
        argv = [str(self.program("kube-controller-manager")), *flag_arguments(defaults, flags or {})]
        log = self.folder / "kube-controller-manager.log"
        self._controllers = Process("kube-controller-manager", argv, log=log)
        self._controllers.start()

    def stop_controllers(self) -> None:
        if self._controllers is not None:
            self._controllers.stop()
            self._controllers = None
