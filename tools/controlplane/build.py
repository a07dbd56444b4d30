"""The programs of the control plane: found, or built from source once.

Order: $KUBEBUILDER_ASSETS if it holds kube-apiserver and etcd, as users of envtest expect; else the cache;
else a build from the pinned modules in go.mod beside this file. The cache lies outside the checkout, keyed
by everything that decides what comes out: go.mod, go.sum, flags and platform. It is filled by a rename
under a lock, so it is complete or absent, and two builders do not build twice.
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
from collections.abc import Iterator
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
NEEDED = ("kube-apiserver", "etcd")


class BuildFailed(Exception):
    """The control plane could not be built."""


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


def cache_folder() -> Path:
    """Where the build of exactly these sources and flags is kept."""
    digest = hashlib.sha256()
    for text in (linker_flags(), *PACKAGES.values(), platform.system(), platform.machine()):
        digest.update(text.encode() + b"\0")
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes() + b"\0")
    return cache_root() / f"controlplane-{digest.hexdigest()[:16]}"


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
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
    folder = cache_folder()
    if not _holds(folder, tuple(PACKAGES)):
        with _locked(cache_root() / "lock"):
            if not _holds(folder, tuple(PACKAGES)):
                _build(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Progress().say("another process is building the control plane; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    progress = Progress()
    try:
        go = find_go(cache_root(), progress.say)
    except NoToolchain as error:
        raise BuildFailed(str(error)) from error
    progress.say(f"building Kubernetes {kubernetes_version()} control plane with {go} (once; cached in {folder})")
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
            cwd=MODULE,
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
        packages = run("list", "-mod=readonly", "-deps", *PACKAGES.values())
        progress.stage("compiling", total=len(packages))
        run(
            "build",
            "-v",
            "-mod=readonly",
            "-buildvcs=false",
            f"-ldflags={linker_flags()}",
            "-o",
            f"{out}/",
            *PACKAGES.values(),
        )
        (out / "server").rename(out / "etcd")
        out.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        out.rename(folder)
        out.mkdir()  # for TemporaryDirectory to remove
    progress.done(f"built {', '.join(PACKAGES)}")
