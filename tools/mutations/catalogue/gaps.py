"""What even client-go and kube-rs leave open."""

from __future__ import annotations

from tools.mutations.mutation import Mutation, mutation

_SPOILT = "tests/informers/test_reflector_spoilt.py::"
_WATCHING = "tests/informers/test_reflector_watching.py::"
_READING = "tests/informers/test_reflector_reading.py::"
_QUEUE = "tests/controller/test_workqueue.py::"
_STORE = "tests/informers/test_store.py::"

GAPS: tuple[Mutation, ...] = (
    mutation(
        "G1",
        "A ring of undelivered events that may grow until memory ends.",
        tests=("tests/informers/test_turns.py::test_h2_there_is_no_buffer_between_the_socket_and_the_handlers",),
    ),
    mutation(
        "G2",
        "An event whose processing fails is lost.",
        (
            "informers/intake.py",
            "self.repair_wanted = self.repair_wanted or (passing and not known)",
            "self.repair_wanted = False",
        ),
        tests=(f"{_SPOILT}test_r20_an_undecodable_event_stops_nobody_and_is_mended_by_one_relist",),
    ),
    mutation(
        "G3",
        "Keys that failed together come back together.",
        ("controller/ratelimit.py", "floor + self._uniform(0.0, ceiling)", "floor + ceiling"),
        tests=("tests/controller/test_ratelimit.py::test_q4_jitter_is_full",),
    ),
    mutation(
        "G4",
        "Any event cuts a backoff short.",
        (
            "controller/ratelimit.py",
            "        if not changed:\n            return state.until",
            "        if not changed:\n            return due",
        ),
        tests=(f"{_QUEUE}test_q6_an_unchanged_event_never_cuts_a_backoff_short",),
    ),
    mutation(
        "G5",
        "A refused streaming list is asked for at each reconnect.",
        (
            "informers/gates.py",
            "self._refused_until[resource] = self._clock.monotonic() + wait",
            "self._refused_until[resource] = self._clock.monotonic() + 0.01 * bool(wait)",
        ),
        tests=(f"{_READING}test_r6_a_server_without_streaming_lists_is_listed_and_not_asked_again_for_hours",),
    ),
    mutation(
        "G6a",
        "A server whose storage went back in time is not noticed.",
        ("informers/intake.py", "        if is_older(number, self._number):", "        if False:"),
        tests=(f"{_WATCHING}test_r10_storage_restored_from_an_older_copy_is_noticed_by_a_bookmark",),
    ),
    mutation(
        "G6b",
        "A server that answers after an outage is watched from a version that it may not have.",
        (
            "informers/channel.py",
            "        if not self._loss:\n            return True",
            "        if True:\n            return True",
        ),
        tests=(f"{_WATCHING}test_r10_storage_restored_from_an_older_copy_is_noticed_before_its_versions_catch_up",),
    ),
    mutation(
        "G6c",
        "A quiet kind goes on in a history that is not the server's.",
        (
            "informers/history.py",
            "        return await witness.is_told_again(anchor)",
            "        return bool(witness and anchor)",
        ),
        tests=(
            "tests/informers/test_history.py::test_r10_storage_restored_from_an_older_copy_is_noticed_where_nothing_happens",
        ),
    ),
    mutation(
        "G7",
        "An index function that raises ends the process.",
        (
            "informers/index.py",
            "        except Exception as error:  # foreign",
            "        except ZeroDivisionError as error:  # foreign",
        ),
        tests=(f"{_STORE}test_s9_an_index_function_that_raises_costs_one_entry",),
    ),
    mutation(
        "G8",
        "A lease counts from when its answer came.",
        (
            "controller/elector.py",
            "        self._fence.extend(sent + seconds",
            "        self._fence.extend(self._clock.boottime() + seconds",
        ),
        tests=(
            "tests/election/test_rules.py::"
            "test_l5_validity_counts_from_before_the_request_was_sent_and_ends_before_others_may_begin",
        ),
    ),
    mutation(
        "G9",
        "A deletion among the initial events is dropped.",
        (
            "informers/intake.py",
            '        elif kind == "DELETED":\n            replacement.drop(event.namespace, event.name)\n',
            "",
        ),
        tests=(f"{_READING}test_r4_a_deletion_among_the_initial_events",),
    ),
    mutation(
        "G10",
        "The first read may come from a server that lags.",
        ("informers/reflector.py", 'wanted = "" if self._consistent else', 'wanted = "0" if self._consistent else'),
        tests=(f"{_READING}test_r2_r5_one_streaming_list_and_the_same_connection_afterwards",),
    ),
    mutation(
        "G11",
        "A bucket that hands out reservations into the far future.",
        ("controller/ratelimit.py", "        if wait > self._max_wait:", "        if False:"),
        tests=(f"{_QUEUE}test_q5_ten_thousand_failures_wait_no_longer_than_the_bound_and_events_pass_by",),
    ),
    mutation(
        "G12",
        "What arrives late overwrites what is newer.",
        ("informers/store.py", "        if is_older(row.resource_version, old.resource_version):", "        if False:"),
        tests=(f"{_STORE}test_s7_an_older_row_never_replaces_a_newer_one",),
    ),
)
