"""Certificates that are made, and certificates that change on disk, in real handshakes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from controller import selfsigned
from controller.server import ServeError, Server
from controller.servingcert import RECHECK_SECONDS, ServingCertificate
from controller.values import Address
from informers.clock import RealClock

LOOPBACK = Address("127.0.0.1", 0)


class SteppedClock(RealClock):
    """Real randomness, and a time that a test moves."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    def wall(self) -> datetime:
        return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=self.passed)


async def shown(server: Server, *, trusting: str | None = None, name: str | None = None) -> str:
    """The fingerprint of the certificate that a new connection is shown; `trusting` verifies it."""
    context = ssl.create_default_context(cadata=trusting)
    if trusting is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname=name or "")
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return hashlib.sha256(found).hexdigest()


def fingerprint(pem: str) -> str:
    certificate = pem[pem.index("-----BEGIN CERTIFICATE") :]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def write_pair(folder: Path, pem: str) -> tuple[str, str]:
    """Files of a certificate and its key, put in place the way a mounted Secret is: as new files."""
    at = pem.index("-----BEGIN CERTIFICATE")
    paths = (folder / "tls.crt", folder / "tls.key")
    for path, text in zip(paths, (pem[at:], pem[:at]), strict=True):
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, path)
    return str(paths[0]), str(paths[1])


def break_files(how: str, cert_file: str, key_file: str) -> None:
    other = selfsigned.make(RealClock(), names=("localhost",))
    certificate = other[other.index("-----BEGIN CERTIFICATE") :]
    match how:
        case "half":
            Path(cert_file).write_text(certificate[:200])
        case "gone":
            Path(key_file).unlink()
        case "empty":
            Path(cert_file).write_text("")
        case "mismatch":
            Path(cert_file).write_text(certificate)
        case "text":
            Path(key_file).write_text("not a key\n")


def serving(certificate: ServingCertificate) -> Server:
    return Server(LOOPBACK, web.Application(), option="metricsAddress", tls=certificate.context)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "pod-7d4f"])
async def test_a_made_certificate_is_one_that_a_client_can_verify(name: str, tmp_path: Path) -> None:
    pem = selfsigned.make(RealClock(), names=("localhost", "127.0.0.1", "pod-7d4f"))
    cert_file, key_file = write_pair(tmp_path, pem)
    certificate = ServingCertificate(RealClock(), cert_file=cert_file, key_file=key_file)
    async with serving(certificate) as server:
        assert server.url.startswith("https://")
        trusted = pem[pem.index("-----BEGIN CERTIFICATE") :]
        assert await shown(server, trusting=trusted, name=name) == fingerprint(pem)
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            await shown(server, trusting=trusted, name="example.com")
        other = selfsigned.make(RealClock(), names=("localhost",))
        with pytest.raises(ssl.SSLCertVerificationError):
            await shown(server, trusting=other[other.index("-----BEGIN CERTIFICATE") :], name=name)


def test_each_certificate_has_a_key_and_a_number_of_its_own() -> None:
    made = {selfsigned.make(RealClock(), names=("localhost",)) for _ in range(3)}
    assert len({fingerprint(pem) for pem in made}) == 3
    assert len({pem[: pem.index("-----BEGIN CERTIFICATE")] for pem in made}) == 3


def test_signatures_hold_for_many_keys(tmp_path: Path) -> None:
    """Lengths in DER depend on leading zeros, which are rare: OpenSSL checks the pair each time it is loaded."""
    for _ in range(30):
        pem = tmp_path / "both.pem"
        pem.write_text(selfsigned.make(RealClock(), names=("localhost",)))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem)


async def test_without_files_one_is_made_and_made_anew_at_half_its_life() -> None:
    clock = SteppedClock()
    certificate = ServingCertificate(clock)
    async with serving(certificate) as server:
        first = await shown(server)
        clock.passed = selfsigned.LIFE.total_seconds() / 2 - 60
        assert await shown(server) == first
        clock.passed += 120
        assert await shown(server) != first


@pytest.mark.parametrize("name", [None, "localhost"])
async def test_a_renewed_file_is_taken_by_new_connections(tmp_path: Path, name: str | None) -> None:
    clock = SteppedClock()
    first, second = (selfsigned.make(RealClock(), names=("localhost",)) for _ in range(2))
    cert_file, key_file = write_pair(tmp_path, first)
    certificate = ServingCertificate(clock, cert_file=cert_file, key_file=key_file)
    async with serving(certificate) as server:
        assert await shown(server, name=name) == fingerprint(first)
        write_pair(tmp_path, second)
        assert await shown(server, name=name) == fingerprint(first), "files are not looked at for each connection"
        clock.passed += RECHECK_SECONDS
        assert await shown(server, name=name) == fingerprint(second)


@pytest.mark.parametrize("broken", ["half", "gone", "empty", "mismatch"])
async def test_files_that_cannot_be_used_leave_the_last_good_certificate(tmp_path: Path, broken: str) -> None:
    clock = SteppedClock()
    first, second = (selfsigned.make(RealClock(), names=("localhost",)) for _ in range(2))
    cert_file, key_file = write_pair(tmp_path, first)
    certificate = ServingCertificate(clock, cert_file=cert_file, key_file=key_file)
    async with serving(certificate) as server:
        break_files(broken, cert_file, key_file)
        clock.passed += RECHECK_SECONDS
        assert await shown(server) == fingerprint(first)
        write_pair(tmp_path, second)
        clock.passed += RECHECK_SECONDS
        assert await shown(server) == fingerprint(second)


@pytest.mark.parametrize("broken", ["half", "gone", "text", "mismatch"])
def test_at_start_there_is_no_good_one_and_it_says_so(tmp_path: Path, broken: str) -> None:
    cert_file, key_file = write_pair(tmp_path, selfsigned.make(RealClock(), names=("localhost",)))
    break_files(broken, cert_file, key_file)
    with pytest.raises(ServeError, match=r"read the certificate .*tls\.crt and its key .*: .*metrics\.certFile"):
        ServingCertificate(RealClock(), cert_file=cert_file, key_file=key_file)


async def test_old_versions_of_tls_are_refused() -> None:
    async with serving(ServingCertificate(RealClock())) as server:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=old)
