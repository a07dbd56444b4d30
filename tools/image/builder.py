"""buildah, told to build the Dockerfile reproducibly.

Everything that could differ between two builds of one commit is pinned: the base by its content, dependencies by
hash, times by the commit (`SOURCE_DATE_EPOCH` overrules it). buildah's store is below the cache, apart from any other
store of the machine, and `chroot` isolation needs no container runtime.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autobackup import __version__
from tools.controlplane.build import cache_root
from tools.image.archive import Archive
from tools.image.base import base_key, debian_base, held
from tools.image.debian import require_programs
from tools.image.errors import ImageError
from tools.image.trust import build_secrets, certificates_of_environment, pip_settings

ROOT = Path(__file__).resolve().parents[2]
NAME = "localhost/autobackup:dev"
KEPT_IMAGES = 200
# Zip archives, such as wheels, know no year before 1980.
_TIME = 315532800
INVENTORY = "opt/autobackup/share/autobackup.cdx.json"


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: its archive, the list of what is in it, and its size beside that of its base."""

    name: str
    archive: Path
    inventory: Path
    digest: str
    base_bytes: int
    own_bytes: int

    @property
    def compressed_bytes(self) -> int:
        return self.archive.stat().st_size


def run_buildah(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    store = cache_root() / "buildah"
    store.mkdir(parents=True, exist_ok=True)
    command = ["buildah", "--root", str(store / "root"), "--runroot", str(store / "run"), *arguments]
    if os.geteuid() == 0:  # what it mounts on its store would stay mounted
        command = ["unshare", "--mount", *command]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}, cwd="/"
    )
    if answer.returncode != 0:
        raise ImageError(f"buildah {' '.join(arguments)} failed:\n{(answer.stdout + answer.stderr)[-4000:]}")
    return answer.stdout.strip()


def require_buildah() -> None:
    require_programs({"buildah": "buildah"}, purpose="building an image")


def import_tree(archive: Path, name: str, *, command: tuple[str, ...] = ()) -> str:
    """An image with one layer: the tree of a tar archive. It has no times of its own."""
    container = run_buildah("from", "scratch")
    try:
        run_buildah("add", "--quiet", container, str(archive), "/")
        if command:
            run_buildah("config", "--entrypoint", "", "--cmd", " ".join(command), container)
        run_buildah("commit", "--quiet", "--timestamp", "0", container, name)
    finally:
        run_buildah("rm", container)
    return name


def local_base() -> str:
    """The Debian base as an image in buildah's store; its name."""
    name = f"localhost/debian:{base_key()}"
    archive = debian_base()
    with held(cache_root() / "lock-base"):
        known = run_buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
        if name not in known:
            import_tree(archive, name)
    return name


def push(name: str, archive: Path) -> None:
    """Write an image of the store to an OCI archive; one that is there is replaced at once, not in pieces."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".image-") as folder:
        made = Path(folder) / "image.tar"
        run_buildah("push", "--quiet", "--format", "oci", name, f"oci-archive:{made}:{name}")
        made.rename(archive)


def _git(context: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", "-C", str(context), *arguments], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def source_date(context: Path = ROOT) -> int:
    """Seconds: $SOURCE_DATE_EPOCH, else the time of the last commit, else 0."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git(context, "log", "-1", "--format=%ct") or 0)


def revision(context: Path = ROOT) -> str:
    """The commit, marked when the checkout has changes that are not in it."""
    commit = _git(context, "rev-parse", "HEAD") or "unknown"
    return commit + ("-dirty" if _git(context, "status", "--porcelain", "--untracked-files=no") else "")


def stage(context: Path, folder: Path) -> None:
    """Copy what the Dockerfile may copy, and give it the same modes and times in every clone and archive: buildah knows
    a step again by these as well as by contents."""
    allowed = [line[1:] for line in (context / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in ("Dockerfile", *allowed):
        source, target = context / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, target)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


def build_image(
    folder: Path, *, base: str | None = None, name: str = NAME, context: Path = ROOT, cached: bool = False
) -> Image:
    """Build the Dockerfile of `context`; archive and inventory are written to `folder`.

    `cached` takes steps of earlier builds, which is quick, but then files have the times of those builds.
    """
    require_buildah()
    base = base or local_base()
    date = source_date(context)
    arguments = {
        "BASE": base,
        "VERSION": __version__,
        "REVISION": revision(context),
        "CREATED": datetime.fromtimestamp(date, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    with held(cache_root() / "lock-image"), tempfile.TemporaryDirectory(prefix="autobackup-build-") as temporary:
        secrets = build_secrets(Path(temporary), pip_settings(), certificates=certificates_of_environment())
        staged = Path(temporary) / "context"
        stage(context, staged)
        run_buildah(
            "bud",
            "--isolation=chroot",
            "--format=oci",
            f"--timestamp={date}",
            "--layers" if cached else "--no-cache",
            *(f"--build-arg={key}={value}" for key, value in arguments.items()),
            *(f"--secret=id={key},src={path}" for key, path in secrets.items()),
            f"--file={staged / 'Dockerfile'}",
            f"--tag={name}",
            str(staged),
        )
        base_layers = int(run_buildah("inspect", "--type=image", "--format={{len .OCIv1.RootFS.DiffIDs}}", base))
        # Images in the store without a name are remains of earlier builds, or steps to start from.
        if not cached or len(run_buildah("images", "--all", "--quiet").split()) > KEPT_IMAGES:
            run_buildah("rmi", "--prune")
        path = folder / "autobackup.oci.tar"
        push(name, path)
    archive = Archive(path)
    inventory = folder / "autobackup.cdx.json"
    inventory.write_bytes(archive.read(INVENTORY))
    own = archive.unpacked_bytes(above=base_layers)
    return Image(
        name=name,
        archive=path,
        inventory=inventory,
        digest=archive.digest,
        base_bytes=archive.unpacked_bytes() - own,
        own_bytes=own,
    )
