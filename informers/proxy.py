"""Which HTTP proxy, if any, stands between us and the API server.

Contract: `proxy_for(url, environ)` reads HTTPS_PROXY / HTTP_PROXY and NO_PROXY (either case) with the meaning
that kubectl gives them: loopback is never proxied; NO_PROXY takes `*`, host names (also matching their
subdomains), `.suffix`, addresses, CIDR blocks, each with an optional `:port`; IPv6 addresses may stand in
brackets.

Why not the library's own reading: it knows no CIDR blocks, and a cluster's service address is usually
exempted by one.

Source of the idea: golang.org/x/net `http/httpproxy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL for this request URL, or None to connect directly."""
    parts = urlsplit(url)
    proxy = _variable(environ, f"{parts.scheme}_proxy")
    host = parts.hostname or ""
    if not proxy or is_loopback(host):
        return None
    if _exempt(host, parts.port or _PORTS.get(parts.scheme, 0), _variable(environ, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Whether the name or address means this machine."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _exempt(host: str, port: int, no_proxy: str) -> bool:
    address = _address(host)
    return any(
        _matches(entry.strip().lower(), host.lower(), address, port) for entry in no_proxy.split(",") if entry.strip()
    )


def _matches(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted_port = _split_port(entry)
    if wanted_port and wanted_port != str(port):
        return False
    literal = _address(name)
    if literal is not None:
        return literal == address
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""
