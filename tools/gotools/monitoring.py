"""The CRDs of prometheus-operator, out of its Go module: what monitors and rules may be.

Pinned by the module's own checksum, read through Go's proxy once and kept in the cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tools.controlplane.build import BuildFailed, cache_root
from tools.controlplane.progress import Progress
from tools.controlplane.toolchain import NoToolchain, find_go
from tools.image.base import held

MODULE: Final = "github.com/prometheus-operator/prometheus-operator"
VERSION: Final = "v0.85.0"
SUM: Final = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
CRDS: Final = tuple(
    f"monitoring.coreos.com_{kind}.yaml" for kind in ("podmonitors", "prometheusrules", "servicemonitors")
)


def monitoring_crds() -> Path:
    """A folder with the CRDs of PodMonitor, PrometheusRule and ServiceMonitor."""
    folder = cache_root() / f"prometheus-operator-{VERSION}"
    with held(cache_root() / "lock"):
        if not folder.exists():
            source = _downloaded() / "example" / "prometheus-operator-crd"
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="crds-") as temporary:
                made = Path(temporary) / "crds"
                made.mkdir()
                for name in CRDS:
                    shutil.copyfile(source / name, made / name)
                made.rename(folder)
    return folder


def _downloaded() -> Path:
    """Go's own copy of the module. The caller holds the cache's lock."""
    try:
        go = find_go(cache_root(), Progress().say)
    except NoToolchain as error:
        raise BuildFailed(str(error)) from error
    command = [str(go), "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    environment = {**os.environ, "GO111MODULE": "on", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=mod"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=environment)
    if answer.returncode != 0:
        raise BuildFailed(f"{' '.join(command)} failed:\n{answer.stdout}{answer.stderr}")
    found = json.loads(answer.stdout)
    if found["Sum"] != SUM:
        raise BuildFailed(f"{MODULE}@{VERSION} has the checksum {found['Sum']}, and {SUM} is the right one")
    return Path(found["Dir"])
