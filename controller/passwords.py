"""The password of one repository, derived from the master that a source holds.

Contract: HKDF with SHA-256 (RFC 5869). The input key is the value of RESTIC_PASSWORD in the source, byte for byte; the
salt is `SALT`; the info is the identity of the repository in UTF-8: the version of this recipe, a blank, and the
location. 32 bytes of output, as URL-safe base64 without padding. Who has the master and knows where a repository lies
can derive its password with any tool, on the day on which there is no cluster left to ask.

The location is the identity because it is what is still known on that day, and because no two repositories share one.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Final

SALT: Final = b"autobackup.stash.appscode.com/restic-password"


def derive(master: bytes, identity: str) -> str:
    """The password of the repository `identity`."""
    if not master:
        raise ValueError("cannot derive a password: the master is empty; it is the value of RESTIC_PASSWORD")
    pseudorandom = hmac.digest(SALT, master, "sha256")
    # One block of output is as long as what is wanted, so that HKDF's expansion is a single HMAC.
    return urlsafe_b64encode(hmac.digest(pseudorandom, identity.encode() + b"\x01", "sha256")).decode().rstrip("=")
