"""What workers work with: one of each in a process, wired together by `controller.manager`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.applier import Applier
from controller.barrier import WriteBarrier
from controller.brake import Brake
from controller.caches import View
from controller.claims import Claims
from controller.firstpass import FirstPass
from controller.metrics import Metrics
from controller.outcomes import Outcomes
from controller.pace import StatusPace
from controller.templates import PodTemplates
from controller.workqueue import WorkQueue
from informers.clock import Clock
from reconcilers.keys import Key
from reconcilers.plan import EventIntent


@dataclass(frozen=True, slots=True)
class Machinery:
    """See the module."""

    queue: WorkQueue[Key]
    view: View
    applier: Applier
    templates: PodTemplates
    claims: Claims
    outcomes: Outcomes
    first_pass: FirstPass
    barrier: WriteBarrier
    brake: Brake
    clock: Clock
    metrics: Metrics
    emit: Callable[[EventIntent], None]
    secrets_wanted: Callable[[], None]
    pace: StatusPace = field(default_factory=StatusPace)
