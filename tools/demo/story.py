"""The story, step by step. Each step acts as a person would and then waits until its effect was seen."""

from __future__ import annotations

import time

from reconcilers import annotations as asked
from tools.controlplane import ApiClient
from tools.demo import cast
from tools.demo.cast import CONFIGURATION, REPOSITORY, Target
from tools.demo.lookout import Lookout
from tools.demo.narration import Narrator
from tools.demo.overriding import Overriding
from tools.demo.prompt import Prompt
from tools.demo.sharing import Sharing
from tools.demo.stage import BLUEPRINT, Stage
from tools.demo.witness import Pair, Witness

_EDITED_SCHEDULE = "30 1 * * *"
_EDITED_RETENTION = {"name": "a-week-and-a-year", "keepDaily": 7, "keepMonthly": 12, "prune": True}
_BAD_SCHEDULE = "every night"
_OWN_SCHEDULE = "15 4 * * 0"
_NAMESPACE = "v1/Namespace"
_ALLOWED = {"backup.example.com/tier": "gold"}


class Story:
    """One performance; `play` raises DemoFailed at the first step that was not observed."""

    def __init__(self, stage: Stage, *, admin: ApiClient, lookout: Lookout, narrator: Narrator, prompt: Prompt) -> None:
        self._names = stage.names
        self._admin = admin
        self._lookout = lookout
        self._tell = narrator
        self._prompt = prompt
        self._witness = Witness(admin, lookout, stage.names)
        self._overriding = Overriding(
            stage, admin=admin, witness=self._witness, narrator=narrator, prompt=prompt, annotate=self._annotate
        )
        self._targets = {target.key.kind: target for target in cast.targets(stage.names)}
        self._milliseconds: dict[str, float] = {}

    def play(self) -> None:
        self._prepare()
        for target in self._targets.values():
            self._opt_in(target)
        self._look_around()
        self._edit_blueprint()
        self._stumble(self._targets["PersistentVolumeClaim"])
        self._overriding.play(self._targets["Deployment"], targets=len(self._targets), retention=_EDITED_RETENTION)
        self._deny_and_allow(self._targets["Deployment"])
        self._opt_out_and_in(self._targets["StatefulSet"])
        sharing = Sharing(
            self._names, admin=self._admin, lookout=self._lookout, narrator=self._tell, witness=self._witness
        )
        sharing.play(self._targets.values())
        self._sum_up()

    # -- steps -------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._tell.chapter("The platform team makes a storage Secret and a blueprint")
        secret = cast.storage_secret(self._names)
        self._tell.act(f"create Secret {self._names.namespace}/{secret['metadata']['name']}: the login of a bucket")
        self._admin.create(secret)
        blueprint = cast.blueprint(self._names)
        self._tell.act(f"create BackupBlueprint {self._names.blueprint}")
        self._tell.objects({"kind": "BackupBlueprint", "spec": blueprint["spec"]})
        self._admin.create(blueprint)
        self._witness.wait_for_blueprint(matched=0)
        self._tell.seen("the blueprint's status says Ready: the template is understood, no target names it yet")

        self._tell.chapter("The application teams have five things that hold data")
        for target in self._targets.values():
            self._tell.act(f"create {target.title}")
            self._admin.create(target.manifest)
        self._witness.expect_count(0)
        self._tell.seen("nobody asked for backups yet, and nobody got any")

    def _opt_in(self, target: Target) -> None:
        article = "An" if target.key.kind[0] in "AEIOU" else "A"
        self._tell.chapter(f"{article} {target.key.kind} asks for backups")
        self._tell.say(target.remark)
        wanted = {asked.BLUEPRINT: self._names.blueprint, **target.annotations}
        pair, milliseconds = self._annotate_until_applied(target, wanted)
        self._milliseconds[target.key.kind] = milliseconds
        self._witness.expect_count(len(self._milliseconds))
        self._tell.seen(f"{milliseconds:.0f} ms later a Repository and a BackupConfiguration are on the API server")
        self._tell.objects(cast.trimmed(pair.repository), cast.trimmed(pair.configuration))

    def _look_around(self) -> None:
        self._tell.chapter("What a person sees")
        self._witness.wait_for_blueprint(matched=len(self._targets))
        self._prompt.kubectl("get", "backupblueprint", self._names.blueprint)
        self._prompt.kubectl("get", "backupconfigurations", "-n", self._names.namespace)

    def _edit_blueprint(self) -> None:
        self._tell.chapter("The blueprint is edited, and everybody follows")
        before = {kind: self._witness.pair(target) for kind, target in self._targets.items()}
        wanted = {"schedule": _EDITED_SCHEDULE, "retentionPolicy": _EDITED_RETENTION}
        self._tell.act(f"patch BackupBlueprint {self._names.blueprint}:")
        self._tell.objects({"spec": wanted})
        edit = {"schedule": _EDITED_SCHEDULE, "retentionPolicy": {"keepLast": None, **_EDITED_RETENTION}}
        began = time.monotonic()
        self._admin.patch(BLUEPRINT, self._names.blueprint, {"spec": edit})
        for target in self._targets.values():
            self._witness.wait_for_spec(target, wanted)
        arrived = max(each.at for each in self._lookout.sightings(CONFIGURATION, since=began))
        self._tell.seen(
            f"all {len(before)} BackupConfigurations have it, the last {1000 * (arrived - began):.0f} ms later"
        )
        self._witness.wait_for_blueprint(matched=len(self._targets))
        self._tell.seen("the blueprint's status counts nobody as pending")
        for kind, target in self._targets.items():
            self._witness.expect_untouched(target, before[kind].repository)
            self._witness.expect_kept(target, before[kind].configuration)
        self._tell.seen("the Repositories were not touched, for nothing of theirs was edited")

    def _stumble(self, target: Target) -> None:
        self._tell.chapter("Somebody writes nonsense, and gets an answer")
        before = self._witness.pair(target)
        began = self._annotate(target, {asked.SCHEDULE: _BAD_SCHEDULE})
        event = self._witness.wait_for_event(target, "InvalidSchedule", since=began)
        self._tell.seen(f"an Event of type {event['type']} on the {target.key.kind} says what is wrong")
        self._witness.wait_for_blueprint(matched=len(self._targets), failed=1)
        self._tell.seen("the blueprint's status lists it as failed, and nobody else")
        self._prompt.kubectl("events", "-n", target.key.namespace, "--for", self._reference(target), "--types=Warning")
        self._prompt.kubectl("get", "backupblueprint", self._names.blueprint)
        self._witness.expect_untouched(target, before.configuration)
        self._tell.seen("the last good BackupConfiguration is still in force")

        began = self._annotate(target, {asked.SCHEDULE: _OWN_SCHEDULE})
        self._witness.wait_for_spec(target, {"schedule": _OWN_SCHEDULE, "retentionPolicy": _EDITED_RETENTION})
        self._witness.wait_for_event(target, "Configured", since=began)
        self._witness.wait_for_blueprint(matched=len(self._targets))
        self._tell.seen("mended: it has a schedule of its own now, an Event says so, nothing counts as failed")

    def _deny_and_allow(self, witness: Target) -> None:
        self._tell.chapter("The blueprint is kept for namespaces with a label")
        before = {kind: self._witness.pair(target) for kind, target in self._targets.items()}
        allowed = {"selector": {"matchLabels": _ALLOWED}}
        self._tell.act(f"patch BackupBlueprint {self._names.blueprint}:")
        self._tell.objects({"spec": {"allowedNamespaces": allowed}})
        began = time.monotonic()
        self._admin.patch(BLUEPRINT, self._names.blueprint, {"spec": {"allowedNamespaces": allowed}})
        for target in self._targets.values():
            self._witness.wait_for_spec(target, {"paused": True})
        self._witness.wait_for_event(witness, "NamespaceNotAllowed", since=began)
        self._witness.wait_for_blueprint(matched=len(self._targets), failed=len(self._targets))
        self._tell.seen(
            f"namespace {self._names.namespace} does not have it: its backups are suspended, nothing is deleted"
        )
        self._prompt.kubectl(
            "events", "-n", witness.key.namespace, "--for", self._reference(witness), "--types=Warning"
        )
        labels = " ".join(f"{key}={value}" for key, value in _ALLOWED.items())
        self._tell.act(f"label Namespace {self._names.namespace}   {labels}")
        began = time.monotonic()
        self._admin.patch(_NAMESPACE, self._names.namespace, {"metadata": {"labels": _ALLOWED}})
        for target in self._targets.values():
            self._witness.wait_for_spec(target, {"paused": None})
        self._witness.wait_for_blueprint(matched=len(self._targets))
        for kind, target in self._targets.items():
            self._witness.expect_untouched(target, before[kind].repository)
            self._witness.expect_kept(target, before[kind].configuration)
        self._tell.seen(f"{1000 * (time.monotonic() - began):.0f} ms later all go on, with the same Repositories")

    def _opt_out_and_in(self, target: Target) -> None:
        self._tell.chapter("An annotation is taken away, and put back")
        before = self._witness.pair(target)
        repository = before.repository["metadata"]
        began = self._annotate(target, {asked.BLUEPRINT: None})
        self._witness.wait_until_gone(target, before.configuration)
        self._witness.wait_for_event(target, "BackupConfigurationDeleted", since=began)
        self._witness.wait_for_blueprint(matched=len(self._targets) - 1)
        self._tell.seen("the BackupConfiguration is gone: no more backups")
        self._witness.expect_kept(target, before.repository)
        self._tell.seen(f"Repository {repository['name']} stays, uid {repository['uid']}: the data is not lost")

        pair, milliseconds = self._annotate_until_applied(target, {asked.BLUEPRINT: self._names.blueprint})
        self._witness.expect_kept(target, before.repository)
        self._tell.seen(
            f"{milliseconds:.0f} ms later a new BackupConfiguration refers to Repository "
            f"{pair.configuration['spec']['repository']['name']}, still uid {pair.repository['metadata']['uid']}"
        )

    def _sum_up(self) -> None:
        self._tell.chapter("What is on the API server now")
        blueprint = self._witness.wait_for_blueprint(matched=len(self._targets))
        failed = {(each["kind"], each["name"]): each["reason"] for each in blueprint["status"].get("failures", ())}
        rows = []
        for kind, target in self._targets.items():
            pair = self._witness.pair(target)
            rows.append(
                (
                    target.title,
                    self._names.blueprint,
                    cast.prefix_of(pair.repository),
                    pair.configuration["spec"]["schedule"],
                    failed.get((kind, target.key.name), "Configured"),
                    f"{self._milliseconds[kind]:.0f}",
                )
            )
        self._tell.table(("TARGET", "BLUEPRINT", "REPOSITORY PREFIX", "SCHEDULE", "STATE", "MS"), rows)
        self._tell.say(
            "MS: from just before the annotation was sent until Repository and BackupConfiguration had both arrived, "
            "through watches that were open before."
        )

    # -- acting ------------------------------------------------------------------------------------

    def _annotate(self, target: Target, annotations: dict[str, str | None]) -> float:
        """Set or remove annotations; the moment just before."""
        for key, value in annotations.items():
            change = f"remove {key}" if value is None else f"{key}: {value}"
            self._tell.act(f"annotate {target.title}   {change}")
        self._admin.kind(target.kind)  # looking the kind up is not part of what is measured
        began = time.monotonic()
        self._admin.annotate(target.kind, target.key.name, annotations, namespace=target.key.namespace)
        return began

    def _annotate_until_applied(self, target: Target, annotations: dict[str, str | None]) -> tuple[Pair, float]:
        """Milliseconds from just before the annotation to the arrival of the last object that it brought."""
        began = self._annotate(target, annotations)
        pair = self._witness.wait_for_pair(target)
        uids = {each["metadata"]["uid"] for each in (pair.repository, pair.configuration)}
        arrived = max(
            each.at
            for kind in (REPOSITORY, CONFIGURATION)
            for each in self._lookout.sightings(kind, since=began)
            if each.type == "ADDED" and each.uid in uids
        )
        return pair, 1000 * (arrived - began)

    def _reference(self, target: Target) -> str:
        return f"{self._admin.kind(target.kind).plural}/{target.key.name}"
