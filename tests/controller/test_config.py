"""One table of options: precedence, refusals that name source, key, value and what is allowed, and the way back to
YAML.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.config import OPTIONS, ConfigError, Settings, add_flags, load, print_config
from controller.values import (
    Address,
    Choice,
    Kind,
    Listen,
    Name,
    Namespace,
    Namespaces,
    Seconds,
    Switch,
    Text,
    Whole,
)

NOTHING: Mapping[str, str] = {}


def flags(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(given)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "autobackup.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def problems(
    file: str | None = None, *, environ: Mapping[str, str] = NOTHING, given: tuple[str, ...] = ()
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, environ=environ, flags=flags(*given))
    for problem in caught.value.problems:
        assert problem in str(caught.value)
    return list(caught.value.problems)


def test_defaults() -> None:
    settings = load(environ={"PATH": "/bin"}, flags=flags())
    assert settings == Settings()
    assert settings.auto_backup
    assert not settings.backup_execution
    assert settings.workers == 8
    assert settings.health_address == Address("", 8081)
    assert set(settings.sources.values()) == {"default"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.workers = 9  # type: ignore[misc]


def test_flags_overrule_the_environment_which_overrules_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "workers: 2\nlogLevel: error\nmaxInFlightWrites: 5\nautoBackup:\n  enabled: false\n")
    environ = {"AUTOBACKUP_WORKERS": "3", "AUTOBACKUP_LOG_LEVEL": "warning"}
    settings = load(file, environ=environ, flags=flags("--workers", "4", "--auto-backup"))
    assert (settings.workers, settings.log_level, settings.max_in_flight_writes) == (4, "warning", 5)
    assert settings.auto_backup
    assert settings.sources["workers"] == "flag --workers"
    assert settings.sources["log_level"] == "environment, AUTOBACKUP_LOG_LEVEL"
    assert settings.sources["max_in_flight_writes"] == f"file {file}, maxInFlightWrites"


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_the_file_can_be_named_by_flag_or_variable(way: str, tmp_path: Path) -> None:
    file = written(tmp_path, "workers: 2\n")
    if way == "flag":
        settings = load("/not/this", environ={}, flags=flags("--config", file))
    else:
        settings = load("/not/this", environ={"AUTOBACKUP_CONFIG": file}, flags=flags())
    assert settings.workers == 2


def test_an_empty_file_is_no_configuration(tmp_path: Path) -> None:
    assert load(written(tmp_path, "# nothing\n"), environ={}) == Settings()


def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    file = written(tmp_path, "worker: 2\nautoBackup:\n  enable: true\n")
    assert problems(file) == [
        f"file {file}: unknown key worker; did you mean workers?",
        f"file {file}: unknown key autoBackup.enable; did you mean autoBackup.enabled?",
    ]


def test_an_unknown_variable_is_named_with_the_nearest_known_one() -> None:
    assert problems(environ={"AUTOBACKUP_LOGLEVEL": "info", "HOME": "/"}) == [
        "environment: unknown variable AUTOBACKUP_LOGLEVEL; did you mean AUTOBACKUP_LOG_LEVEL?"
    ]


def test_variables_that_kubernetes_adds_for_a_service_are_no_mistake() -> None:
    link = {
        "AUTOBACKUP_METRICS_SERVICE_HOST": "10.0.0.1",
        "AUTOBACKUP_METRICS_SERVICE_PORT": "8080",
        "AUTOBACKUP_METRICS_SERVICE_PORT_HTTP": "8080",
        "AUTOBACKUP_METRICS_PORT": "tcp://10.0.0.1:8080",
        "AUTOBACKUP_METRICS_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "AUTOBACKUP_METRICS_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert load(environ=link) == Settings()
    del link["AUTOBACKUP_METRICS_SERVICE_HOST"]
    assert len(problems(environ=link)) == len(link), "without a Service they are mistakes"


def test_no_option_looks_like_a_service_link() -> None:
    assert not [option for option in OPTIONS if option.variable.endswith(("_PORT", "_SERVICE_HOST"))]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("workers: 0", "workers: 0 is not allowed; allowed: a whole number from 1 to 256"),
        ("workers: '8'", "workers: '8' is not allowed; allowed: a whole number from 1 to 256"),
        ("workers: true", "workers: True is not allowed; allowed: a whole number from 1 to 256"),
        ("logLevel: loud", "logLevel: 'loud' is not allowed; allowed: one of debug, info, warning, error"),
        ("autoBackup: {enabled: 'yes'}", "autoBackup.enabled: 'yes' is not allowed; allowed: true or false"),
        ("autoBackup: true", "autoBackup: True is not allowed; it holds autoBackup.enabled"),
        ("namespaces: shop", "namespaces: 'shop' is not allowed; allowed: a list of namespace names"),
        ("namespaces: [Shop]", "namespaces: ['Shop'] is not allowed; allowed: a list of namespace names"),
        ("healthAddress: 8081", "healthAddress: 8081 is not allowed; allowed: host:port"),
        ("healthAddress: ':66000'", "healthAddress: ':66000' is not allowed; allowed: host:port"),
        ("healthAddress: '::1:80'", "healthAddress: '::1:80' is not allowed; allowed: host:port"),
        ("shutdownGraceSeconds: -1", "shutdownGraceSeconds: -1 is not allowed; allowed: seconds, from 0 to 300"),
        ("shutdownGraceSeconds: .nan", "shutdownGraceSeconds: nan is not allowed; allowed: seconds, from 0 to 300"),
        ("kubeconfig: 7", "kubeconfig: 7 is not allowed; allowed: the path of a kubeconfig file"),
    ],
)
def test_a_bad_value_is_named_with_its_source_and_what_is_allowed(text: str, problem: str, tmp_path: Path) -> None:
    file = written(tmp_path, text)
    (found,) = problems(file)
    assert found.startswith(f"file {file}, {problem}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORKERS", "many"),
        ("WORKERS", "٣"),
        ("WORKERS", "9" * 6000),
        ("AUTO_BACKUP", "1"),
        ("SHUTDOWN_GRACE_SECONDS", "nan"),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str) -> None:
    (found,) = problems(environ={f"AUTOBACKUP_{variable}": value})
    assert found.startswith(f"environment, AUTOBACKUP_{variable}: ")
    assert "; allowed: " in found
    assert len(found) < 200


def test_a_bad_flag_is_named() -> None:
    assert problems(given=("--workers", "x")) == [
        "flag --workers: 'x' is not allowed; allowed: a whole number from 1 to 256"
    ]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "workers: 0\ncolour: red\n")
    found = problems(file, environ={"AUTOBACKUP_X": "1"}, given=("--log-level", "loud"))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n", "holds ['a'] instead of keys with values"),
        ("a: [\n", "is not YAML: "),
        ("workers: 1\nworkers: 2\n", "is not YAML: workers is there twice"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    file = written(tmp_path, text)
    (found,) = problems(file)
    assert found.startswith(f"file {file}: {problem}")


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (found,) = problems(str(tmp_path / "gone.yaml"))
    assert "cannot be read" in found
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    (found,) = problems(str(binary))
    assert "cannot be read" in found


def test_backup_execution_is_refused_because_this_build_has_none() -> None:
    (found,) = problems(given=("--backup-execution",))
    assert found.startswith("flag --backup-execution: backup execution is not part of this build yet")


def test_two_servers_cannot_share_a_port() -> None:
    (found,) = problems(given=("--health-address", ":9", "--metrics-address", ":9"))
    assert "both :9" in found
    settings = load(environ={}, flags=flags("--health-address", ":0", "--metrics-address", ":0"))
    assert settings.health_address == Address("", 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--metrics-cert-file=a", "--metrics-secure"), "metrics.certFile is set and metrics.keyFile is not"),
        (("--metrics-key-file=a", "--metrics-secure"), "metrics.keyFile is set and metrics.certFile is not"),
        (("--metrics-cert-file=a", "--metrics-key-file=b"), "have no effect without metrics.secure"),
        (("--debug-endpoint",), "everybody could ask it at metricsAddress :8080"),
        (("--debug-endpoint", "--metrics-address=10.0.0.1:8080"), "or metricsAddress to one of this machine"),
        (("--debug-endpoint", "--metrics-address=off", "--metrics-secure"), "metricsAddress, which is off"),
    ],
)
def test_what_would_be_open_or_without_effect_is_refused(given: tuple[str, ...], told: str) -> None:
    (found,) = problems(given=given)
    assert told in found


@pytest.mark.parametrize(
    "given",
    [
        ("--metrics-secure",),
        ("--metrics-secure", "--metrics-cert-file=a", "--metrics-key-file=b", "--debug-endpoint"),
        ("--debug-endpoint", "--metrics-address=127.0.0.1:0"),
        ("--debug-endpoint", "--metrics-address=[::1]:8080"),
        ("--debug-endpoint", "--metrics-address=localhost:8080"),
    ],
)
def test_what_is_safe_is_accepted(given: tuple[str, ...]) -> None:
    settings = load(environ={}, flags=flags(*given))
    assert settings.metrics_secure or settings.debug_endpoint


@pytest.mark.parametrize("off", ["off", "'off'", "false"])
def test_a_server_can_be_off_however_yaml_reads_the_word(off: str, tmp_path: Path) -> None:
    assert load(written(tmp_path, f"metricsAddress: {off}\n"), environ={}).metrics_address is None


def test_names_follow_from_the_key() -> None:
    by_name = {option.name: (option.key, option.variable, option.flag) for option in OPTIONS}
    assert by_name["auto_backup"] == ("autoBackup.enabled", "AUTOBACKUP_AUTO_BACKUP", "--auto-backup")
    assert by_name["max_in_flight_writes"] == (
        "maxInFlightWrites",
        "AUTOBACKUP_MAX_IN_FLIGHT_WRITES",
        "--max-in-flight-writes",
    )
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)
    assert {option.name for option in OPTIONS} == {f.name for f in dataclasses.fields(Settings)} - {"sources"}


def test_every_default_is_a_value_that_would_be_allowed() -> None:
    assert load(environ={}) == Settings()
    text = print_config(Settings())
    assert yaml.safe_load(text)["workers"] == 8


def test_print_config_says_where_values_come_from_and_is_a_configuration(tmp_path: Path) -> None:
    given = ("--namespaces", "shop, bank,shop", "--metrics-address", "off", "--health-address", "[::1]:0")
    settings = load(environ={"AUTOBACKUP_KUBECONFIG": "/k: #c"}, flags=flags(*given))
    text = print_config(settings)
    assert "namespaces: [shop, bank]  # flag --namespaces\n" in text
    assert "metricsAddress: 'off'  # flag --metrics-address\n" in text
    assert "autoBackup:\n  enabled: true  # default\n" in text
    assert load(written(tmp_path, text), environ={}) == settings


def test_help_names_default_and_variable() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    text = " ".join(parser.format_help().split())
    assert "(a whole number from 1 to 256; default: 8; also AUTOBACKUP_WORKERS)" in text


@given(
    st.text()
    | st.integers()
    | st.floats()
    | st.none()
    | st.booleans()
    | st.lists(st.text())
    | st.dictionaries(st.text(), st.text())
)
def test_any_value_is_read_or_refused_and_nothing_else(value: object) -> None:
    kinds: list[Kind[object]] = [
        Text(),
        Name(),
        Namespace(),
        Switch(),
        Whole(1, 9),
        Seconds(0, 9),
        Choice(("a", "b")),
        Namespaces(),
        Listen(),
    ]
    for kind in kinds:
        with contextlib.suppress(ValueError):
            kind.read(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                kind.read_text(value)
