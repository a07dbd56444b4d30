"""The programs of the control plane: found, or built from source once.

Order: $KUBEBUILDER_ASSETS if it holds kube-apiserver and etcd, as users of envtest expect; else the cache;
else a build from the pinned modules in go.mod beside this file (or, for other programs, in a go.mod of their own:
`built`). The cache lies outside the checkout, keyed by everything that decides what comes out: go.mod, go.sum, sources
beside them, flags and platform. It is filled by a rename under a lock, so it is complete or absent, and two builders
do not build twice.

What a node needs besides (`node_binaries`) is a set of its own: who only wants an API server does not wait for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.controlplane.progress import Progress
from tools.controlplane.toolchain import NoToolchain, find_go

MODULE = Path(__file__).parent
PACKAGES = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
NODE_PACKAGES = {
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}
NEEDED = ("kube-apiserver", "etcd")


class BuildFailed(Exception):
    """The programs could not be built."""


def kubernetes_version() -> str:
    """The version that go.mod pins, and that the programs report as theirs."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text())
    if found is None:
        raise BuildFailed(f"{MODULE / 'go.mod'} requires no k8s.io/kubernetes")
    return found[1]


def linker_flags() -> str:
    stamps = ("k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion")
    return "-s -w " + " ".join(f"-X {stamp}={kubernetes_version()}" for stamp in stamps)


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "autobackup"


def cache_folder(
    name: str = "controlplane",
    packages: Mapping[str, str] = PACKAGES,
    *,
    module: Path | None = None,
    flags: str | None = None,
) -> Path:
    """Where the build of exactly these sources and flags is kept."""
    digest = hashlib.sha256()
    for text in (linker_flags() if flags is None else flags, *packages.values(), platform.system(), platform.machine()):
        digest.update(text.encode() + b"\0")
    for pinned in ("go.mod", "go.sum"):
        digest.update(((module or MODULE) / pinned).read_bytes() + b"\0")
    for source in sorted((module or MODULE).rglob("*.go")):
        digest.update(source.read_bytes() + b"\0")
    return cache_root() / f"{name}-{digest.hexdigest()[:16]}"


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in names)


def binaries() -> Path:
    """The folder with kube-apiserver and etcd (and, unless it is $KUBEBUILDER_ASSETS, all of `PACKAGES`)."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        if _holds(Path(assets), NEEDED):
            return Path(assets).absolute()
        raise BuildFailed(
            f"$KUBEBUILDER_ASSETS is {assets}, which does not hold {' and '.join(NEEDED)}. "
            "Correct it, or unset it to have them built from source."
        )
    return built("controlplane", PACKAGES)


def node_binaries() -> Path:
    """The folder with all of `NODE_PACKAGES`; $KUBEBUILDER_ASSETS never holds them, so it is not looked at."""
    return built("node", NODE_PACKAGES)


def built(name: str, packages: Mapping[str, str], *, module: Path | None = None, flags: str | None = None) -> Path:
    """The folder with these programs, each from its package, built from the go.mod in `module` unless they are there.

    Without `module` and `flags` it is Kubernetes that is built.
    """
    folder = cache_folder(name, packages, module=module, flags=flags)
    if not _holds(folder, packages):
        with _locked(cache_root() / "lock"):
            if not _holds(folder, packages):
                _build(folder, packages, module or MODULE, linker_flags() if flags is None else flags)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Progress().say("another process is building; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, packages: Mapping[str, str], module: Path, flags: str) -> None:
    progress = Progress()
    try:
        go = find_go(cache_root(), progress.say)
    except NoToolchain as error:
        raise BuildFailed(str(error)) from error
    wanted = ", ".join(packages)
    of = f" of Kubernetes {kubernetes_version()}" if module == MODULE else ""
    progress.say(f"building {wanted}{of} with {go} (once; cached in {folder})")
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    for foreign in ("GOOS", "GOARCH", "GOROOT"):
        environment.pop(foreign, None)

    def run(*arguments: str) -> list[str]:
        with subprocess.Popen(
            [str(go), *arguments],
            cwd=module,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child:
            assert child.stdout is not None
            lines = progress.follow(child.stdout)
        if child.returncode != 0:
            shown = "\n".join(lines[-30:])
            raise BuildFailed(f"go {' '.join(arguments)} failed:\n{shown}")
        return lines

    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as temporary:
        out = Path(temporary)
        progress.stage("reading modules")
        dependencies = run("list", "-mod=readonly", "-deps", *packages.values())
        progress.stage("compiling", total=len(dependencies))
        run(
            "build",
            "-v",
            "-mod=readonly",
            "-buildvcs=false",
            f"-ldflags={flags}",
            "-o",
            f"{out}/",
            *packages.values(),
        )
        if (out / "server").exists():
            (out / "server").rename(out / "etcd")
        out.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        out.rename(folder)
        out.mkdir()  # for TemporaryDirectory to remove
    progress.done(f"built {wanted}")
