"""Label selectors: what they match, and that none is understood by half."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.selector import parse

SHOP = {"team": "shop", "tier": "gold"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"team": "shop"}}, True),
        ({"matchLabels": {"team": "shop", "tier": "silver"}}, False),
        ({"matchLabels": {"absent": ""}}, False),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["blog", "shop"]}]}, True),
        ({"matchExpressions": [{"key": "absent", "operator": "In", "values": ["x"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["shop"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist", "values": []}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "DoesNotExist"}]}, True),
        (
            {"matchLabels": {"team": "shop"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["x"]}]},
            False,
        ),
    ],
)
def test_matching(selector: dict[str, Any], matches: bool) -> None:
    assert parse(selector).matches(SHOP) is matches


@pytest.mark.parametrize(
    "selector",
    [
        None,
        [],
        "team=shop",
        {"matchLabel": {}},
        {"matchLabels": ["team"]},
        {"matchLabels": {"team": 1}},
        {"matchExpressions": {"key": "team"}},
        {"matchExpressions": ["team"]},
        {"matchExpressions": [{"operator": "Exists"}]},
        {"matchExpressions": [{"key": "team", "operator": "Equals", "values": ["x"]}]},
        {"matchExpressions": [{"key": "team"}]},
        {"matchExpressions": [{"key": "team", "operator": "In"}]},
        {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": []}]},
        {"matchExpressions": [{"key": "team", "operator": "Exists", "values": ["x"]}]},
        {"matchExpressions": [{"key": "team", "operator": "In", "values": "shop"}]},
        {"matchExpressions": [{"key": "team", "operator": "In", "values": [1]}]},
        {"matchExpressions": [{"key": "team", "operator": "In", "values": ["x"], "more": 1}]},
    ],
)
def test_what_is_not_understood_is_refused(selector: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(selector)
