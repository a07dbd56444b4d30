"""Who talks to the API server: users, their tokens, and kubeconfig files.

Users are rows of the API server's static token file, so nobody needs a client certificate. ServiceAccounts
the operator runs as are written as users of that name: RBAC cannot tell them from the real thing.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


def _random_token() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class User:
    """A row of the token file."""

    name: str
    groups: tuple[str, ...] = ()
    token: str = field(default_factory=_random_token, repr=False)

    @classmethod
    def service_account(cls, namespace: str, name: str) -> User:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return cls(f"system:serviceaccount:{namespace}:{name}", groups)


_OPERATOR = ("autobackup-system", "autobackup")
OPERATOR = User.service_account(*_OPERATOR).name
"""What the API server calls the account that the operator runs as."""


def standard_users() -> dict[str, User]:
    """The identities every control plane starts with, by their short name."""
    return {
        "admin": User("admin", ("system:masters",)),
        "operator": User.service_account(*_OPERATOR),
        "alice": User("alice"),
        "bob": User("bob"),
        # Who is given nothing, ever: on a shared control plane the others may have been given something before.
        "stranger": User("stranger"),
    }


def token_file(users: Iterable[User]) -> str:
    """Text for `--token-auth-file`: token, user name, uid, quoted groups."""
    return "".join(f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in users)


def signing_key() -> str:
    """A throw-away P-256 private key for ServiceAccount tokens, in PEM.

    SEC 1 lets the public half be left out (readers compute it), which makes the encoding a constant around 32
    random bytes. The first byte is cleared of its top bit so that the scalar stays below the curve's order.
    """
    scalar = secrets.token_bytes(32)
    scalar = bytes([scalar[0] & 0x7F | 0x01]) + scalar[1:]
    der = bytes.fromhex("30310201010420") + scalar + bytes.fromhex("a00a06082a8648ce3d030107")
    body = base64.encodebytes(der).decode().replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""])


def write_kubeconfig(path: Path, user: User, *, server: str, ca: bytes, namespace: str = "default") -> Path:
    """Write a kubeconfig (JSON, which is YAML) that only the owner may read."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "controlplane",
        "clusters": [
            {
                "name": "controlplane",
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()},
            }
        ],
        "users": [{"name": user.name, "user": {"token": user.token}}],
        "contexts": [
            {
                "name": "controlplane",
                "context": {"cluster": "controlplane", "user": user.name, "namespace": namespace},
            }
        ],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
