"""From changes in caches to queued keys, with informers on a scripted server: H3, H8, H9, L12."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from controller.barrier import WriteBarrier
from controller.caches import Caches, View
from controller.firstpass import FirstPass
from controller.handlers import Handlers
from controller.outcomes import Outcomes
from controller.priorities import BANDS, CHILD_DRIFT, FAN_OUT, INITIAL_LIST, USER_EVENT
from controller.workqueue import WorkQueue
from informers import Added, InformerFactory, InformerObserver, ObjectKey, Resource, shared
from reconcilers import marks
from reconcilers.annotations import Mount
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE
from reconcilers.plan import Outcome, State
from reconcilers.podtemplate import PodTemplate, Volume, record
from reconcilers.reasons import Reason
from tests.support.beside import beside
from tests.support.fakeapi import FakeApi
from tests.support.virtualtime import VirtualClock, run_virtual

DEPLOYMENTS = TARGETS["Deployment"].resource
NIGHTLY = {"stash.appscode.com/backup-blueprint": "nightly"}
NONE_OF_OURS = "example.com/other"
SHOP, BLOG = Key("Deployment", "ns", "shop"), Key("Deployment", "ns", "blog")


class Failures(InformerObserver):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def handler_failed(self, resource: Resource, handler: str, key: ObjectKey, error: Exception) -> None:
        self.seen.append(handler)


class Rig:
    """All caches of the operator on one server, the queue, and nobody who works."""

    def __init__(self) -> None:
        self.api = FakeApi(DEPLOYMENTS, *(kind.resource for kind in TARGETS.values() if kind.resource != DEPLOYMENTS))
        self.api.serve(NAMESPACE)
        for resource in (BLUEPRINT, REPOSITORY, CONFIGURATION):
            self.api.serve(resource, custom=True)
        self.clock = VirtualClock()
        self.failures = Failures()
        self.factory = InformerFactory(self.api, self.clock, self.failures)
        self.caches = Caches.register(self.factory, namespaces=(), openshift=False)
        self.outcomes = Outcomes()
        self.queue: WorkQueue[Key] = WorkQueue(self.clock)
        nobody = cast("Any", _Nobody())
        self.view = View(
            self.caches,
            claims=nobody,
            outcomes=self.outcomes,
            templates=nobody,
            secrets=nobody,
            copies=nobody,
            applier=nobody,
            clock=self.clock,
        )
        self.first_pass = FirstPass()
        barrier = WriteBarrier(lambda resource, namespace: 0)
        self.handlers = Handlers(
            queue=self.queue,
            view=self.view,
            outcomes=self.outcomes,
            barrier=barrier,
            first_pass=self.first_pass,
        )

    @asynccontextmanager
    async def synced(self) -> AsyncIterator[Rig]:
        async with beside(self.factory.run()):
            await self.factory.wait_synced(60)
            try:
                yield self
            finally:
                self.queue.shut_down()

    def queued(self) -> dict[Key, int]:
        return {item.key: item.priority for item in self.queue.items()}

    async def worked(self) -> None:
        """Take everything off the queue."""
        await asyncio.sleep(0.01)
        while len(self.queue):
            self.queue.done(await self.queue.get())

    def blueprint(self, name: str = "nightly") -> None:
        self.api.create(BLUEPRINT, name, spec={"schedule": "0 3 * * *"})

    def configuration(self, name: str, target: Key) -> None:
        mark = marks.Mark(target=target, blueprint="nightly")
        self.api.create(CONFIGURATION, name, **_marks(mark), spec={"schedule": "0 3 * * *"})

    def repository(self, name: str, target: Key) -> None:
        mark = marks.Mark(target=target, blueprint="nightly")
        self.api.create(REPOSITORY, name, **_marks(mark), spec={"backend": {"local": {"mountPath": "/x"}}})


class _Nobody:
    """Stands for what these tests do not reach."""

    claimant = known = effective = state = None


def _marks(mark: marks.Mark) -> dict[str, dict[str, str]]:
    return {"labels": marks.labels_of(mark), "annotations": marks.annotations_of(mark)}


def test_l12_attaching_queues_every_key_at_the_lowest_priority() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        rig.configuration("deploy-shop", SHOP)
        async with rig.synced():
            assert rig.queued() == {}, "a standby queues nothing"
            rig.handlers.attach(rig.caches)
            assert rig.queued() == {SHOP: INITIAL_LIST, Key("BackupBlueprint", "", "nightly"): INITIAL_LIST}

    run_virtual(main())


def test_l12_what_a_target_has_already_does_not_queue_it_again() -> None:
    """Each target was planned two or three times at a start: once for itself, and again for its objects."""

    async def main() -> None:
        rig = Rig()
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        for number in range(1000):
            rig.repository(f"deploy-shop-{number}", SHOP)
            rig.configuration(f"deploy-shop-{number}", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            assert rig.queued().keys() == {SHOP}
            while len(rig.queue):
                rig.queue.done(await rig.queue.get())
            await rig.caches.configurations.wait_synced()
            await asyncio.sleep(1)
            assert rig.queued() == {}, "most of its objects were told after it was worked on"

    run_virtual(main())


def test_l12_what_is_deleted_before_it_was_told_queues_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target was planned while it was there, and nothing else would say that it is missing."""
    monkeypatch.setattr(shared, "SHARE", 1)

    async def main() -> None:
        rig = Rig()
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        for number in range(200):
            rig.configuration(f"deploy-shop-{number:03}", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            while len(rig.queue):
                rig.queue.done(await rig.queue.get())
            rig.api.delete(CONFIGURATION, ObjectKey("ns", "deploy-shop-199"))
            await rig.caches.configurations.wait_synced()
            await asyncio.sleep(1)
            assert rig.queued().keys() == {SHOP}

    run_virtual(main())


def test_l12_what_is_gone_with_its_owner_is_not_made_anew() -> None:
    """The garbage collector's deletion may be seen before that of the owner: its target waits for a moment."""

    async def main() -> None:
        rig = Rig()
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        rig.configuration("deploy-shop", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            while len(rig.queue):
                rig.queue.done(await rig.queue.get())
            rig.api.delete(CONFIGURATION, ObjectKey("ns", "deploy-shop"))
            await asyncio.sleep(0.2)
            assert len(rig.queue) == 0
            await asyncio.sleep(0.5)
            assert len(rig.queue) == 1

    run_virtual(main())


def test_l12_what_changed_before_it_was_told_queues_its_target() -> None:
    """The target may have been planned from what was there before: a handler that joins is told of each row once, as
    it is by then."""

    async def main() -> None:
        rig = Rig()
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        rig.configuration("deploy-shop", SHOP)
        async with rig.synced():
            row = rig.view.configuration(ObjectKey("ns", "deploy-shop"))
            assert row is not None
            rig.handlers.on_owned(Added(row, initial=True), since=row.resource_version)
            assert rig.queued() == {}
            rig.handlers.on_owned(Added(row, initial=True), since=row.resource_version - 1)
            assert rig.queued() == {SHOP: INITIAL_LIST}

    run_virtual(main())


def test_l12_who_owns_something_and_is_no_target_is_queued_for_it() -> None:
    async def main() -> None:
        rig = Rig()
        lost = Key("Deployment", "ns", "lost")
        rig.api.create(DEPLOYMENTS, "shop")
        rig.configuration("deploy-lost", lost)
        rig.configuration("deploy-shop", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await asyncio.sleep(0.01)
            assert rig.queued() == {lost: INITIAL_LIST, SHOP: INITIAL_LIST}

    run_virtual(main())


def test_l12_who_has_nothing_yet_comes_before_who_has_something() -> None:
    async def main() -> None:
        rig = Rig()
        for number in range(20):
            seen_to = Key("Deployment", "ns", f"seen-to-{number}")
            rig.api.create(DEPLOYMENTS, seen_to.name, annotations=NIGHTLY)
            rig.configuration(f"deploy-{seen_to.name}", seen_to)
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        rig.repository("deploy-shop", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            assert rig.queued()[SHOP] == FAN_OUT, "a Repository alone runs no backup"
            assert await rig.queue.get() == SHOP

    run_virtual(main())


def test_h8_initial_rows_wait_behind_what_people_do() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        rig.configuration("deploy-shop", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            rig.api.create(DEPLOYMENTS, "blog", annotations=NIGHTLY)
            await asyncio.sleep(0.01)
            assert rig.queued()[SHOP] == INITIAL_LIST
            assert rig.queued()[BLOG] == USER_EVENT == max(BANDS)
            assert await rig.queue.get() == BLOG
            rig.queue.done(BLOG)
            await rig.worked()
            rig.api.update(BLUEPRINT, ObjectKey("", "nightly"), spec={"schedule": "0 4 * * *"})
            await asyncio.sleep(0.01)
            assert rig.queued() == {
                Key("BackupBlueprint", "", "nightly"): USER_EVENT,
                SHOP: FAN_OUT,
                BLOG: FAN_OUT,
            }

    run_virtual(main())


def test_h9_a_mark_that_moves_wakes_both_targets() -> None:
    async def main() -> None:
        rig = Rig()
        rig.repository("r", SHOP)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await rig.worked()
            moved = marks.Mark(target=BLOG, blueprint="nightly")
            rig.api.update(REPOSITORY, ObjectKey("ns", "r"), **_marks(moved))
            await asyncio.sleep(0.01)
            assert rig.queued() == {SHOP: CHILD_DRIFT, BLOG: CHILD_DRIFT}

    run_virtual(main())


def test_h3_the_key_of_a_failed_handler_is_queued_anyway() -> None:
    async def main() -> None:
        rig = Rig()
        async with rig.synced():

            def fail(*_: object) -> None:
                raise ValueError("a defect")

            rig.handlers.on_target = fail  # type: ignore[method-assign]
            rig.handlers.on_blueprint = fail  # type: ignore[method-assign]
            rig.handlers.on_owned = fail  # type: ignore[method-assign]
            rig.handlers.attach(rig.caches)
            rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
            await asyncio.sleep(0.01)
            assert rig.queued() == {SHOP: INITIAL_LIST}
            await rig.worked()
            rig.blueprint()
            await asyncio.sleep(0.01)
            assert rig.queued() == {Key("BackupBlueprint", "", "nightly"): INITIAL_LIST, SHOP: INITIAL_LIST}
            await rig.worked()
            rig.repository("r", BLOG)
            await asyncio.sleep(0.01)
            assert rig.queued() == {BLOG: INITIAL_LIST}
            await rig.worked()
            outcome = Outcome("nightly", State.CONFIGURED, Reason.CONFIGURED, "", repository=ObjectKey("ns", "r"))
            rig.outcomes.record(BLOG, (outcome,), lambda name: 1)
            rig.api.delete(REPOSITORY, ObjectKey("ns", "r"))
            await asyncio.sleep(0.01)
            assert rig.queued() == {BLOG: INITIAL_LIST}, "the cache does not know it any more, but what was done does"
            assert set(rig.failures.seen) == {"deployment-targets", "blueprint-targets", "repository-owners"}

    run_virtual(main())


def test_an_object_that_was_in_the_way_before_the_cache_knew_it_wakes_who_ran_into_it() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        for name in ("shop", "blog"):
            rig.api.create(DEPLOYMENTS, name, annotations=NIGHTLY)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await rig.worked()
            for target in (SHOP, BLOG):
                name = ObjectKey("ns", f"deploy-{target.name}")
                refused = Outcome("nightly", State.FAILED, Reason.NAME_CONFLICT, "it is there", repository=name)
                rig.outcomes.record(target, (refused,), lambda name: 1)
            rig.api.create(REPOSITORY, "deploy-shop", spec={"backend": {"local": {"mountPath": "/x"}}})
            await asyncio.sleep(0.01)
            assert rig.queued() == {SHOP: CHILD_DRIFT}

    run_virtual(main())


def test_a_change_of_a_namespace_reaches_its_targets_and_no_others() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        for name in ("ns", "other"):
            rig.api.create(NAMESPACE, name)
        rig.api.create(DEPLOYMENTS, "shop", annotations=NIGHTLY)
        rig.api.create(DEPLOYMENTS, "blog", "other", annotations=NIGHTLY)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await rig.worked()
            rig.api.update(NAMESPACE, ObjectKey("", "ns"), labels={"team": "a"})
            await asyncio.sleep(0.01)
            assert rig.queued() == {SHOP: FAN_OUT}
            await rig.worked()
            rig.api.update(NAMESPACE, ObjectKey("", "ns"), annotations={"example.com/mine": "x"})
            await asyncio.sleep(0.01)
            assert rig.queued() == {}
            row = rig.view.namespace("ns")
            assert row is not None
            assert row.labels == (("team", "a"),)

    run_virtual(main())


CLAIMS = TARGETS["PersistentVolumeClaim"].resource


def test_a_namespace_that_asks_has_its_claims_seen_and_queued() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        for name in ("ns", "other"):
            rig.api.create(NAMESPACE, name)
            rig.api.create(CLAIMS, "data", name)
        rig.api.create(DEPLOYMENTS, "shop")
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await rig.worked()
            before = len(rig.api.requests)
            rig.api.update(NAMESPACE, ObjectKey("", "ns"), annotations=NIGHTLY)
            await asyncio.sleep(0.01)
            assert rig.queued() == {Key("PersistentVolumeClaim", "ns", "data"): USER_EVENT}
            assert [request.path for request in rig.api.requests[before:]] == ["/api/v1/persistentvolumeclaims"]
            await rig.worked()

            rig.api.create(CLAIMS, "more", "other")
            await asyncio.sleep(0.01)
            assert rig.queued() == {}, "seen, and nobody's business"
            rig.api.update(NAMESPACE, ObjectKey("", "other"), annotations=NIGHTLY)
            await asyncio.sleep(0.01)
            assert rig.queued() == {Key("PersistentVolumeClaim", "other", name): FAN_OUT for name in ("data", "more")}
            assert list(rig.view.targets_of("nightly")) == [
                Key("PersistentVolumeClaim", *where) for where in (("ns", "data"), ("other", "data"), ("other", "more"))
            ]
            await rig.worked()
            rig.api.update(NAMESPACE, ObjectKey("", "ns"), annotations={NONE_OF_OURS: "x"})
            await asyncio.sleep(0.01)
            assert rig.queued() == {Key("PersistentVolumeClaim", "ns", "data"): FAN_OUT}

    run_virtual(main())


def test_a_process_that_starts_reads_each_kind_once_whatever_namespaces_ask() -> None:
    async def main() -> None:
        rig = Rig()
        rig.api.create(BLUEPRINT, "nightly", spec={"schedule": "0 3 * * *", "targetKinds": ["Deployment"]})
        rig.api.create(NAMESPACE, "ns", annotations=NIGHTLY)
        rig.api.create(CLAIMS, "data")
        rig.api.create(DEPLOYMENTS, "shop")
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            assert SHOP in rig.queued()
            assert Key("PersistentVolumeClaim", "ns", "data") not in rig.queued(), "nobody asks for those"
            await asyncio.sleep(5)
            paths = [request.path for request in rig.api.requests]
            assert len(paths) == len(set(paths))

    run_virtual(main())


def test_a_blueprint_that_lists_another_kind_has_it_seen() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        rig.api.create(NAMESPACE, "ns", annotations=NIGHTLY)
        rig.api.create(DEPLOYMENTS, "shop")
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await rig.worked()
            rig.api.update(BLUEPRINT, ObjectKey("", "nightly"), spec={"targetKinds": ["Deployment"]})
            await asyncio.sleep(0.01)
            assert SHOP in rig.queued()

    run_virtual(main())


def test_claims_are_looked_at_again_when_a_workload_backs_up_others() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        rig.api.create(NAMESPACE, "ns", annotations=NIGHTLY)
        rig.api.create(CLAIMS, "data")
        mark = _marks(marks.Mark(target=SHOP, blueprint="nightly"))
        template = PodTemplate(1, (Volume("data", True, (Mount("data", "/srv"),), claim="data"),))
        mark["annotations"][marks.POD_TEMPLATE] = record(template)
        owned = {"f:metadata": {"f:annotations": {f"f:{marks.POD_TEMPLATE}": {}}}}
        managed = [{"manager": "autobackup", "operation": "Apply", "fieldsV1": owned}]
        target = {"volumeMounts": [{"name": "data", "mountPath": "/srv"}]}
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await rig.worked()
            rig.api.create(CONFIGURATION, "web", **mark, managedFields=managed, spec={"target": target})
            await asyncio.sleep(0.01)
            assert set(rig.queued()) == {SHOP, Key("PersistentVolumeClaim", "ns", "data")}
            assert [row.name for row in rig.view.configurations_covering("ns", "data")] == ["web"]
            await rig.worked()
            rig.api.delete(CONFIGURATION, ObjectKey("ns", "web"))
            await asyncio.sleep(0.01)
            assert Key("PersistentVolumeClaim", "ns", "data") in rig.queued()

    run_virtual(main())
