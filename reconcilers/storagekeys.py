"""Which keys a storage Secret needs for each backend, which it may have besides, and which of them are missing.

Names of keys only: what they hold is never looked at here. `RESTIC_PASSWORD` is needed everywhere. Where a provider
knows several ways to log in, those of the way that lacks least are missing. A login that a cloud gives to pods by
itself needs no keys at all; then half a login is what is missing the other half.

Source: the keys that Stash's agent reads, and restic's documentation of its backends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

RESTIC: Final = "RESTIC_PASSWORD"
CERTIFICATE: Final = "CA_CERT_DATA"


@dataclass(frozen=True, slots=True)
class Login:
    """The ways to log in to a provider, the keys that may be there besides, and whether none of them need be."""

    ways: tuple[tuple[str, ...], ...] = ((),)
    besides: tuple[str, ...] = ()
    optional: bool = False


_PROJECT = ("OS_TENANT_ID", "OS_TENANT_NAME", "OS_USER_DOMAIN_NAME", "OS_PROJECT_NAME", "OS_PROJECT_DOMAIN_NAME")

LOGINS: Final[dict[str, Login]] = {
    "local": Login(),
    "s3": Login((("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),), optional=True),
    "gcs": Login(besides=("GOOGLE_PROJECT_ID", "GOOGLE_SERVICE_ACCOUNT_JSON_KEY")),
    "azure": Login((("AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY"),)),
    "swift": Login(
        (
            ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"),
            ("OS_AUTH_URL", "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET"),
            ("OS_AUTH_URL", "OS_APPLICATION_CREDENTIAL_NAME", "OS_APPLICATION_CREDENTIAL_SECRET"),
            ("OS_STORAGE_URL", "OS_AUTH_TOKEN"),
            ("ST_AUTH", "ST_USER", "ST_KEY"),
        ),
        besides=("OS_REGION_NAME", *_PROJECT),
    ),
    "b2": Login((("B2_ACCOUNT_ID", "B2_ACCOUNT_KEY"),)),
    "rest": Login((("REST_SERVER_USERNAME", "REST_SERVER_PASSWORD"),), optional=True),
}


def known(provider: str) -> tuple[str, ...]:
    """Every key that means something for a provider, in a fixed order."""
    login = LOGINS[provider]
    return tuple(dict.fromkeys([RESTIC, *(key for way in login.ways for key in way), *login.besides, CERTIFICATE]))


def missing(provider: str, present: Collection[str]) -> tuple[str, ...]:
    """The keys that a Secret lacks whose keys with a value are `present`."""
    login = LOGINS[provider]
    lacks = [tuple(key for key in way if key not in present) for way in login.ways]
    begun = any(key in present for way in login.ways for key in way)
    fewest = min(lacks, key=len) if begun or not login.optional else ()
    return (() if RESTIC in present else (RESTIC,)) + fewest
