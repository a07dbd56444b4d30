"""CEL rules that several kinds share.

`templated` is true in a BackupBlueprint, where any text may hold `${VARIABLES}` that are not known yet: a rule about
the form of a text then lets a text with a variable pass, and the operator checks the resolved text by the same rule.

Texts that a Go client writes as "" where nothing was given count as not given.
"""

from __future__ import annotations

from collections.abc import Iterable

from tools.crds.schema import Schema, rule

# Go's time.ParseDuration, without a sign.
DURATION = "^([0-9]+([.][0-9]*)?(ns|us|µs|μs|ms|s|m|h))+$"
# Five cron fields or a descriptor, with an optional time zone before it; the operator checks the fields themselves.
SCHEDULE = (
    r"^\s*((CRON_)?TZ=\S+\s+)?(@(yearly|annually|monthly|weekly|daily|midnight|hourly|every\s+\S+)|\S+(\s+\S+){4})\s*$"
)
DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
HOST = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"


def form(expression: str, message: str, *, templated: bool) -> Schema:
    """A rule about the form of one text."""
    return rule(f"self.contains('${{') || {expression}" if templated else expression, message)


def matching(pattern: str, message: str, *, templated: bool = False, empty: bool = True) -> Schema:
    allowed = "self == '' || " if empty else ""
    return form(f"{allowed}self.matches({_quote(pattern)})", message, templated=templated)


def closed_braces(what: str) -> Schema:
    """`$${` is the escape for a literal `${` and needs no end."""
    return rule(
        r"!self.matches('(^|[^$])[$][{][^}]*$')",
        f"{what} opens a variable with '${{' and never closes it: write '${{NAME}}', or '$${{' for a literal '${{'",
    )


def location(what: str) -> list[Schema]:
    """A path inside the storage. Leading and trailing slashes are Stash's own habit and stay allowed."""
    return [
        rule(
            r"!self.matches('(^|/)[.][.]?(/|$)')",
            f"{what} must not have '.' or '..' as a path segment: write the path out",
        ),
        rule(
            "!self.matches('[[:cntrl:]]')",
            f"{what} must not contain line breaks or other control characters: put it on one line",
        ),
    ]


def absolute(what: str, *, templated: bool = False) -> Schema:
    return form("self.startsWith('/')", f"{what} must be an absolute path: start it with '/'", templated=templated)


def no_parent(what: str) -> Schema:
    return rule(
        r"!self.matches('(^|/)[.][.](/|$)')",
        f"{what} must not have '..' as a path segment: write the path out",
    )


def exactly_one(fields: Iterable[str], message: str) -> Schema:
    listed = ", ".join(f"has(self.{field})" for field in fields)
    return rule(f"[{listed}].filter(given, given).size() == 1", message)


def positive_duration(what: str, *, templated: bool = False) -> list[Schema]:
    return [
        matching(
            DURATION,
            f"{what} must be a duration such as '30s', '10m' or '1h30m': give every number a unit",
            templated=templated,
            empty=False,
        ),
        rule(
            f"!self.matches({_quote(DURATION)}) || duration(self) > duration('0s')",
            f"{what} must be longer than zero: leave it out for no limit",
        ),
    ]


def delay(what: str, *, templated: bool = False) -> Schema:
    return matching(
        DURATION,
        f"{what} must be a duration such as '30s', '10m' or '1h30m': give every number a unit",
        templated=templated,
    )


def object_name(what: str, *, templated: bool = False) -> Schema:
    return matching(
        DNS_NAME,
        f"{what} must be the name of an object: lower case letters, digits, '-' and '.'",
        templated=templated,
    )


def namespace_name(what: str, *, templated: bool = False) -> Schema:
    return matching(
        DNS_LABEL, f"{what} must be the name of a namespace: lower case letters, digits and '-'", templated=templated
    )


def _quote(pattern: str) -> str:
    """A CEL string; raw, so that a regular expression reads as it is written."""
    return f"r'{pattern}'" if "\\" in pattern else f"'{pattern}'"
