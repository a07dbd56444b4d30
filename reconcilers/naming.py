"""Names of generated objects.

`<short>-<target>` as in Stash; `<namespace>-<short>-<target>` when the object lives outside the target's namespace;
`-<blueprint>` is added when the target names several. What does not fit into 63 characters is cut and ends in a digest
of the whole, so that two long names stay two. A name is only where a new object *starts*: objects are found again by
their marks, never by computing a name, so this scheme may change without orphaning anything.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from reconcilers.keys import Key
from reconcilers.kinds import TARGETS

LONGEST = 63
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def is_label(name: str) -> bool:
    """Whether a namespace can have this name (RFC 1123 label)."""
    return len(name) <= LONGEST and _LABEL.fullmatch(name) is not None


def is_subdomain(name: str) -> bool:
    """Whether an object can have this name (RFC 1123 subdomain)."""
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def base_name(target: Key, *, namespace: str, blueprint: str | None = None) -> str:
    """The first choice for an object in `namespace` that serves `target`."""
    parts = [TARGETS[target.kind].short, target.name]
    if namespace != target.namespace:
        parts.insert(0, target.namespace)
    if blueprint:
        parts.append(blueprint)
    return shorten("-".join(parts))


def distinct_name(base: str, identity: str) -> str:
    """The next choice when `base` is taken: it ends in a digest of what makes this object different."""
    return shorten(base, suffix=_digest(identity))


def shorten(name: str, *, suffix: str = "") -> str:
    """`name`, cut to 63 characters; a cut name, or one with a suffix, ends in a digest."""
    if not suffix:
        if len(name) <= LONGEST:
            return name
        suffix = _digest(name)
    return f"{name[: LONGEST - 1 - len(suffix)].rstrip('-.')}-{suffix}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()
