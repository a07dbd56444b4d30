"""Logs: one structured line a decision, JSON for machines, columns for people, the same pipeline for libraries.

Contract:
- A line has `ts` (RFC 3339, UTC), `level`, `logger`, `msg`, then the keys that say which object, then the others by
  name. Modules log with `structlog.get_logger("<name>")` and keyword arguments.
- The standard library's logging goes the same way, from WARNING on (INFO when we log DEBUG).
- Everything passes `redaction`; tracebacks have no local variables; no text can forge a second line.
- The level can be changed while the process runs.

Sources of the ideas: Kubernetes' structured logging guide (wording and keys), structlog's own "one chain for both".
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from controller.redaction import redact
from informers.clock import Clock

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
HEAD: Final = (
    "ts",
    "level",
    "logger",
    "msg",
    "controller",
    "kind",
    "namespace",
    "name",
    "uid",
    "generation",
    "reconcileID",
    "duration_s",
    "err",
    "err_type",
)
_LAST: Final = "traceback"
_ORDER: Final = {key: index for index, key in enumerate(HEAD)}

# Control characters, and those that change the direction of text: they rewrite what a terminal shows.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Event = MutableMapping[str, Any]


class _Sink:
    """What structlog calls with a finished line; it has a name, and one stream with all others."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    debug = info = warning = error = critical = exception = msg


class _Chain:
    """The steps from an event to a line."""

    def __init__(self, clock: Clock, render: Callable[[dict[str, Any]], str]) -> None:
        self._clock = clock
        self._render = render

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        given = dict(event)
        error = _error(given.pop("exc_info", None))
        line: dict[str, Any] = {
            "ts": self._clock.wall().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": "error" if method == "exception" else method,
            "logger": logger.name,
            "msg": given.pop("event", ""),
        }
        if error is not None:
            given.setdefault("err", str(error))
            given.setdefault("err_type", type(error).__name__)
            given["traceback"] = "".join(traceback.format_exception(error))
        for key in sorted(given, key=_place):
            # A caller's "level" must not pose as ours.
            line[key if key not in line else f"{key}_"] = given[key]
        return self._render({key: redact(key, value) for key, value in line.items()})


def _place(key: str) -> tuple[int, str]:
    return (len(HEAD) + 1 if key == _LAST else _ORDER.get(key, len(HEAD)), key)


def _error(given: object) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None


def render_json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


class ConsoleFormat:
    """A line as columns; the traceback follows below, indented, so that it cannot look like a line of its own."""

    _COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, line: dict[str, Any]) -> str:
        rest = dict(line)
        ts, level, logger, msg = (str(rest.pop(key)) for key in HEAD[:4])
        trace = rest.pop(_LAST, "")
        word = f"{level.upper():7}"
        if self._colours:
            word = f"{self._COLOURS.get(level, '')}{word}\x1b[0m"
        pairs = "".join(f" {key}={self._value(value)}" for key, value in rest.items())
        text = f"{ts[11:23]} {word} {_safe(msg)}  [{_safe(logger)}]{_safe(pairs)}"
        for row in str(trace).splitlines():
            text += f"\n    {_safe(row)}"
        return text

    def _value(self, value: object) -> str:
        if isinstance(value, str):
            return value if value and not re.search(r"[\s\"=]", value) else json.dumps(value, ensure_ascii=False)
        return json.dumps(value, ensure_ascii=False, default=str)


def _safe(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _Bridge(logging.Handler):
    """Hands the records of the standard library to the chain."""

    def __init__(self, chain: _Chain, stream: TextIO) -> None:
        super().__init__()
        self._chain = chain
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        try:
            message = record.getMessage()
        except (TypeError, ValueError) as error:
            # A library's call whose arguments do not fit its text: the text is worth more than a complaint about it.
            message = f"{record.msg} ({error})"
        event: dict[str, Any] = {"event": message, "exc_info": record.exc_info}
        sink = _Sink(self._stream, record.name)
        sink.msg(self._chain(sink, level if level in LEVELS else "error", event))


class Logs:
    """The logging of this process while the context is open."""

    def __init__(self, clock: Clock, *, level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        tty = self._stream.isatty()
        if form == "console" or (form == "auto" and tty):
            colours = tty and not os.environ.get("NO_COLOR")
            self._chain = _Chain(clock, ConsoleFormat(colours=colours))
        else:
            self._chain = _Chain(clock, render_json)
        self._bridge = _Bridge(self._chain, self._stream)
        self.level = level

    def __enter__(self) -> Logs:
        self.set_level(self.level)
        logging.getLogger().addHandler(self._bridge)
        logging.captureWarnings(capture=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.captureWarnings(capture=False)
        logging.getLogger().removeHandler(self._bridge)
        structlog.reset_defaults()

    def set_level(self, level: str) -> None:
        """Log from this level on, from the next line on."""
        if level not in LEVELS:
            raise ValueError(f"set the log level to {level!r}: it is none of {', '.join(LEVELS)}")
        self.level = level
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, self._chain],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=lambda *names: _Sink(self._stream, str(names[0]) if names else "autobackup"),
            # Loggers are made at import and the level may change: what they are must be looked up each time.
            cache_logger_on_first_use=False,
        )
        logging.getLogger().setLevel(logging.INFO if level == "debug" else logging.WARNING)
