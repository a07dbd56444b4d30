"""A certificate of our own making, for a server that nobody gave one: encryption without anything to install.

Contract: `make` returns a fresh P-256 key and a certificate that the key itself signed, as one PEM text. A client
cannot know whose it is and has to be told to trust it; it keeps what is sent (a scraper's token above all) from
whoever only listens.

Why here: the standard library makes no certificates, and the one package that does would be a third of the image.
What is needed is one signature at each start, over data of our own. This is no cryptography for anything else: its
running time depends on the key, which matters to nobody who cannot watch a process start, and OpenSSL does all that
happens on a connection.

Sources: SEC 1 and SEC 2 (curve, ECDSA), RFC 5480 and RFC 5915 (keys), RFC 5280 (the certificate). Numbers come from the
clock, which reads the system's secure source.
"""

from __future__ import annotations

import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from textwrap import wrap
from typing import Final

from informers.clock import Clock

LIFE: Final = timedelta(days=365)
_SLACK: Final = timedelta(hours=1)
"""How far the clocks of clients may be behind."""

Point = tuple[int, int] | None
"""A point of the curve; None is the one at infinity."""

_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BASE: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

_EC_KEY: Final = bytes.fromhex("06072a8648ce3d0201")
_P256: Final = bytes.fromhex("06082a8648ce3d030107")
_ECDSA_SHA256: Final = bytes.fromhex("06082a8648ce3d040302")
_COMMON_NAME: Final = bytes.fromhex("0603550403")
_KEY_USAGE: Final = bytes.fromhex("0603551d0f")
_ALTERNATIVE_NAMES: Final = bytes.fromhex("0603551d11")
_BASIC_CONSTRAINTS: Final = bytes.fromhex("0603551d13")
_EXTENDED_KEY_USAGE: Final = bytes.fromhex("0603551d25")
_SERVER_AUTH: Final = bytes.fromhex("06082b06010505070301")
_TRUE: Final = b"\x01\x01\xff"


def make(clock: Clock, *, names: Sequence[str]) -> str:
    """A key and its certificate for these names and addresses, PEM."""
    secret = _number(clock)
    public = _multiply(secret, _BASE)
    assert public is not None
    point = b"\x04" + public[0].to_bytes(32) + public[1].to_bytes(32)
    signed = _to_be_signed(clock, point, names)
    certificate = _sequence(signed, _sequence(_ECDSA_SHA256), _bits(_sign(clock, secret, signed)))
    key = _sequence(_integer(1), _tlv(0x04, secret.to_bytes(32)), _tlv(0xA0, _P256), _tlv(0xA1, _bits(point)))
    body = "\n".join(wrap(b64encode(key).decode(), 64))
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----\n" + ssl.DER_cert_to_PEM_cert(
        certificate
    )


def _to_be_signed(clock: Clock, point: bytes, names: Sequence[str]) -> bytes:
    now = clock.wall()
    subject = _sequence(_tlv(0x31, _sequence(_COMMON_NAME, _tlv(0x0C, b"autobackup"))))
    extensions = (
        _sequence(_BASIC_CONSTRAINTS, _TRUE, _tlv(0x04, _sequence())),
        _sequence(_KEY_USAGE, _TRUE, _tlv(0x04, b"\x03\x02\x07\x80")),  # digitalSignature
        _sequence(_EXTENDED_KEY_USAGE, _tlv(0x04, _sequence(_SERVER_AUTH))),
        _sequence(_ALTERNATIVE_NAMES, _tlv(0x04, _sequence(*map(_alternative, names)))),
    )
    return _sequence(
        _tlv(0xA0, _integer(2)),  # version 3
        _integer(int(clock.token(16), 16) >> 1 or 1),
        _sequence(_ECDSA_SHA256),
        subject,
        _sequence(_time(now - _SLACK), _time(now + LIFE)),
        subject,
        _sequence(_sequence(_EC_KEY, _P256), _bits(point)),
        _tlv(0xA3, _sequence(*extensions)),
    )


def _alternative(name: str) -> bytes:
    try:
        return _tlv(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return _tlv(0x82, name.encode("ascii", "ignore"))


def _sign(clock: Clock, secret: int, message: bytes) -> bytes:
    """ECDSA with SHA-256."""
    digest = int.from_bytes(sha256(message).digest())
    while True:
        once = _number(clock)
        point = _multiply(once, _BASE)
        assert point is not None
        r = point[0] % _ORDER
        s = pow(once, -1, _ORDER) * (digest + r * secret) % _ORDER
        if r and s:
            return _sequence(_integer(r), _integer(s))


def _number(clock: Clock) -> int:
    """A number from 1 to the order less one; with 64 surplus bits no value is noticeably likelier than another."""
    return int(clock.token(40), 16) % (_ORDER - 1) + 1


def _multiply(factor: int, point: Point) -> Point:
    found: Point = None
    while factor:
        if factor & 1:
            found = _add(found, point)
        point = _add(point, point)
        factor >>= 1
    return found


def _add(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        if (y1 + y2) % _P == 0:
            return None
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, _P)  # the curve's a is -3
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P


def _tlv(tag: int, *parts: bytes) -> bytes:
    """DER: tag, length, value."""
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + value


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, *parts)


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _bits(value: bytes) -> bytes:
    return _tlv(0x03, b"\x00" + value)


def _time(when: datetime) -> bytes:
    if when.year < 2050:
        return _tlv(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
    return _tlv(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())
