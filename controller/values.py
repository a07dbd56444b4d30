"""What the value of an option may be: read from YAML, from text, written back, and described.

Each kind answers four questions about its values. Environment and flags carry text, a file carries YAML; a YAML value
of another type ("8" for 8) is refused instead of converted, because quoting mistakes are mistakes.
"""

# ruff: noqa: TRY004  a value of the wrong type is a wrong value: whoever reads configuration catches one exception

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, TypeVar

V_co = TypeVar("V_co", covariant=True)

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Kind(Protocol[V_co]):
    """The kind of an option's values. `read` and `read_text` raise ValueError without text: `allowed` is the text."""

    @property
    def allowed(self) -> str:
        """What may be given, as it stands in an error and in the reference."""

    def read(self, value: object) -> V_co:
        """The value of this YAML."""

    def read_text(self, text: str) -> V_co:
        """The value of an environment variable or a flag."""


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; null, or empty in the environment, stands for "not given"."""

    allowed: str = "a text"

    def read(self, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise ValueError
        return self.read_text(value)

    def read_text(self, text: str) -> str | None:
        return text or None


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an object."""

    allowed: str = "a name: lower-case letters, digits, hyphens and dots, up to 253 of them"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError
        return self.read_text(value)

    def read_text(self, text: str) -> str:
        if len(text) > 253 or not _NAME.fullmatch(text):
            raise ValueError
        return text


@dataclass(frozen=True, slots=True)
class Namespace:
    """The name of a namespace; null, or empty in the environment, stands for "not given"."""

    allowed: str = "the name of a namespace"

    def read(self, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise ValueError
        return self.read_text(value)

    def read_text(self, text: str) -> str | None:
        if text and not _NAMESPACE.fullmatch(text):
            raise ValueError
        return text or None


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    allowed: str = "true or false"

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def read_text(self, text: str) -> bool:
        if text not in {"true", "false"}:
            raise ValueError
        return text == "true"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError
        return value

    def read_text(self, text: str) -> int:
        if not text.isascii() or not text.isdigit():
            raise ValueError
        return self.read(int(text[:20]))


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time span within bounds."""

    low: float
    high: float

    @property
    def allowed(self) -> str:
        return f"seconds, from {self.low:g} to {self.high:g}"

    def read(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError
        return float(value)

    def read_text(self, text: str) -> float:
        return self.read(float(text))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError
        return self.read_text(value)

    def read_text(self, text: str) -> str:
        if text not in self.words:
            raise ValueError
        return text


@dataclass(frozen=True, slots=True)
class Namespaces:
    """A list of namespaces; duplicates are dropped."""

    allowed: str = "a list of namespace names (in a flag or variable: separated by commas), or nothing for all"

    def read(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError
        if not all(_NAMESPACE.fullmatch(name) for name in value):
            raise ValueError
        return tuple(dict.fromkeys(value))

    def read_text(self, text: str) -> tuple[str, ...]:
        return self.read([name.strip() for name in text.split(",")] if text.strip() else [])


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; an empty host is every interface, port 0 is one that the system picks."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on."""

    allowed: str = "host:port, :port for every interface, [ipv6]:port, or off"

    def read(self, value: object) -> Address | None:
        if value is False:  # YAML reads an unquoted off as false
            return None
        if not isinstance(value, str):
            raise ValueError
        return self.read_text(value)

    def read_text(self, text: str) -> Address | None:
        if text == "off":
            return None
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError
        if not colon or not port.isascii() or not port.isdigit() or not int(port[:6]) <= 65535:
            raise ValueError
        return Address(host, int(port))


def write(kind: Kind[object], value: object) -> object:
    """A value as YAML data that its kind would read back."""
    if value is None and isinstance(kind, Listen):
        return "off"
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Address):
        return str(value)
    return value
