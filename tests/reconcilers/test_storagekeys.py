"""The keys of a storage Secret, by backend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilers.location import PROVIDERS
from reconcilers.storagekeys import LOGINS, known, missing


@pytest.mark.parametrize(
    ("provider", "present", "lacks"),
    [
        ("local", "RESTIC_PASSWORD", ""),
        ("local", "", "RESTIC_PASSWORD"),
        ("s3", "RESTIC_PASSWORD", ""),
        ("s3", "RESTIC_PASSWORD AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("s3", "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY", "RESTIC_PASSWORD"),
        ("gcs", "RESTIC_PASSWORD", ""),
        ("gcs", "RESTIC_PASSWORD GOOGLE_PROJECT_ID", ""),
        ("azure", "RESTIC_PASSWORD", "AZURE_ACCOUNT_NAME AZURE_ACCOUNT_KEY"),
        ("b2", "B2_ACCOUNT_ID", "RESTIC_PASSWORD B2_ACCOUNT_KEY"),
        ("rest", "RESTIC_PASSWORD", ""),
        ("rest", "RESTIC_PASSWORD REST_SERVER_PASSWORD", "REST_SERVER_USERNAME"),
        ("swift", "RESTIC_PASSWORD ST_AUTH ST_USER ST_KEY", ""),
        ("swift", "RESTIC_PASSWORD ST_AUTH ST_USER", "ST_KEY"),
        ("swift", "RESTIC_PASSWORD OS_AUTH_URL OS_USERNAME OS_PASSWORD OS_TENANT_NAME", ""),
        ("swift", "RESTIC_PASSWORD OS_AUTH_URL OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET"),
    ],
)
def test_missing(provider: str, present: str, lacks: str) -> None:
    assert missing(provider, set(present.split())) == tuple(lacks.split())


@given(st.sampled_from(PROVIDERS), st.data())
def test_with_what_is_missing_nothing_is_missing(provider: str, data: st.DataObject) -> None:
    present = data.draw(st.sets(st.sampled_from(known(provider))))
    lacks = missing(provider, present)
    assert not set(lacks) & present
    assert set(lacks) <= set(known(provider))
    assert missing(provider, present | set(lacks)) == ()


def test_every_provider_has_its_keys() -> None:
    assert set(LOGINS) == set(PROVIDERS)
