"""What the pip of this machine is told about its index and its certificates, for the pip in the build.

Handed over as build secrets: nothing of it is in a layer, in the history or in the build arguments. Where pip is told
nothing there are no secrets, and the Dockerfile does without.
"""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HANDED_OVER = frozenset({"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries"})
CERTIFICATES_INSIDE = "/run/secrets/ca.crt"


def pip_settings() -> dict[str, str]:
    """Effective settings by bare name; the environment overrules files, as in pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse_settings(answer.stdout.splitlines())


def parse_settings(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, separator, value = line.partition("=")
        scope, _, key = name.rpartition(".")
        if separator and scope in ("global", "install", "download", ":env:"):
            found[key] = str(ast.literal_eval(value))
    return found


def build_secrets(folder: Path, settings: dict[str, str], *, certificates: str | None = None) -> dict[str, Path]:
    """Secrets by id: `pip.conf` and `ca.crt`, each only where there is something to tell; written below `folder`."""
    certificates = settings.get("cert") or certificates
    told = {key: value for key, value in settings.items() if key in HANDED_OVER}
    secrets = {}
    if certificates:
        secrets["ca.crt"] = Path(certificates)
        told["cert"] = CERTIFICATES_INSIDE
    if told:
        config = configparser.RawConfigParser()
        config["global"] = told
        secrets["pip.conf"] = folder / "pip.conf"
        secrets["pip.conf"].touch(mode=0o600)
        with secrets["pip.conf"].open("w") as file:
            config.write(file)
    return secrets


def certificates_of_environment() -> str | None:
    return os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
