"""What a running cluster tells the outside: where its API server is, and who its users are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.controlplane import User


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Paths are the same inside and outside; the port is one inside."""

    port: int
    ca: str
    audit_log: str
    plane_folder: str
    users: dict[str, tuple[str, tuple[str, ...], str]]

    def user(self, short_name: str) -> User:
        name, groups, token = self.users[short_name]
        return User(name, tuple(groups), token)

    def write(self, path: Path) -> None:
        """Complete or not there."""
        written = path.with_suffix(".writing")
        written.touch(mode=0o600)
        written.write_text(json.dumps(asdict(self)))
        written.rename(path)

    @classmethod
    def read(cls, path: Path) -> ClusterState:
        return cls(**json.loads(path.read_text()))
