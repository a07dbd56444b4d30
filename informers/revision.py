"""Resource versions as numbers.

Contract: the API server promises since 1.35 that resource versions of one resource are ordered as integers
(KEP-5504). Before, and for aggregated APIs, a version may be any string: it reads as 0, "unknown", and is
never found older than anything, so a guard that cannot know lets the object pass (S7).

Invariant: numbers are only for comparing. What goes back to the server is the string it gave.

Source of the idea: apimachinery `pkg/util/resourceversion`.
"""

from __future__ import annotations

UNKNOWN = 0


def parse_revision(text: object) -> int:
    """The number in a resourceVersion, or 0 when it is none."""
    if isinstance(text, str) and text.isascii() and text.isdigit():
        return int(text)
    return UNKNOWN


def is_older(candidate: int, reference: int) -> bool:
    """Whether `candidate` is certainly older than `reference`; unknown versions are not."""
    return UNKNOWN < candidate < reference
