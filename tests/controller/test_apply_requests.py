"""What an apply looks like when it leaves: A1, A2."""

from __future__ import annotations

from controller.applier import Applier
from reconcilers.plan import Apply, ApplyStatus
from tests.reconcilers.sights import NIGHTLY, SHOP, opted_in
from tests.support.scripted import ScriptedTransport, made
from tests.support.virtualtime import StoppedClock


async def test_a1_an_apply_says_what_it_is_and_a_status_goes_on_its_own() -> None:
    world = opted_in()
    world.respec("nightly", schedule="0 5 * * *")
    steps = [*world.plan(SHOP).steps, *world.plan(NIGHTLY).steps]
    assert {type(step) for step in steps} == {Apply, ApplyStatus}
    transport = ScriptedTransport(made)
    applier = Applier(transport, StoppedClock(), most_in_flight=4)
    for step in steps:
        if isinstance(step, Apply):
            await applier.apply(step)
        elif isinstance(step, ApplyStatus):
            await applier.apply_status(step)
    assert {asked.content_type for asked in transport.asked} == {"application/apply-patch+yaml"}
    for asked in transport.asked:
        assert asked.query["fieldManager"] == "autobackup"
        of_status = asked.path.endswith("/status")
        assert of_status == ("status" in asked.body)
        assert not (of_status and "spec" in asked.body)


def test_a2_an_apply_to_a_known_object_carries_its_uid() -> None:
    world = opted_in()
    world.respec("nightly", schedule="0 5 * * *", retentionPolicy={"name": "k", "keepLast": 3, "prune": True})
    applies = [step for step in world.plan(SHOP).steps if isinstance(step, Apply)]
    assert applies
    for step in applies:
        assert step.uid
        assert step.body["metadata"]["uid"] == step.uid
    world.restart()
    for key in [key for key in world.objects if key.kind in ("Repository", "BackupConfiguration")]:
        world.delete(key)
    for step in world.plan(SHOP).steps:
        assert isinstance(step, Apply)
        assert not step.uid
        assert "uid" not in step.body["metadata"], "what is not there has none"
