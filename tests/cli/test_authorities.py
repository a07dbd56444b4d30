"""What the operator's process reads before it begins: nothing that it has no use for."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import os, sys
from autobackup import run
before = dict(os.environ)
with run._without_system_authorities():
    import controller.manager
assert dict(os.environ) == before
import aiohttp.connector
sys.exit(aiohttp.connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"])
"""


def test_no_authority_is_read_that_no_connection_of_ours_needs() -> None:
    for given in ({}, {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}):
        done = subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **given}, check=False)
        assert done.returncode == 0
