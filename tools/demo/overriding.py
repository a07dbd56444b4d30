"""A chapter: the blueprint says how far annotations may go; one goes far enough, one too far, and all is explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconcilers import overridable as o
from tools.controlplane import ApiClient
from tools.demo.cast import Target
from tools.demo.narration import Narrator
from tools.demo.prompt import Prompt
from tools.demo.stage import BLUEPRINT, Stage
from tools.demo.witness import Witness

_OVERRIDES = {"retention": {"maximum": {"keepDaily": 90}}, "runtime": {"memory": {"min": "128Mi", "max": "2Gi"}}}
_LONGER, _SHORTER = "daily=30", "daily=3"
_MEMORY = "memory=256Mi..1Gi"

Annotate = Callable[[Target, dict[str, str | None]], float]
"""Sets or removes annotations, and gives the moment just before."""


class Overriding:
    """What the chapter needs to act and to see."""

    def __init__(
        self,
        stage: Stage,
        *,
        admin: ApiClient,
        witness: Witness,
        narrator: Narrator,
        prompt: Prompt,
        annotate: Annotate,
    ) -> None:
        self._blueprint = stage.names.blueprint
        self._admin = admin
        self._witness = witness
        self._tell = narrator
        self._prompt = prompt
        self._annotate = annotate

    def play(self, target: Target, *, targets: int, retention: Mapping[str, object]) -> None:
        """`retention` is that of the blueprint, which `targets` targets name."""
        blueprint = self._blueprint
        self._tell.chapter("One of them wants it otherwise")
        self._tell.act(f"patch BackupBlueprint {blueprint}: what annotations may change, and how far")
        self._tell.objects({"spec": {"overrides": _OVERRIDES}})
        self._admin.patch(BLUEPRINT, blueprint, {"spec": {"overrides": _OVERRIDES}})
        self._witness.wait_for_blueprint(matched=targets)

        self._annotate(target, {o.RETENTION: _LONGER})
        longer = {**retention, "keepDaily": 30, "name": "daily-30-monthly-12"}
        self._witness.wait_for_spec(target, {"retentionPolicy": longer})
        self._tell.seen("thirty days are kept; what the annotation does not say stays as the blueprint has it")

        before = self._witness.pair(target)
        began = self._annotate(target, {o.RETENTION: _SHORTER})
        event = self._witness.wait_for_event(target, "OverrideOutOfBounds", since=began)
        self._tell.say(f"Event: {event['note']}")
        self._witness.wait_for_blueprint(matched=targets, failed=1)
        self._witness.expect_untouched(target, before.configuration)
        self._tell.seen("three days would be fewer than the blueprint's seven: refused, thirty stay in force")

        self._annotate(target, {o.RETENTION: _LONGER, o.RUNTIME: _MEMORY})
        resources = {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi"}}
        self._witness.wait_for_spec(target, {"runtimeSettings": {"container": {"resources": resources}}})
        self._witness.wait_for_blueprint(matched=targets)
        self._tell.seen("its backups may use 1Gi of memory, within what the blueprint allows")
        key = target.key
        self._prompt.autobackup("explain", f"{key.kind.lower()}/{key.name}", "-n", key.namespace)
