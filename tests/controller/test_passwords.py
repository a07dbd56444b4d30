"""The derivation of a repository's own password: the same as everybody else's HKDF, and never to change."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from controller.passwords import SALT, derive

IDENTITY = "v1 s3:s3.example.com:store|backups/shop/deployment/web"


@given(st.binary(min_size=1, max_size=200), st.text(max_size=200))
def test_it_is_hkdf(master: bytes, identity: str) -> None:
    expected = HKDF(algorithm=SHA256(), length=32, salt=SALT, info=identity.encode()).derive(master)
    assert derive(master, identity) == urlsafe_b64encode(expected).decode().rstrip("=")


@given(st.binary(min_size=1), st.text(), st.text())
def test_other_repositories_get_other_passwords(master: bytes, one: str, other: str) -> None:
    assert (derive(master, one) == derive(master, other)) is (one == other)


def test_it_stays_what_it_is() -> None:
    """A repository opens with nothing else: when this fails, the version in the identity has to be another one."""
    assert derive(b"only-for-tests", IDENTITY) == "9Xy897sznhaftSgzGyaf9zZy1yFAxLX973G78m_Fwdk"


def test_without_a_master_there_is_no_password() -> None:
    with pytest.raises(ValueError, match="RESTIC_PASSWORD"):
        derive(b"", IDENTITY)
