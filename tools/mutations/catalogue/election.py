"""What is wrong with `kubernetes.aio.leaderelection`."""

from __future__ import annotations

from tools.mutations.mutation import Mutation, mutation

_ELECTOR = "controller/elector.py"
_RULES = "tests/election/test_rules.py::"
_WALL = "tests/election/test_wall_clock.py::"
_LEASE = "tests/election/test_lease.py::"

ELECTION: tuple[Mutation, ...] = (
    mutation(
        "L-a",
        "A renewal that is never answered has no end, and the work goes on.",
        (
            _ELECTOR,
            "            async with asyncio.timeout(limit):\n                await action()",
            "            await action()",
        ),
        (_ELECTOR, "        limit = self._terms.attempt\n", "        limit = 300.0\n"),
        tests=(f"{_RULES}test_l4_an_api_that_never_answers_ends_leading_at_the_renew_deadline",),
    ),
    mutation(
        "L-b",
        "Only answers count as failures: without any answer the error ends the election and not the work.",
        (
            _ELECTOR,
            "        except Exception as error:\n            # What was sent",
            "        except (Conflict, NotFound) as error:\n            # What was sent",
        ),
        tests=(f"{_RULES}test_l4_whatever_an_attempt_raises_is_a_failed_attempt",),
    ),
    mutation(
        "L-ca",
        "The guarded work outlives the election.",
        (
            _ELECTOR,
            'self._work = tasks.create_task(self._guard(work), name="lead")',
            'self._work = asyncio.get_running_loop().create_task(self._guard(work), name="lead")',
        ),
        tests=(
            "tests/test_architecture.py::test_the_code_keeps[tasks_have_a_group]",
            f"{_RULES}test_l11_work_that_fails_ends_leading",
        ),
    ),
    mutation(
        "L-cb",
        "A leader that is stopped does not give the lease back.",
        (_ELECTOR, "            return await self._release()", "            return False"),
        tests=(f"{_RULES}test_l9_sigterm_hands_over_in_a_round_trip",),
    ),
    mutation(
        "L-d",
        "Work that crashed is led on: a leader without work.",
        (
            _ELECTOR,
            "        await work()\n        if not self._resigning:",
            "        try:\n            await work()\n        except Exception:\n            return\n        if False:",
        ),
        tests=(f"{_RULES}test_l11_work_that_fails_ends_leading",),
    ),
    mutation(
        "L-e",
        "Deadlines by the wall clock: setting it steals or lengthens leadership.",
        (
            _ELECTOR,
            "            self._changed_at = self._clock.boottime()",
            "            self._changed_at = self._clock.wall().timestamp()",
        ),
        (
            _ELECTOR,
            "return max(0.0, self._changed_at + seconds - self._clock.boottime())",
            "return max(0.0, self._changed_at + seconds - self._clock.wall().timestamp())",
        ),
        tests=(f"{_WALL}test_l1_a_wall_clock_that_is_set_back_keeps_no_standby_waiting",),
    ),
    mutation(
        "L-fa",
        "Local time is written as if it were UTC.",
        ("controller/lease.py", "return at.astimezone(UTC).strftime", "return at.strftime"),
        tests=(f"{_LEASE}test_times_are_utc_with_six_digits_whatever_the_zone",),
    ),
    mutation(
        "L-fb",
        "Whole seconds in another's record cannot be read.",
        (
            "controller/lease.py",
            "at = datetime.fromisoformat(text)",
            'at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)',
        ),
        tests=(f"{_LEASE}test_times_of_others_are_understood_in_whichever_form",),
    ),
    mutation(
        "L-ga",
        "Each renewal reads before it writes.",
        (
            _ELECTOR,
            "        try:\n            await self._write()\n            return\n",
            "        try:\n            await self._look()\n            await self._write()\n            return\n",
        ),
        tests=(f"{_RULES}test_l3_a_renewal_is_one_put",),
    ),
    mutation(
        "L-gb",
        "Followers try all at the same instant.",
        (
            _ELECTOR,
            "await self._pause(self._terms.retry * self._clock.uniform(1.0, 1.0 + JITTER))",
            "await self._pause(self._terms.retry)",
        ),
        tests=(f"{_RULES}test_l2_attempts_of_followers_are_spread",),
    ),
    mutation(
        "L-gc",
        "Changes of the leader are not counted.",
        ("controller/lease.py", "record.transitions + 1 if last else 0", "0"),
        tests=(f"{_LEASE}test_taking_counts_a_transition_and_renewing_does_not",),
    ),
    mutation(
        "L-gd",
        "A follower waits as long as its own settings say.",
        (
            _ELECTOR,
            "seconds = record.seconds if record.seconds is not None else float(self._terms.lease)",
            "seconds = float(self._terms.lease)",
        ),
        tests=(f"{_RULES}test_l1_a_follower_waits_as_long_as_the_record_says_not_as_its_own_settings_say",),
    ),
    mutation(
        "L-ha",
        "Liveness knows nothing of the lease.",
        (_ELECTOR, "if self.state is State.LEADING and late > OVERDUE_SECONDS:", "if False:"),
        tests=(f"{_RULES}test_l8_liveness_tells_when_a_leader_is_overdue",),
    ),
    mutation(
        "L-hb",
        "A library ends the process.",
        tests=("tests/test_asyncio_rules.py::test_nobody_but_the_command_and_the_watchdog_ends_the_process",),
    ),
)
