"""The operator's defaults: the weakest of the layers."""

from __future__ import annotations

import pytest

from reconcilers import defaults
from reconcilers.grammar import Malformed
from reconcilers.layers import Layer
from tests.reconcilers.permissive import resolved

EVERY_DEFAULT = (
    "schedule=H 5 * * *",
    "timeout=2h",
    "retry=3,delay=1m",
    "backup-history-limit=4",
    "runtime-settings=memory=256Mi..1Gi,cpu=..1,nice=5,ionice=idle",
)


def test_the_operator_fills_what_the_blueprint_leaves_open() -> None:
    found = resolved(given=EVERY_DEFAULT, schedule=None).configuration
    assert found["schedule"].endswith(" 5 * * *")
    assert (found["timeOut"], found["backupHistoryLimit"]) == ("2h", 4)
    assert found["retryConfig"] == {"maxRetry": 3, "delay": "1m"}
    assert found["runtimeSettings"]["container"] == {
        "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi", "cpu": "1"}},
        "nice": {"adjustment": 5},
        "ionice": {"class": 3},
    }


def test_the_blueprint_wins_over_the_operator_and_the_target_over_both() -> None:
    runtime_settings = {"container": {"resources": {"limits": {"memory": "2Gi"}}, "nice": {"adjustment": 0}}}
    found = resolved(
        {"retry": "1", "runtime-settings": "cpu=2"},
        given=EVERY_DEFAULT,
        timeOut="1h",
        runtimeSettings=runtime_settings,
    )
    assert found.configuration["schedule"] == "0 2 * * *"
    assert found.configuration["timeOut"] == "1h"
    assert found.configuration["retryConfig"] == {"maxRetry": 1, "delay": "1m"}
    assert found.configuration["runtimeSettings"]["container"] == {
        "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi", "cpu": "2"}},
        "nice": {"adjustment": 0},
        "ionice": {"class": 3},
    }
    assert found.origins == {
        "backupHistoryLimit": Layer.OPERATOR,
        "retryConfig.maxRetry": Layer.TARGET,
        "retryConfig.delay": Layer.OPERATOR,
        "runtimeSettings.container.ionice": Layer.OPERATOR,
        "runtimeSettings.container.resources.limits.cpu": Layer.TARGET,
        "runtimeSettings.container.resources.requests.cpu": Layer.TARGET,
    }


@pytest.mark.parametrize(
    "text",
    ["timeout", "timeout=soon", "paused=true", "schedule=at noon", "runtime-settings=big", "exclude=*", "", "=1"],
)
def test_what_cannot_be_a_default(text: str) -> None:
    with pytest.raises(Malformed):
        defaults.parse([text])
