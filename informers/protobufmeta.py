"""From protobuf to the document that the same server writes as JSON: the metadata of an object, and a Status.

Contract: `read_metadata` and `read_status` take the bytes of an `ObjectMeta` or a `Status` and return the dictionary
that `json.loads` would make of its JSON form, so that whoever projects documents does not know how they came. What is
empty is left out as Go's JSON leaves it out. Fields that are unknown here, which a newer server may send, are skipped.
`Malformed` says that the bytes are no such message.

Deviation, on purpose: `managedFields` is left out, as the JSON path leaves it out. Half of an object is that.

Source: apimachinery `pkg/apis/meta/v1/generated.proto`, whose numbers are part of the API and never change.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from informers.protobuf import Malformed, read_fields, read_message, read_number, read_text

_TEXTS = {1: "name", 2: "generateName", 3: "namespace", 4: "selfLink", 5: "uid", 6: "resourceVersion"}
_GENERATION, _CREATED, _DELETED, _GRACE, _LABELS, _ANNOTATIONS, _OWNERS, _FINALIZERS = 7, 8, 9, 10, 11, 12, 13, 14
_TIMES = {_CREATED: "creationTimestamp", _DELETED: "deletionTimestamp"}

_OWNER_TEXTS = {1: "kind", 3: "name", 4: "uid", 5: "apiVersion"}
_OWNER_FLAGS = {6: "controller", 7: "blockOwnerDeletion"}

_STATUS_TEXTS = {2: "status", 3: "message", 4: "reason"}
_STATUS_METADATA, _STATUS_DETAILS, _STATUS_CODE = 1, 5, 6
_DETAILS_TEXTS = {1: "name", 2: "group", 3: "kind", 6: "uid"}
_DETAILS_CAUSES, _DETAILS_SECONDS = 4, 5
_CAUSE_TEXTS = {1: "reason", 2: "message", 3: "field"}
_LIST_TEXTS = {1: "selfLink", 2: "resourceVersion", 3: "continue"}
_LIST_REMAINING = 4

_KEY, _TEXT, _LONG = 0x0A, 0x12, 0x80  # the tags of an entry, and from where on a length takes two bytes
_DAY = 24 * 60 * 60
_DAYS_BEFORE_1970 = 719468  # since 1 March of the year 0: then the day that is there now and then is the last of a year
_DAYS_OF_400_YEARS = 146097


def read_metadata(message: bytes, at: int = 0, end: int | None = None) -> dict[str, Any]:
    """An `ObjectMeta`, or those of its fields that are between `at` and `end`."""
    found: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    tables = {_LABELS: labels, _ANNOTATIONS: annotations}
    for number, value in read_fields(message, at, end):
        if number > _FINALIZERS:
            continue
        table = tables.get(number)
        if table is not None:
            key, text = _read_entry(read_message(value))
            table[key] = text
        elif number in _TEXTS:
            if value != b"":
                found[_TEXTS[number]] = read_text(value)
        elif number == _GENERATION:
            if value != 0:
                found["generation"] = read_number(value)
        elif number in _TIMES:
            if value != b"":
                found[_TIMES[number]] = _read_time(read_message(value))
        elif number == _GRACE:
            found["deletionGracePeriodSeconds"] = read_number(value)
        elif number == _OWNERS:
            found.setdefault("ownerReferences", []).append(_read_owner(read_message(value)))
        elif number == _FINALIZERS:
            found.setdefault("finalizers", []).append(read_text(value))
    return found | {name: table for name, table in (("labels", labels), ("annotations", annotations)) if table}


def read_list_metadata(message: bytes) -> dict[str, Any]:
    """A `ListMeta`."""
    found: dict[str, Any] = _read_texts(message, _LIST_TEXTS)
    for number, value in read_fields(message):
        if number == _LIST_REMAINING:
            found["remainingItemCount"] = read_number(value)
    return found


def read_status(message: bytes) -> dict[str, Any]:
    """A `Status`."""
    found: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", **_read_texts(message, _STATUS_TEXTS)}
    for number, value in read_fields(message):
        if number == _STATUS_METADATA:
            found["metadata"] = read_list_metadata(read_message(value))
        elif number == _STATUS_DETAILS:
            found["details"] = _read_details(read_message(value))
        elif number == _STATUS_CODE:
            found["code"] = read_number(value)
    return found


def _read_details(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = _read_texts(message, _DETAILS_TEXTS)
    for number, value in read_fields(message):
        if number == _DETAILS_CAUSES:
            found.setdefault("causes", []).append(_read_texts(read_message(value), _CAUSE_TEXTS))
        elif number == _DETAILS_SECONDS and value != 0:
            found["retryAfterSeconds"] = read_number(value)
    return found


def _read_texts(message: bytes, names: dict[int, str]) -> dict[str, str]:
    return {names[number]: read_text(value) for number, value in read_fields(message) if number in names and value}


def _read_owner(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"apiVersion": "", "kind": "", "name": "", "uid": ""}
    for number, value in read_fields(message):
        if number in _OWNER_TEXTS:
            found[_OWNER_TEXTS[number]] = read_text(value)
        elif number in _OWNER_FLAGS:
            found[_OWNER_FLAGS[number]] = bool(read_number(value))
    return found


def _read_entry(message: bytes) -> tuple[str, str]:
    key = text = ""
    # Nearly every entry is a short key and a short text, and nothing else.
    size = len(message)
    if size > 3 and message[0] == _KEY and message[1] < _LONG:
        middle = 2 + message[1]
        if middle + 1 < size and message[middle] == _TEXT and message[middle + 1] == size - middle - 2 < _LONG:
            try:
                return message[2:middle].decode(), message[middle + 2 :].decode()
            except UnicodeDecodeError:
                pass
    for number, value in read_fields(message):
        if number == 1:
            key = read_text(value)
        elif number == 2:
            text = read_text(value)
    return key, text


@lru_cache(maxsize=256)
def _read_time(message: bytes) -> str:
    seconds = 0
    for number, value in read_fields(message):
        if number == 1:
            seconds = read_number(value)
    days, rest = divmod(seconds, _DAY)
    return f"{_date_of(days)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


@lru_cache(maxsize=64)
def _date_of(days: int) -> str:
    # Years begin with March here. No module that can tell the time is needed for that (R26).
    era, day = divmod(days + _DAYS_BEFORE_1970, _DAYS_OF_400_YEARS)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    year += era * 400 + month // 10
    if not 1 <= year <= 9999:
        raise Malformed(f"{days} days after 1970 are no date of our age")
    return f"{year:04}-{(month + 2) % 12 + 1:02}-{day - (153 * month + 2) // 5 + 1:02}"
