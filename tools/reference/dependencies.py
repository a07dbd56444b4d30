"""Why each dependency is there."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from tools.reference.markdown import code, page, table
from tools.reference.targets import require_same

SETUP = Path(__file__).parents[2] / "setup.cfg"

_WHY = {
    "aiohttp": "HTTP client (watches, writes) and server (health, metrics). `kubernetes` depends on it already.",
    "cryptography": "The certificate of secured metrics where no files are given; imported only then.",
    "cachetools": "Bounded caches with least-recently-used and timed eviction.",
    "cronsim": "Parses cron expressions and tells whether such a time ever comes.",
    "kubernetes": "Reads kubeconfig files with all their ways to log in. Imported only when a kubeconfig is used.",
    "prometheus-client": "Counts, and writes the Prometheus text format.",
    "PyYAML": "Reads and writes YAML.",
    "shtab": "Makes shell completion from the command line's own definition.",
    "structlog": "Structured log lines, as JSON or for a terminal.",
    "hypothesis": "Property tests.",
    "mypy": "Checks types, in strict mode.",
    "pytest": "Runs the tests.",
    "pytest-asyncio": "Runs tests that are coroutines.",
    "ruff": "Checks style and formats.",
    "setuptools": "Builds the package.",
    "types-cachetools": "Types of cachetools, for mypy.",
    "types-PyYAML": "Types of PyYAML, for mypy.",
    "uv": "Resolves the lock files.",
}


def render_dependencies() -> str:
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    groups = {
        "To run": setup["options"]["install_requires"],
        "To develop": setup["options.extras_require"]["dev"],
    }
    parts, known = [], []
    for heading, text in groups.items():
        wanted = [re.match(r"\s*([A-Za-z0-9_.-]+)\s*(.*)", line) for line in text.splitlines() if line.strip()]
        entries = [(match.group(1), match.group(2)) for match in wanted if match]
        known += [name for name, _ in entries]
        rows = [(code(name), code(bound), _WHY.get(name, "")) for name, bound in entries]
        parts += [f"## {heading}", table(["Package", "Version", "Why"], rows)]
    require_same("dependencies", known, _WHY)
    return page(
        "Dependencies",
        "These are the direct ones; `requirements.lock` and `requirements-dev.lock` pin them and all they need, with "
        "hashes.",
        *parts,
    )
