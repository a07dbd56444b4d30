"""Lines are whole, ordered and in UTC; libraries go the same way; a canary put everywhere is found nowhere."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from controller.logs import HEAD, Logs
from controller.redaction import cut, redact, scrub
from tests.support.virtualtime import StoppedClock

CANARY = "c4n4ry-Zm9vYmFy"


@contextmanager
def logs(*, level: str = "info", form: str = "json") -> Iterator[tuple[Callable[[], str], Logs]]:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.level
    with Logs(StoppedClock(), level=level, form=form, stream=stream) as opened:
        yield stream.getvalue, opened
    root.setLevel(before)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_has_its_keys_in_a_stable_order_and_its_time_in_utc() -> None:
    with logs() as (text, _):
        log = structlog.get_logger("reconcile")
        log.info("Applied", zebra=1, apple=2, name="web", namespace="shop", kind="Deployment", duration_s=0.5)
        (line,) = lines(text())
    assert list(line) == [
        *("ts", "level", "logger", "msg", "kind", "namespace", "name", "duration_s"),
        *("apple", "zebra"),
    ]
    assert (line["level"], line["logger"], line["msg"]) == ("info", "reconcile", "Applied")
    assert line["ts"] == "2024-02-29T00:16:40.000000Z"
    assert datetime.fromisoformat(line["ts"]).utcoffset() is not None


def test_a_caller_cannot_pose_as_the_logger() -> None:
    with logs() as (text, _):
        structlog.get_logger("x").info("Went on", level="error", ts="never")
        (line,) = lines(text())
    assert line["level"] == "info"
    assert line["level_"] == "error"


def test_the_level_can_be_changed_while_loggers_are_in_use() -> None:
    with logs(level="warning") as (text, opened):
        log = structlog.get_logger("x")
        log.info("One")
        opened.set_level("debug")
        log.debug("Two")
        opened.set_level("error")
        log.warning("Three")
        assert [line["msg"] for line in lines(text())] == ["Two"]
        with pytest.raises(ValueError, match="none of debug, info, warning, error"):
            opened.set_level("loud")


def test_libraries_go_the_same_way() -> None:
    with logs() as (text, opened):
        library = logging.getLogger("aiohttp.client")
        library.info("dropped")
        library.warning("Retrying %s", "soon")
        opened.set_level("debug")
        library.info("told")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old call", DeprecationWarning, stacklevel=1)
        shown = lines(text())
    assert [(line["level"], line["logger"]) for line in shown] == [
        ("warning", "aiohttp.client"),
        ("info", "aiohttp.client"),
        ("warning", "py.warnings"),
    ]
    assert shown[0]["msg"] == "Retrying soon"


def test_a_librarys_broken_call_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of the test runner are strict
    with logs() as (text, _):
        logging.getLogger("lib").warning("%d left", "not a number")
        (line,) = lines(text())
    assert line["msg"].startswith("%d left (")


def test_a_traceback_is_one_field_and_has_no_locals() -> None:
    with logs() as (text, _):

        def fail() -> None:
            local_variable = CANARY
            raise KeyError(len(local_variable))

        try:
            fail()
        except KeyError:
            structlog.get_logger("x").exception("Reconcile failed", kind="Deployment")
        (line,) = lines(text())
    assert line["level"] == "error"
    assert (line["err"], line["err_type"]) == (str(len(CANARY)), "KeyError")
    assert "in fail" in line["traceback"]
    assert list(line)[-1] == "traceback"
    assert CANARY not in text()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_canary_put_everywhere_is_found_nowhere(form: str) -> None:
    with logs(form=form, level="debug") as (text, _):
        log = structlog.get_logger("x")
        for key in (
            "password",
            "RESTIC_PASSWORD",
            "secretKey",
            "token",
            "aws_secret_access_key",
            "accountKey",
            "cookie",
        ):
            log.info("Read", **{key: CANARY})
            log.info("Read", nested={"deeper": [{key: CANARY}]})
            log.info("Read", **{key: {"value": CANARY}})
        for message in (
            f"GET https://user:{CANARY}@store.example/bucket failed",
            f"GET https://store.example/bucket?X-Amz-Signature={CANARY}&x=1 failed",
            f"rest:https://u:p@{CANARY}@h/ failed",
            f"Authorization: Bearer {CANARY}",
            f"{{'authorization': 'Basic {CANARY}'}}",
            f"sent bearer {CANARY * 2}",
            f"password={CANARY} host=x",
            f'{{"secretKey": "{CANARY} with spaces"}}',
            f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        ):
            log.info(message)
            log.info("Failed", err=message)
            logging.getLogger("library").error(message)
            try:
                raise OSError(message)
            except OSError as error:
                log.warning("Failed", exc_info=error)
                logging.getLogger("library").exception("Failed")
        log.info("Saw", object={"kind": "Secret", "stringData": {"x": CANARY}})
        log.info("Saw", object={"kind": "ConfigMap", "data": {"x": CANARY}})
        log.info("Saw", raw=CANARY.encode())
        assert CANARY not in text()
        assert "Failed" in text()


def test_what_is_no_secret_stays_readable() -> None:
    given = {
        "secret_name": "gcs-secret",
        "secretName": "gcs-secret",
        "secret_namespace": "demo",
        "secret_checked": True,
        "path": "/api/v1/namespaces/shop/events",
        "err": "no answer from https://10.0.0.1:6443/apis within 10 s",
    }
    assert {key: redact(key, value) for key, value in given.items()} == given


def test_annotation_values_are_cut_and_told_apart_by_a_hash() -> None:
    long, other = "a" * 65, "a" * 64 + "b"
    for key in ("value", "annotation", "annotation_value"):
        shown = redact(key, long)
        assert isinstance(shown, str)
        assert long not in shown
        assert "65 characters, sha256 " in shown
        assert shown != redact(key, other)
        assert redact(key, "a" * 64) == "a" * 64
    shown = redact("annotations", {"stash.appscode.com/x": long})
    assert long not in str(shown)


@pytest.mark.parametrize(
    "shape",
    ["x", "a://", 'token="', "token ", "authorization ", "bearer ", "-----BEGIN ", "a" * 99 + "://x@", "?a://b"],
)
def test_a_quarter_of_a_megabyte_neither_reaches_the_log_nor_holds_it_up(shape: str) -> None:
    text_given = shape * (256 * 1024 // len(shape))
    with logs() as (text, _):
        for key in ("err", "value", "traceback"):
            structlog.get_logger("x").info("Refused", **{key: text_given}, many=list(range(10_000)))
        assert len(text()) < 20_000


def test_a_cut_does_not_run_through_a_credential() -> None:
    shown = redact("value", f"https://user:{CANARY * 10}@store.example/bucket")
    assert isinstance(shown, str)
    assert CANARY[:6] not in shown


def test_cut_keeps_short_text() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3).startswith("a...[4 characters, sha256 ")


def test_console_shows_what_a_person_needs_and_no_colour_in_a_file() -> None:
    with logs(form="console") as (text, _):
        structlog.get_logger("reconcile").warning("Could not apply", name="web", err="it said no", n=3)
        assert text() == '00:16:40.000 WARNING Could not apply  [reconcile] name=web err="it said no" n=3\n'


def test_auto_is_json_where_nobody_looks() -> None:
    with logs(form="auto") as (text, _):
        structlog.get_logger("x").info("Started")
        assert lines(text())[0]["msg"] == "Started"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_colour", [True, False])
def test_auto_is_console_on_a_terminal_with_colours_unless_asked_not_to(
    no_colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with Logs(StoppedClock(), stream=stream):
        structlog.get_logger("x").info("Started")
    assert "Started" in stream.getvalue()
    assert ("\x1b[" in stream.getvalue()) is not no_colour


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.binary()))
def test_no_text_forges_a_second_line_or_drives_the_terminal(msg: str, value: str, nested: dict[str, object]) -> None:
    for form in ("json", "console"):
        with logs(form=form) as (text, _):
            structlog.get_logger("x").info(msg.replace("%", ""), err=value, nested=nested)
            shown = text()
        assert shown.endswith("\n")
        assert shown.count("\n") == 1
        if form == "json":
            assert list(json.loads(shown))[:4] == list(HEAD[:4])
        else:
            assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown[:-1])


@given(st.text())
def test_scrubbing_is_idempotent(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)
