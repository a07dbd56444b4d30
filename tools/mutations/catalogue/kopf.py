"""What kopf does otherwise, at a price that we do not want to pay."""

from __future__ import annotations

from tools.mutations.mutation import Mutation, mutation

_WATCHING = "tests/informers/test_reflector_watching.py::"
_QUEUE = "tests/controller/test_workqueue.py::"

KOPF: tuple[Mutation, ...] = (
    mutation(
        "K1",
        "An object that was deleted while the watch was expired is never told as deleted.",
        (
            "informers/store.py",
            "                yield Deleted(old, final_state_unknown=True)",
            "                pass",
        ),
        tests=(f"{_WATCHING}test_r13_an_expired_version_means_a_relist_and_no_word_of_an_error",),
    ),
    mutation(
        "K2",
        "One error event other than 410 ends everything.",
        (
            "informers/reflector.py",
            "        silent = isinstance(error, IdleTimeout)",
            '        if getattr(error, "status", 0) >= 500:\n            raise error\n'
            "        silent = isinstance(error, IdleTimeout)",
        ),
        tests=(f"{_WATCHING}test_r16_any_other_error_in_the_stream_is_resumed_from",),
    ),
    mutation(
        "K3a",
        "Every look at an object is a write, and every restart one for each of them.",
        (
            "reconcilers/repository.py",
            "    return bool(live.fingerprint) and live.fingerprint in",
            "    return False and live.fingerprint in",
        ),
        tests=("tests/reconcilers/test_lifecycle.py::test_an_edit_that_resolves_to_the_same_writes_nothing",),
    ),
    mutation(
        "K3b",
        "The objects of users are written to.",
        ("controller/applier.py", "        if resource.group != GROUP and resource != SECRET:", "        if False:"),
        tests=("tests/controller/test_applier.py::test_kinds_that_are_not_ours_are_never_written",),
    ),
    mutation(
        "K4",
        "A task or timer for each object that waits.",
        (
            "controller/workqueue.py",
            "            if entry.due < self._timer_at:\n                self._arm(entry.due, now)",
            "            asyncio.get_running_loop().call_later(entry.due - now, self._on_timer)",
        ),
        tests=(f"{_QUEUE}test_q14_ten_thousand_delayed_keys_cost_one_timer_and_no_task",),
    ),
    mutation(
        "K5",
        "Every object retries on its own, without a limit for all of them.",
        (
            "controller/ratelimit.py",
            "delay = max(floor + self._uniform(0.0, ceiling), self._bucket.reserve(now))",
            "delay = floor + self._uniform(0.0, ceiling)",
        ),
        tests=(f"{_QUEUE}test_q5_ten_thousand_failures_wait_no_longer_than_the_bound_and_events_pass_by",),
    ),
    mutation(
        "K6",
        "After a write, exactly its version is waited for, although events coalesce.",
        (
            "controller/barrier.py",
            "if self._revision_of(w.resource, w.key.namespace) < w.revision]",
            "if self._revision_of(w.resource, w.key.namespace) != w.revision]",
        ),
        tests=("tests/controller/test_barrier.py::test_a_key_waits_until_every_cache_has_passed_its_writes",),
    ),
)
