"""Keeps secrets, and values that somebody else chose at length, out of what is logged.

Contract, for every key and every string at any depth of a log line:
- The value of a key that looks secret is replaced, unless the key says that it is a name (`secret_name`).
- Objects of kind Secret, and the `data` of anything, never appear.
- In any text: userinfo and query of URLs, authorization headers, `password=...` pairs and PEM blocks are replaced.
- An annotation value above 64 characters is cut and identified by a hash; every other text has a limit as well.

This is the second line: the first is not to pass such values to the logger. Pure functions.

Source of the idea: Kubernetes' `logging.md` and the advisories of operators that logged credentials.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache
from hashlib import sha256
from typing import Final

REDACTED: Final = "[redacted]"
ANNOTATION_LIMIT: Final = 64
TEXT_LIMIT: Final = 4096
TRACEBACK_LIMIT: Final = 16384
_DEPTH: Final = 6
_ITEMS: Final = 100

_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|token|credential|authorization|cookie|(api|private|access|account)_?key"
)
_NAME_KEY = re.compile(r"(name|names|namespace|kind|count|source)$")
_WITHHELD = {"data", "stringdata"}
_ANNOTATION_KEY = re.compile(r"(^|_)value$|^annotation$")

# All repetitions before a fixed text are bounded: an annotation of 256 KB must not keep the loop busy.
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}://)[^/\s]*@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}://[^\s?#\"']{0,1024})\?[^\s\"']*")
_HEADER = re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)[^\s\"']+(\s+[^\s\"',]+)?")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{20,}")
_PAIR = re.compile(
    r"(?i)((?:password|passwd|passphrase|secret[-_]?(?:access[-_]?)?key|(?:access|account|api)[-_]?key|token)"
    r"[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"',;&]+)"
)
# Cheap, and enough for most texts: without one of these none of the patterns matches.
_HINT = re.compile(r"(?i)://|-----BEGIN|authorization|bearer|passw|passphrase|key|token")
_PEM = re.compile(r"-----BEGIN [^-]+-----.*?(-----END [^-]+-----|\Z)", re.DOTALL)


class _Rule(Enum):
    PLAIN = auto()
    WITHHELD = auto()
    ANNOTATION = auto()
    ANNOTATIONS = auto()


@lru_cache(maxsize=1024)
def _rule(key: str) -> _Rule:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower()
    if plain in _WITHHELD or (_SECRET_KEY.search(plain) and not _NAME_KEY.search(plain)):
        return _Rule.WITHHELD
    if plain == "annotations":
        return _Rule.ANNOTATIONS
    return _Rule.ANNOTATION if _ANNOTATION_KEY.search(plain) else _Rule.PLAIN


def redact(key: str, value: object) -> object:
    """What may be logged of `value` under `key`."""
    return _redact(key, value, depth=0)


def scrub(text: str) -> str:
    """`text` without what looks like a credential in it."""
    if _HINT.search(text) is None:
        return text
    if "://" in text:
        text = _USERINFO.sub(rf"\1{REDACTED}@", text)
        text = _QUERY.sub(rf"\1?{REDACTED}", text)
    if "-----BEGIN" in text:
        text = _PEM.sub(REDACTED, text)
    text = _HEADER.sub(rf"\1{REDACTED}", text)
    text = _BEARER.sub(rf"\1{REDACTED}", text)
    return _PAIR.sub(rf"\1{REDACTED}", text)


def cut(text: str, limit: int) -> str:
    """`text` scrubbed; of a long one the beginning, with the length and hash that tell it from others."""
    # Scrub before cutting: a cut through the middle of a credential would hide it from the patterns.
    shown = scrub(text[: 2 * TEXT_LIMIT + limit])
    if len(text) <= limit:
        return shown
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{shown[: limit // 2]}...[{len(text)} characters, sha256 {digest}]"


def _redact(key: str, value: object, *, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    rule = _rule(key)
    if rule is _Rule.WITHHELD or depth > _DEPTH:
        return REDACTED
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        if value.get("kind") == "Secret":
            return "[Secret]"
        inner = "value" if rule is _Rule.ANNOTATIONS else ""
        items = list(value.items())[:_ITEMS]
        return {cut(str(k), 256): _redact(inner or str(k), v, depth=depth + 1) for k, v in items}
    if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_fields"):
        return [_redact(key, item, depth=depth + 1) for item in list(value)[:_ITEMS]]
    text = value if isinstance(value, str) else str(value)
    if rule is _Rule.ANNOTATION:
        return cut(text, ANNOTATION_LIMIT)
    return cut(text, TRACEBACK_LIMIT if key == "traceback" else TEXT_LIMIT)
