"""The operator's container image from its Dockerfile, without a registry.

    image = build_image(Path("build/image"))
    image.archive, image.inventory, image.digest

buildah builds it, on a Debian base made here by mmdebstrap or on any base that is named; what comes out is an OCI
archive and a list of what is in it (CycloneDX).
"""

from tools.image.archive import Archive
from tools.image.base import debian_base
from tools.image.builder import Image, build_image, import_tree
from tools.image.debian import PackagesMissing, require_programs
from tools.image.errors import ImageError

__all__ = [
    "Archive",
    "Image",
    "ImageError",
    "PackagesMissing",
    "build_image",
    "debian_base",
    "import_tree",
    "require_programs",
]
