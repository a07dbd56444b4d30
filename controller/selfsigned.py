"""A certificate for a server that nobody gave one: encryption without anything to configure.

Contract: `make` returns a fresh P-256 key and a certificate that the key itself signed, as one PEM text. A client
cannot know whose it is and has to be told to trust it; it keeps what is sent (a scraper's token above all) from
whoever only listens. The key exists in memory only.

`cryptography` is imported when a certificate is made: who brings certificate files never pays for it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from informers.clock import Clock

if TYPE_CHECKING:
    from cryptography import x509

LIFE: Final = timedelta(days=365)
_SLACK: Final = timedelta(hours=1)
"""How far the clocks of clients may be behind."""


def make(clock: Clock, *, names: Sequence[str]) -> str:
    """A key and its certificate for these names and addresses, PEM."""
    from cryptography import x509  # noqa: PLC0415 - see the module
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "autobackup")])
    now = clock.wall()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (secret + certificate.public_bytes(serialization.Encoding.PEM)).decode()


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509  # noqa: PLC0415 - see the module

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
