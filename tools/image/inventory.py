"""What the image is made of: the packages of the base beside those of Python, as CycloneDX.

Runs in the Dockerfile, on the base, with nothing but the standard library. `cyclonedx-py` knows Python packages
only; an inventory without the base's OpenSSL would be of no use to who looks for a vulnerable one. The result
depends on nothing but the packages: no serial number, no times.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

PRODUCT = "autobackup"
DPKG_STATUS = Path("/var/lib/dpkg/status")


def operating_system(release: Path = Path("/etc/os-release")) -> dict[str, str]:
    lines = release.read_text().splitlines() if release.exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def debian_packages(status: str, *, distribution: str, release: str) -> Iterator[dict[str, Any]]:
    """The components that dpkg's own database names as installed."""
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status") != "install ok installed":
            continue
        name, version = fields["Package"], fields["Version"]
        source = fields.get("Source", name).split(" ")[0]
        purl = f"pkg:deb/{distribution}/{quote(name)}@{quote(version)}?arch={fields['Architecture']}&distro={release}"
        yield {
            "bom-ref": purl,
            "type": "library",
            "name": name,
            "version": version,
            "purl": purl,
            "properties": [{"name": "debian:source", "value": source}],
        }


def interpreter(implementation: str, version: str) -> dict[str, Any]:
    return {
        "bom-ref": f"{implementation}@{version}",
        "type": "platform",
        "name": implementation,
        "version": version,
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
    }


def inventory(packages: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """`packages` (of `cyclonedx-py`) with our own package as the subject and `others` as further components."""
    components = packages["components"]
    (subject,) = (component for component in components if component["name"] == PRODUCT)
    subject = {**subject, "type": "application"}
    rest = [component for component in components if component["name"] != PRODUCT] + others
    metadata = {**packages.get("metadata", {}), "component": subject}
    return {**packages, "metadata": metadata, "components": sorted(rest, key=lambda component: component["bom-ref"])}


def main() -> None:
    packages = json.loads(Path(sys.argv[1]).read_text())
    system = operating_system()
    distribution = system.get("ID", "linux")
    others = [interpreter(platform.python_implementation().lower(), platform.python_version())]
    if DPKG_STATUS.exists():
        release = f"{distribution}-{system.get('VERSION_ID', '')}"
        others += debian_packages(DPKG_STATUS.read_text(), distribution=distribution, release=release)
    json.dump(inventory(packages, others), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
