"""What is wrong with `kubernetes.aio.watch`."""

from __future__ import annotations

from tools.mutations.mutation import Mutation, mutation

_SPOILT = "tests/informers/test_reflector_spoilt.py::"
_WATCHING = "tests/informers/test_reflector_watching.py::"
_HTTP = "tests/informers/test_http.py::"
_TURNS = "tests/informers/test_turns.py::"

AIO_WATCH: tuple[Mutation, ...] = (
    mutation(
        "A1",
        "The fragment of a line before a cut is handed out as an event.",
        (
            "informers/stream.py",
            "                self._refuse_fragment()\n                return None\n",
            "                parts, self._splitter = self._splitter._parts, type(self._splitter)()\n"
            '                return [b"".join(parts)] if parts else None\n',
        ),
        tests=(f"{_SPOILT}test_r21_an_event_that_is_cut_is_discarded_and_sent_again",),
    ),
    mutation(
        "A2",
        "A server that closes at once is asked again at once.",
        (
            "informers/reflector.py",
            "self._delay = 0.0 if lived >= HEALTHY_SECONDS else self._backoff.next(useful=useful)",
            "self._delay = 0.25",
        ),
        tests=(f"{_WATCHING}test_r18_r19_watches_that_end_at_once_take_the_backoff",),
    ),
    mutation(
        "A3a",
        "A cut connection raises an error of the HTTP library.",
        (
            "informers/http.py",
            "        except (aiohttp.ClientError, OSError) as error:\n"
            "            raise no_answer(self._attempt, error) from error\n        if not chunk:",
            "        except ZeroDivisionError as error:\n"
            "            raise no_answer(self._attempt, error) from error\n        if not chunk:",
        ),
        tests=(f"{_HTTP}test_a_stream_that_is_cut",),
    ),
    mutation(
        "A3b",
        "An error that nobody thought of ends the watch for good.",
        (
            "informers/reflector.py",
            "        except Exception as error:  # every",
            "        except ApiError as error:  # every",
        ),
        tests=(f"{_WATCHING}test_a_defect_of_ours_begins_anew_instead_of_ending_the_informer",),
    ),
    mutation(
        "A4",
        "A line of blanks is an event.",
        (
            "informers/frames.py",
            "return [line for line in lines if line and not line.isspace()]",
            "return [line for line in lines if line]",
        ),
        tests=("tests/informers/test_frames.py::test_r23_lines_come_out_whole_wherever_the_chunks_are_cut",),
    ),
    mutation(
        "A5",
        "When the relist after 410 meets 410, the same is tried without end.",
        ("informers/recovery.py", "known = watching and not consistent", "known = True"),
        tests=(f"{_WATCHING}test_r13_expired_again_while_relisting_means_a_consistent_relist",),
    ),
    mutation(
        "A6",
        "An object beyond a size stops the watch for ever.",
        ("informers/frames.py", "MAX_LINE = 16 * 1024 * 1024", "MAX_LINE = 2 * 1024 * 1024"),
        tests=("tests/informers/test_reflector_reading.py::test_r22_an_object_of_three_mebibytes",),
    ),
    mutation(
        "A7",
        "Stopping does not reach a read that waits.",
        (
            "informers/reflector.py",
            "        except TimeoutError:\n            return False\n        finally:",
            "        except (TimeoutError, asyncio.CancelledError):\n            return False\n        finally:",
        ),
        tests=(f"{_TURNS}test_t3_an_informer_can_be_stopped_at_any_moment",),
    ),
    mutation(
        "A8",
        "A limit on the whole life of a stream, however busy it is.",
        (
            "informers/http.py",
            "limits = aiohttp.ClientTimeout(total=None,",
            "limits = aiohttp.ClientTimeout(total=idle_timeout,",
        ),
        tests=(f"{_HTTP}test_r10_any_byte_counts",),
    ),
    mutation(
        "A9",
        "Each event is parsed, written and parsed again.",
        (
            "informers/frames.py",
            "        return json.loads(text.decode())",
            "        return json.loads(json.dumps(json.loads(text.decode())))",
        ),
        tests=(f"{_TURNS}test_each_line_is_parsed_once",),
    ),
    mutation(
        "A10",
        "Closing leaves connections open.",
        (
            "informers/http.py",
            "        if self._session is not None:\n            await self._session.close()",
            "        self._session = None",
        ),
        tests=(f"{_HTTP}test_closing_hangs_up",),
    ),
)
