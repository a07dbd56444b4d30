"""The bands of the work queue: what is served first when more waits than the workers can take.

A person who annotates an object must not wait behind the thousand keys of an initial list or of a blueprint
edit. The set is closed on purpose: bands are metric labels, and ageing ("one band up per minute") needs an
order.

Source of the idea: controller-runtime's priority queue (`designs/priorityqueue.md`), knative's two-lane
queue.
"""

from __future__ import annotations

from typing import Final

USER_EVENT: Final = 0
"""Somebody changed a target, a blueprint or a Secret."""

CHILD_DRIFT: Final = -10
"""An object that we generated is not as we left it."""

FAN_OUT: Final = -50
"""One change concerns many keys: a blueprint was edited. Or a new leader found a target without objects."""

INITIAL_LIST: Final = -100
"""The object was there when we started, or was listed again: most probably nothing is to be done."""

BANDS: Final[tuple[int, ...]] = (USER_EVENT, CHILD_DRIFT, FAN_OUT, INITIAL_LIST)
"""All bands, the most urgent one first."""
