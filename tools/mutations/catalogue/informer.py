"""What is wrong with `kubernetes.informer`."""

from __future__ import annotations

from tools.mutations.mutation import Mutation, mutation

_SPOILT = "tests/informers/test_reflector_spoilt.py::"
_WATCHING = "tests/informers/test_reflector_watching.py::"
_READING = "tests/informers/test_reflector_reading.py::"
_SHARED = "tests/informers/test_shared.py::"
_TURNS = "tests/informers/test_turns.py::"
_STORE = "tests/informers/test_store.py::"

INFORMER: tuple[Mutation, ...] = (
    mutation(
        "P1",
        "No backoff after any failure: a thousand requests a second.",
        (
            "informers/backoff.py",
            "        self._tries = (*self._tries[1:], now + delay)\n        return delay",
            "        self._tries = (*self._tries[1:], now + delay)\n        return 0.25",
        ),
        tests=(f"{_WATCHING}test_r18_r19_watches_that_end_at_once_take_the_backoff",),
    ),
    mutation(
        "P2",
        "A blank line in the stream is taken for an event.",
        ("informers/frames.py", "return [line for line in lines if line and not line.isspace()]", "return lines"),
        tests=(
            "tests/informers/test_frames.py::test_r23_lines_come_out_whole_wherever_the_chunks_are_cut",
            f"{_SPOILT}test_r23_borders_of_chunks_mean_nothing_and_blank_lines_neither",
        ),
    ),
    mutation(
        "P3",
        "A relist tells every object as modified.",
        ("informers/store.py", "            elif before != new:", "            elif before is not new:"),
        tests=(f"{_STORE}test_s6_an_equal_relisted_row_is_not_an_update_but_its_version_is_kept",),
    ),
    mutation(
        "P4",
        "After 410 the same version is tried again.",
        (
            "informers/recovery.py",
            "Recovery(Restart.RELIST if known else Restart.RELIST_CONSISTENT, floor",
            "Recovery(Restart.RETRY if known else Restart.RELIST_CONSISTENT, floor",
        ),
        tests=(f"{_WATCHING}test_r13_an_expired_version_means_a_relist_and_no_word_of_an_error",),
    ),
    mutation(
        "P5a",
        "A deletion found by a relist is told while the object is still in the cache.",
        ("informers/shared.py", "import Added, Delta, Updated", "import Added, Deleted, Delta, Updated"),
        (
            "informers/shared.py",
            "        deltas = self.store.replace(\n            scope,",
            "        spaces = replacement.draft.spaces\n"
            "        gone = [row for row in self.store.rows() if row.name not in spaces.get(row.namespace, {})]\n"
            "        self._deliver([Deleted(row, True) for row in gone])\n"
            "        deltas = self.store.replace(\n            scope,",
        ),
        (
            "informers/shared.py",
            "        return self._tell(scope, deltas)",
            "        return self._tell(scope, [delta for delta in deltas if not isinstance(delta, Deleted)])",
        ),
        tests=(f"{_TURNS}test_s4_s5_a_deletion_found_by_a_relist_reaches_everybody_after_the_store_forgot_it",),
    ),
    mutation(
        "P5b",
        "A deletion found by a relist looks like one that was seen.",
        (
            "informers/store.py",
            "                yield Deleted(old, final_state_unknown=True)",
            "                yield Deleted(old, final_state_unknown=False)",
        ),
        tests=(f"{_WATCHING}test_r13_an_expired_version_means_a_relist_and_no_word_of_an_error",),
    ),
    mutation(
        "P6a",
        "An object that was deleted and made again is one that was modified.",
        ("informers/store.py", "        if old.uid != row.uid:", "        if False:"),
        tests=(f"{_STORE}test_s1_another_uid_is_another_object",),
    ),
    mutation(
        "P6b",
        "Handlers never get the old object.",
        ("informers/store.py", "        return (Updated(old, row),)", "        return (Updated(row, row),)"),
        tests=(f"{_SHARED}test_h9_an_update_brings_both_rows",),
    ),
    mutation(
        "P7",
        "Handlers run between two reads of the socket, and one that takes its time delays them.",
        (
            "informers/reflector.py",
            "                    count = self.intake.apply(lines, stream.encoding)\n",
            "                    count = 0\n"
            "                    for line in lines:\n"
            "                        count += self.intake.apply([line], stream.encoding)\n"
            "                        await self._clock.sleep(0)\n",
        ),
        tests=(f"{_TURNS}test_r24_all_events_of_a_chunk_are_told_in_one_turn_of_the_loop",),
    ),
    mutation(
        "P8",
        "A handler that joins late sees nothing of what is there.",
        (
            "informers/shared.py",
            "            self._call(registration, Added(row, initial=True))\n        registration.postpone(rows)\n",
            "            pass\n",
        ),
        tests=(f"{_SHARED}test_h4_a_late_handler_is_given_what_is_there_and_then_what_happens",),
    ),
    mutation(
        "P9a",
        "No bookmarks are asked for.",
        ("informers/channel.py", '            "allowWatchBookmarks": "true",\n', ""),
        tests=(f"{_TURNS}test_r10_every_stream_asks_for_bookmarks",),
    ),
    mutation(
        "P9b",
        "No end of a watch is asked for.",
        (
            "informers/channel.py",
            '            "timeoutSeconds": str(int(self._clock.uniform(*WATCH_SECONDS))),\n',
            "",
        ),
        tests=(f"{_WATCHING}test_r9_watches_ask_for_half_an_hour_to_an_hour_each_its_own",),
    ),
    mutation(
        "P9c",
        "A connection whose other end is dead is waited for without end.",
        ("informers/stream.py", "IDLE_SECONDS = 70.0", "IDLE_SECONDS = 1e9"),
        tests=(f"{_WATCHING}test_r10_a_silent_connection_is_dropped_after_70_seconds_and_resumed",),
    ),
    mutation(
        "P10a",
        "A collection is read in one piece.",
        ("informers/listing.py", 'query = {"limit": str(PAGE)} if paged else {}', "query: dict[str, str] = {}"),
        tests=(f"{_READING}test_r8_pages_carry_the_token_and_no_version_and_the_first_page_counts",),
    ),
    mutation(
        "P10b",
        "No streaming list.",
        (
            "informers/gates.py",
            'return self._clock.monotonic() >= self._refused_until.get(resource, float("-inf"))',
            "return False",
        ),
        tests=(f"{_READING}test_r2_r5_one_streaming_list_and_the_same_connection_afterwards",),
    ),
    mutation(
        "P10c",
        "Whole objects are fetched where metadata would do.",
        (
            "informers/channel.py",
            "accept = ACCEPT_METADATA if metadata_only else ACCEPT_OBJECTS",
            "accept = ACCEPT_OBJECTS",
        ),
        tests=(f"{_READING}test_d3_metadata_only_asks_for_partial_objects",),
    ),
    mutation(
        "P11a",
        "Nobody can tell whether a handler has been given the initial objects.",
        (
            "informers/registration.py",
            "        return self._origin.has_synced and not self._pending",
            "        return True",
        ),
        tests=(f"{_SHARED}test_h6_a_handler_is_synced_when_it_was_given_the_initial_rows",),
    ),
    mutation(
        "P11b",
        "Initial objects are not told as such.",
        ("informers/shared.py", "            initial=initial,\n", "            initial=False,\n"),
        tests=(f"{_SHARED}test_h8_only_the_first_complete_state_is_initial",),
    ),
    mutation(
        "P12",
        "A resync is a whole relist.",
        (
            "informers/shared.py",
            "                for row in self.store.rows():\n"
            "                    self._call(registration, Updated(row, row))\n",
            "                self.refresh()\n",
        ),
        tests=(f"{_SHARED}test_h10_a_resync_replays_the_store_to_who_asked_for_it",),
    ),
    mutation(
        "P13",
        "Stopped soon after its start, an informer goes on.",
        (
            "informers/reflector.py",
            "        except Exception as error:  # every",
            "        except BaseException as error:  # every",
        ),
        tests=(f"{_TURNS}test_t3_an_informer_can_be_stopped_at_any_moment",),
    ),
    mutation(
        "P14a",
        "The same pause after each failure, without chance.",
        (
            "informers/backoff.py",
            "delay = interval * (1.0 + self._clock.uniform(0.0, JITTER))",
            "delay = 5.0",
        ),
        tests=("tests/informers/test_parts.py::test_r18_the_sequence_of_delays",),
    ),
    mutation(
        "P14b",
        "An exception of a handler is swallowed and its event lost.",
        ("informers/shared.py", "            self._report(registration, key, error)\n", ""),
        tests=(f"{_SHARED}test_h3_a_handler_that_raises_disturbs_nobody_and_its_key_is_not_lost",),
    ),
    mutation(
        "P15a",
        "A new client, with its connections, for each request.",
        (
            "informers/http.py",
            "        if self._session is None:\n            self._session = aiohttp",
            "        if True:\n            self._session = aiohttp",
        ),
        tests=("tests/informers/test_http.py::test_connections_are_used_again",),
    ),
    mutation(
        "P15b",
        "A thread for each informer.",
        tests=("tests/test_asyncio_rules.py::test_the_code_keeps_its_promises_to_the_event_loop",),
    ),
    mutation(
        "P16",
        "Every object is decoded whole, whether it is of interest or not.",
        ("informers/frames.py", "    if not metadata_only:\n        return", "    if True:\n        return"),
        tests=("tests/informers/test_frames.py::test_the_short_cuts_are_taken",),
    ),
    mutation(
        "P16b",
        "The same in protobuf.",
        ("informers/protobufframes.py", "marker is not None and marker not in frame", "marker == frame"),
        tests=("tests/informers/test_protobufframes.py::test_the_short_cut_is_taken",),
    ),
)
