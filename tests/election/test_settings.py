"""Who takes part in an election, under which name, and which durations are refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from controller.config import ConfigError, Settings, add_flags, load, print_config
from controller.election import Election
from controller.metrics import Metrics
from controller.terms import Terms
from informers.credentials import Credentials, InClusterCredentials, StaticCredentials
from tests.support.virtualtime import VirtualClock, run_virtual


def flags(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(given)


def test_defaults() -> None:
    settings = load(environ={})
    assert settings.leader_election == "auto"
    assert (settings.lease_name, settings.lease_namespace) == ("autobackup", None)
    assert settings.terms == Terms(15, 10, 2)


def test_every_way_to_set_it(tmp_path: Path) -> None:
    file = tmp_path / "autobackup.yaml"
    file.write_text(
        "leaderElection:\n  enabled: always\n  leaseName: a.b\n  namespace: system\n"
        "  leaseDurationSeconds: 30\n  renewDeadlineSeconds: 20\n  retryPeriodSeconds: 4\n"
    )
    settings = load(
        str(file),
        environ={"AUTOBACKUP_LEADER_ELECTION_RENEW_DEADLINE_SECONDS": "21.5"},
        flags=flags("--leader-election-retry-period-seconds=5", "--leader-election=never"),
    )
    assert settings.leader_election == "never"
    assert (settings.lease_name, settings.lease_namespace) == ("a.b", "system")
    assert settings.terms == Terms(30, 21.5, 5)
    again = tmp_path / "again.yaml"
    again.write_text(print_config(settings))
    assert load(str(again), environ={}) == settings


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (["--leader-election-lease-duration-seconds=10"], ("10", "10", "2")),
        (["--leader-election-renew-deadline-seconds=2.4"], ("15", "2.4", "2")),
        (["--leader-election-retry-period-seconds=8.5"], ("15", "10", "8.5")),
    ],
)
def test_durations_that_do_not_fit_are_refused_with_numbers_and_rule(
    given: list[str], numbers: tuple[str, str, str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={}, flags=flags(*given))
    (problem,) = caught.value.problems
    assert problem.startswith(f"flag {given[0].partition('=')[0]}: ")
    lease, renew, retry = numbers
    assert f"leaseDurationSeconds {lease}, renewDeadlineSeconds {renew} and retryPeriodSeconds {retry}" in problem
    assert "lease > renew > 1.2 x retry" in problem


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a" * 254, "a/b"])
def test_names_that_no_object_can_have_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        load(environ={}, flags=flags(f"--leader-election-lease-name={name}"))
    if name:
        with pytest.raises(ConfigError):
            load(environ={}, flags=flags(f"--leader-election-namespace={name}"))


@pytest.fixture
def in_cluster(tmp_path: Path) -> Credentials:
    (tmp_path / "namespace").write_text("system\n")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    return InClusterCredentials(environ, clock=VirtualClock(), folder=tmp_path)


@pytest.mark.parametrize(
    ("wanted", "pod", "competes"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("always", False, True),
        ("always", True, True),
        ("never", True, False),
        ("never", False, False),
    ],
)
def test_who_competes(wanted: str, pod: bool, competes: bool, in_cluster: Credentials) -> None:
    credentials = in_cluster if pod else StaticCredentials("http://127.0.0.1:1", namespace="desk")

    async def main() -> None:
        clock = VirtualClock()
        election = Election.of(
            Settings(leader_election=wanted),
            credentials,
            None,  # type: ignore[arg-type]  # nothing is sent
            clock=clock,
            metrics=Metrics(version="test"),
            identity="me",
        )
        assert (election.elector is not None) is competes
        assert (election.fence.remaining > 0) is not competes
        assert election.overdue() is None
        if election.elector is not None:
            where = "system" if pod else "desk"
            assert election.elector.lease == f"{where}/autobackup"

    run_virtual(main())
