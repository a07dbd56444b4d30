"""The stage of `KUBECONFIG=... make demo`: somebody's cluster, asked for first and left as it was found.

Everything made there is in one namespace of a unique name, or carries that name: the blueprint, the cluster roles and
their bindings. CRDs that are there are used as they are; those that are missing are installed and taken away again,
unless somebody else began to use them meanwhile.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from informers.credentials import Credentials
from informers.resource import ObjectKey
from tools.controlplane import ApiFailure, ApiUnreachable, NotInTime, install_crds, read_manifests, remove_crd, wait_for
from tools.controlplane.client import Object
from tools.controlplane.manifests import CRD, CRD_FOLDER
from tools.demo import rights
from tools.demo.connection import KubeconfigClient, credentials_of
from tools.demo.failure import DemoRefused
from tools.demo.narration import Narrator
from tools.demo.serviceaccount import write_kubeconfig
from tools.demo.stage import BLUEPRINT, SHARED_COPY, SHARED_SOURCE, STORAGE_SECRET, Names, Stage

_BLUEPRINTS = "backupblueprints.stash.appscode.com"
_GONE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be done, to be agreed to."""

    kubeconfig: str
    credentials: Credentials
    version: str
    names: Names
    missing_crds: tuple[str, ...]
    present_crds: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        name = self.names.namespace
        yield f"cluster     {self.credentials.server_url} ({self.version}), {self.credentials.source}"
        yield f"creates     Namespace {name} with everything in it, BackupBlueprint {self.names.blueprint},"
        yield f"            ClusterRoles {name}-* and bindings for a ServiceAccount in that namespace"
        if self.missing_crds:
            yield f"installs    {_listed(self.missing_crds)}"
        if self.present_crds:
            yield f"uses        {_listed(self.present_crds)}:"
            yield "            there already, they stay as they are; others who watch them see the demo's objects"
        yield "runs        the operator on this machine, for that namespace only; no pod, no volume"
        yield "afterwards  removes all of it"


def propose(kubeconfig: str) -> Proposal:
    """Look at the cluster without changing anything."""
    credentials = credentials_of(kubeconfig)
    client = KubeconfigClient(credentials, timeout=10.0)
    try:
        version = client.request("GET", "/version")["gitVersion"]
        names = [each["metadata"]["name"] for each in read_manifests(CRD_FOLDER)]
        found = {name: client.find(CRD, name) for name in names}
    except (ApiFailure, ApiUnreachable) as error:
        raise DemoRefused(f"cannot use the cluster of {credentials.source}: {error}") from error
    finally:
        client.close()
    blueprints = found[_BLUEPRINTS]
    if blueprints is not None and not _has_status(blueprints):
        raise DemoRefused(
            f"the CRD {_BLUEPRINTS} of this cluster has no status, so it is not the one of this project, and the demo "
            "does not overwrite it; apply manifests/crds yourself if you want to"
        )
    name = f"autobackup-demo-{secrets.token_hex(3)}"
    return Proposal(
        kubeconfig=kubeconfig,
        credentials=credentials,
        version=version,
        names=Names(namespace=name, blueprint=name, vault=name),
        missing_crds=tuple(name for name, crd in found.items() if crd is None),
        present_crds=tuple(name for name, crd in found.items() if crd is not None),
    )


@contextmanager
def stage(proposal: Proposal, narrator: Narrator) -> Iterator[Stage]:
    """Make what was proposed, and remove it."""
    names = proposal.names
    admin = KubeconfigClient(proposal.credentials)
    with ExitStack() as undo:
        undo.callback(admin.close)
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="autobackup-demo-")))
        removal = Removal(admin, narrator)
        undo.callback(removal.report)

        if proposal.missing_crds:
            undo.callback(removal.crds, proposal.missing_crds)
            install_crds(admin, only=proposal.missing_crds)
            narrator.seen(f"{_listed(proposal.missing_crds)} are installed")
        undo.callback(removal.delete, BLUEPRINT, names.blueprint)
        undo.callback(removal.namespace, names.namespace)
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.namespace}})

        def create(manifest: Object) -> None:
            if "namespace" not in manifest["metadata"]:
                kind = f"{manifest['apiVersion']}/{manifest['kind']}"
                undo.callback(removal.delete, kind, manifest["metadata"]["name"])
            admin.create(manifest)

        identity = rights.Identity(names.namespace)
        account = {"name": identity.name, "namespace": identity.namespace}
        create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        rights.grant(create, identity, prefix=f"{names.namespace}-", namespaces=(names.namespace,))
        rights.grant_secret(create, identity, namespace=names.namespace, secret=STORAGE_SECRET)
        rights.grant_copies(
            create,
            identity,
            source=ObjectKey(names.vault, SHARED_SOURCE),
            copy=ObjectKey(names.namespace, SHARED_COPY),
        )
        narrator.seen(f"Namespace {names.namespace}, its ServiceAccount and the rights of manifests/rbac are there")

        undo.callback(narrator.say, "Removing what the demo made.")
        kubectl = shutil.which("kubectl")
        yield Stage(
            names=names,
            connect=lambda: KubeconfigClient(proposal.credentials),
            operator_kubeconfig=write_kubeconfig(
                folder / "operator.kubeconfig", admin, identity, kubeconfig=proposal.kubeconfig
            ),
            namespaces=(names.namespace,),
            kubectl=Path(kubectl) if kubectl else None,
            kubeconfig=proposal.kubeconfig,
        )


class Removal:
    """Takes away what was made; goes on after a failure, and tells at the end what is left."""

    def __init__(self, admin: KubeconfigClient, narrator: Narrator) -> None:
        self._admin = admin
        self._narrator = narrator
        self._left: list[str] = []

    def delete(self, kind: str, name: str) -> None:
        with self._noting(f"{kind.rpartition('/')[2]} {name}"):
            if self._admin.find(kind, name) is not None:
                self._admin.delete(kind, name)

    def namespace(self, name: str) -> None:
        with self._noting(f"Namespace {name}"):
            if self._admin.find("v1/Namespace", name) is None:
                return
            self._admin.delete("v1/Namespace", name)
            wait_for(
                lambda: self._admin.find("v1/Namespace", name) is None,
                _GONE_SECONDS,
                what=f"namespace {name} to be gone",
                poll=0.2,
                state=lambda: [each["message"] for each in self._conditions(name) if each["status"] == "True"],
            )

    def _conditions(self, namespace: str) -> list[Object]:
        found = self._admin.find("v1/Namespace", namespace) or {}
        conditions: list[Object] = found.get("status", {}).get("conditions", [])
        return conditions

    def crds(self, names: tuple[str, ...]) -> None:
        for name in names:
            with self._noting(f"CustomResourceDefinition {name}"):
                crd = self._admin.find(CRD, name)
                if crd is None:
                    continue
                version = next(each["name"] for each in crd["spec"]["versions"] if each["served"])
                kind = f"{crd['spec']['group']}/{version}/{crd['spec']['names']['kind']}"
                if others := self._admin.list(kind):
                    self._left.append(f"CustomResourceDefinition {name}: {len(others)} objects of it are not ours")
                else:
                    remove_crd(self._admin, name)

    def report(self) -> None:
        if self._left:
            raise NotRemoved(self._left)
        self._narrator.seen("the cluster is as it was")

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ApiFailure, ApiUnreachable, NotInTime) as error:
            self._left.append(f"{what}: {error}")


class NotRemoved(Exception):
    """Something that the demo made is still there."""

    def __init__(self, left: list[str]) -> None:
        super().__init__("could not remove everything that the demo made:" + "".join(f"\n  - {each}" for each in left))


def _listed(crds: tuple[str, ...]) -> str:
    return "CRDs " + ", ".join(name.partition(".")[0] for name in crds)


def _has_status(crd: Object) -> bool:
    return any("status" in (version.get("subresources") or {}) for version in crd["spec"]["versions"])
