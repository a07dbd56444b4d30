"""Reading an OCI archive: what an image is, without a program that runs it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.image.errors import ImageError


class Archive:
    """One image in one file, as `buildah push … oci-archive:` writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        index = json.loads(self._read("index.json"))
        if len(index["manifests"]) != 1:
            raise ImageError(f"{path} holds {len(index['manifests'])} images; one was expected")
        self.digest: str = index["manifests"][0]["digest"]
        self.name: str = index["manifests"][0].get("annotations", {}).get("org.opencontainers.image.ref.name", "")
        self.manifest: dict[str, Any] = json.loads(self.blob(self.digest))
        self.config: dict[str, Any] = json.loads(self.blob(self.manifest["config"]["digest"]))

    def _read(self, member: str) -> bytes:
        with tarfile.open(self.path) as archive:
            file = archive.extractfile(member)
            if file is None:
                raise ImageError(f"{self.path} has no file {member}")
            return file.read()

    def blob(self, digest: str) -> bytes:
        return self._read("blobs/" + digest.replace(":", "/"))

    @property
    def layers(self) -> list[str]:
        return [layer["digest"] for layer in self.manifest["layers"]]

    def files(self, *, above: int = 0) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
        """Every entry of the layers above the first `above` ones, with the content of regular files."""
        for digest in self.layers[above:]:
            with tarfile.open(fileobj=io.BytesIO(self.blob(digest))) as layer:
                for member in layer:
                    file = layer.extractfile(member) if member.isreg() else None
                    yield member, file.read() if file is not None else None

    def names(self) -> set[str]:
        """The paths of the finished file system, without a leading slash: whiteouts of later layers are applied."""
        present: set[str] = set()
        for digest in self.layers:
            with tarfile.open(fileobj=io.BytesIO(self.blob(digest))) as layer:
                for name in (member.name.removeprefix("./").rstrip("/") for member in layer):
                    folder, _, last = name.rpartition("/")
                    if last == ".wh..wh..opq":
                        present = {each for each in present if not each.startswith(folder + "/")}
                    elif last.startswith(".wh."):
                        gone = "/".join(filter(None, (folder, last.removeprefix(".wh."))))
                        present = {each for each in present if each != gone and not each.startswith(gone + "/")}
                    else:
                        present.add(name)
        return present

    def read(self, path: str) -> bytes:
        """The content of a file, from the last layer that has it."""
        found = None
        for member, content in self.files():
            if member.name.removeprefix("./") == path.lstrip("/") and content is not None:
                found = content
        if found is None:
            raise ImageError(f"{self.path}: the image has no file {path}")
        return found

    def unpacked_bytes(self, *, above: int = 0) -> int:
        return sum(member.size for member, _ in self.files(above=above))
