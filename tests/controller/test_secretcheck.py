"""Looking whether storage Secrets exist: when it is done again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from controller.secretcheck import StorageSecrets
from informers.resource import ObjectKey
from reconcilers.ports import SecretSight, SecretState
from tests.support.beside import beside
from tests.support.scripted import Asked, ScriptedTransport, failure
from tests.support.virtualtime import LoopClock, run_scenario

SECRET = ObjectKey("shop", "storage")
ALLOWED = 201, {"status": {"allowed": True}}
FORBIDDEN = 201, {"status": {"allowed": False}}
METADATA = {"name": "storage", "uid": "u", "resourceVersion": "7"}
FULL = {"RESTIC_PASSWORD": "cA==", "AWS_ACCESS_KEY_ID": "aQ==", "AWS_SECRET_ACCESS_KEY": "aw=="}


def secret(version: str = "7", **data: str) -> tuple[int, dict[str, Any]]:
    return 200, {"kind": "Secret", "metadata": {**METADATA, "resourceVersion": version}, "data": data}


FOUND = secret(**FULL)
MISSING = failure(404, "NotFound")
BROKEN = failure(503, "ServiceUnavailable")


def test_whether_it_was_looked_at_at_all() -> None:
    async def scenario(clock: LoopClock) -> None:
        def made(*, enabled: bool) -> StorageSecrets:
            transport = ScriptedTransport(lambda asked: FORBIDDEN)
            return StorageSecrets(
                transport, clock, enabled=enabled, wanted=lambda: {SECRET: {"s3"}}, changed=lambda key: None
            )

        looking = made(enabled=True)
        assert not looking.looked_at(SECRET)
        async with beside(looking.run()):
            await clock.sleep(1)
            assert looking.looked_at(SECRET)
        blind = made(enabled=False)
        assert blind.looked_at(SECRET), "where nobody looks, nobody waits for it"
        await blind.run()
        assert blind.looked_at(SECRET)

    run_scenario(scenario)


def states_after(
    seconds: float, *, reviews: Sequence[tuple[int, dict[str, Any]]], reads: Sequence[tuple[int, dict[str, Any]]]
) -> tuple[SecretState, int]:
    """What is known of the Secret after a time, and how many requests that took; the last answers go on for ever."""
    asked: dict[str, int] = {"POST": 0, "GET": 0}

    def answer(request: Asked) -> tuple[int, dict[str, Any]]:
        answers = reviews if request.method == "POST" else reads
        number = asked[request.method]
        asked[request.method] += 1
        return answers[min(number, len(answers) - 1)]

    async def scenario(clock: LoopClock) -> tuple[SecretState, int]:
        secrets = StorageSecrets(
            ScriptedTransport(answer), clock, enabled=True, wanted=lambda: {SECRET: {"s3"}}, changed=lambda key: None
        )
        async with beside(secrets.run()):
            await clock.sleep(seconds)
        return secrets.sight(SECRET, "s3").state, sum(asked.values())

    return run_scenario(scenario)


@pytest.mark.parametrize(
    ("review", "read", "state"),
    [
        (ALLOWED, FOUND, SecretState.FOUND),
        (ALLOWED, MISSING, SecretState.MISSING),
        (ALLOWED, secret(**{**FULL, "RESTIC_PASSWORD": ""}), SecretState.INCOMPLETE),
        (ALLOWED, secret(), SecretState.INCOMPLETE),
        (FORBIDDEN, MISSING, SecretState.UNCHECKED),
    ],
)
def test_what_the_answers_mean(
    review: tuple[int, dict[str, Any]], read: tuple[int, dict[str, Any]], state: SecretState
) -> None:
    assert states_after(1, reviews=[review], reads=[read])[0] is state


@pytest.mark.parametrize(
    ("reviews", "reads"), [([BROKEN, ALLOWED], [FOUND]), ([ALLOWED], [BROKEN, FOUND])], ids=["review", "read"]
)
def test_a_failed_look_is_repeated_soon(
    reviews: list[tuple[int, dict[str, Any]]], reads: list[tuple[int, dict[str, Any]]]
) -> None:
    """It left the Secret unchecked for ten minutes, and the blueprint's status with it."""
    assert states_after(20, reviews=reviews, reads=reads)[0] is SecretState.FOUND


def test_it_is_read_whole_once_for_each_version() -> None:
    accepted: list[tuple[str, str]] = []
    live = [secret(RESTIC_PASSWORD="cA=="), secret("8", RESTIC_PASSWORD="cA==", B2_ACCOUNT_ID="aQ==")]

    def answer(request: Asked) -> tuple[int, dict[str, Any]]:
        if request.method == "POST":
            return ALLOWED
        status, found = live[0]
        partial = "PartialObjectMetadata" in request.accept
        accepted.append(("metadata" if partial else "whole", found["metadata"]["resourceVersion"]))
        return status, {**found, "data": None} if partial else found

    async def scenario(clock: LoopClock) -> None:
        transport = ScriptedTransport(answer)
        told: list[ObjectKey] = []
        secrets = StorageSecrets(transport, clock, enabled=True, wanted=lambda: {SECRET: {"b2"}}, changed=told.append)
        async with beside(secrets.run()):
            await clock.sleep(60)
            assert secrets.sight(SECRET, "b2") == SecretSight(
                SecretState.INCOMPLETE, ("B2_ACCOUNT_ID", "B2_ACCOUNT_KEY")
            )
            assert secrets.sight(SECRET, "s3").state is SecretState.FOUND
            del live[0]
            await clock.sleep(60)
            assert secrets.sight(SECRET, "b2").missing == ("B2_ACCOUNT_KEY",)
            assert told == [SECRET, SECRET]
            assert [entry for entry in accepted if entry[0] == "whole"] == [("whole", "7"), ("whole", "8")]
            assert len(accepted) > 6, "one that lacks a key is looked at often"

    run_scenario(scenario)


def test_one_right_is_asked_for_once_and_again_only_after_a_refusal() -> None:
    """In an hour: one question, the content once, and a look at the metadata every five minutes or so."""
    state, requests = states_after(3600, reviews=[ALLOWED], reads=[FOUND])
    assert state is SecretState.FOUND
    assert requests <= 2 + 3600 / 240
    withdrawn = failure(403, "Forbidden")
    assert states_after(400, reviews=[ALLOWED, FORBIDDEN], reads=[FOUND, withdrawn])[0] is SecretState.UNCHECKED
    # Refused for another reason than that right, by a server that has just started for instance: nothing is concluded.
    assert states_after(400, reviews=[ALLOWED], reads=[FOUND, withdrawn])[0] is SecretState.FOUND


class Namespaces:
    """The same Secret in many namespaces; `allowed` are those in which the operator may look at it."""

    def __init__(self, clock: LoopClock, count: int) -> None:
        self.allowed: set[str] = set()
        self.asked: list[tuple[float, str]] = []
        self.keys = {ObjectKey(f"team-{number:02}", "storage"): {"s3"} for number in range(count)}
        self._clock = clock
        self.secrets = StorageSecrets(
            ScriptedTransport(self._answer), clock, enabled=True, wanted=lambda: self.keys, changed=lambda key: None
        )

    def _answer(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        if asked.method != "POST":
            return FOUND
        namespace = asked.body["spec"]["resourceAttributes"]["namespace"]
        self.asked.append((self._clock.monotonic(), namespace))
        return ALLOWED if namespace in self.allowed else FORBIDDEN

    def asked_since(self, then: float) -> list[str]:
        return [namespace for at, namespace in self.asked if at >= then]

    def found(self) -> set[str]:
        return {key.namespace for key in self.keys if self.secrets.sight(key, "s3").state is SecretState.FOUND}


def test_those_that_may_not_be_read_take_turns() -> None:
    async def scenario(clock: LoopClock) -> None:
        many = Namespaces(clock, 50)
        async with beside(many.secrets.run()):
            await clock.sleep(60)
            assert len(many.asked) == 50, "each is asked about when it is seen first"
            for _ in range(8):
                then = clock.monotonic()
                await clock.sleep(3600)
                assert 3 <= len(many.asked_since(then)) <= 25, "not six for each of them"
            then = clock.monotonic()
            await clock.sleep(6 * 3600 * 1.2)
            assert len(set(many.asked_since(then))) == 50, "each within six hours or so"

    run_scenario(scenario)


def test_when_a_right_is_given_for_one_the_others_are_asked_about_at_once() -> None:
    async def scenario(clock: LoopClock) -> None:
        many = Namespaces(clock, 50)
        async with beside(many.secrets.run()):
            await clock.sleep(3600)
            many.allowed = {key.namespace for key in many.keys}
            await clock.sleep(1500)
            assert many.found() == many.allowed

    run_scenario(scenario)


def test_an_outage_takes_nothing_away_and_costs_little() -> None:
    state, requests = states_after(300 + 600, reviews=[ALLOWED, BROKEN], reads=[FOUND])
    assert state is SecretState.FOUND
    assert requests <= 2 + 600 / 12
