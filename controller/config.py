"""Configuration: one table of options, from which file keys, variables, flags, checks and the reference are made.

Contract:
- A file (YAML) is overruled by the environment (`AUTOBACKUP_*`), the environment by flags.
- What is not understood is an error, never a default: an unknown key or variable is named together with the nearest
  known one, a bad value together with where it came from and what is allowed there. All mistakes are told at once.
- The result is frozen and knows where each value came from.

To add an option, add a field to `Settings`; there is no second place.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, cast

import yaml

from controller.configfile import nearest, shown
from controller.configfile import read as read_file
from controller.defaultsvalue import Defaults
from controller.terms import Terms
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
    write,
)
from informers.proxy import is_loopback

PREFIX: Final = "AUTOBACKUP_"
FILE_VARIABLE: Final = PREFIX + "CONFIG"
FILE_FLAG: Final = "--config"
DEFAULT: Final = "default"

# Kubernetes puts the addresses of Services into the environment of every pod of their namespace; a Service called
# "autobackup-metrics" must not stop the operator.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")

_HEALTH: Final = Address("", 8081)
_METRICS: Final = Address("", 8080)


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has one text for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"the configuration cannot be used:{listed}")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting. `key` is its place in the file ("a.b" is b inside a); variable and flag follow from it."""

    name: str
    key: str
    kind: Kind[object]
    default: object
    help: str

    @property
    def words(self) -> list[str]:
        """The words of the name; "enabled" is said by the flag being there."""
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|\.", "_", self.key.removesuffix(".enabled"))
        return spaced.lower().split("_")

    @property
    def variable(self) -> str:
        return PREFIX + "_".join(self.words).upper()

    @property
    def flag(self) -> str:
        return "--" + "-".join(self.words)

    @property
    def shown_default(self) -> str:
        value = write(self.kind, self.default)
        if value is None or value == []:
            return "not set by default"
        return f"default: {str(value).lower() if isinstance(value, bool) else value}"


def _option(key: str, kind: Kind[object], *, default: object, help: str) -> Any:  # noqa: A002  as in argparse
    return field(default=cast(Any, default), metadata={"key": key, "kind": kind, "help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective configuration. `sources` tells for each option where its value came from."""

    kubeconfig: str | None = _option(
        "kubeconfig",
        Text("the path of a kubeconfig file"),
        default=None,
        help="Kubeconfig to use; without it the pod's own service account, then $KUBECONFIG, then ~/.kube/config.",
    )
    context: str | None = _option(
        "context", Text("the name of a context"), default=None, help="Context of the kubeconfig to use."
    )
    namespaces: tuple[str, ...] = _option(
        "namespaces", Namespaces(), default=(), help="Namespaces to watch; none named means all of them."
    )
    auto_backup: bool = _option(
        "autoBackup.enabled",
        Switch(),
        default=True,
        help="Make a Repository and a BackupConfiguration for every annotated target.",
    )
    backup_execution: bool = _option(
        "backupExecution.enabled", Switch(), default=False, help="Run the backups that BackupConfigurations ask for."
    )
    require_allowed_namespaces: bool = _option(
        "requireAllowedNamespaces",
        Switch(),
        default=False,
        help="Let a BackupBlueprint without spec.allowedNamespaces serve nobody, instead of every namespace.",
    )
    defaults: tuple[str, ...] = _option(
        "defaults", Defaults(), default=(), help="Settings of backups about which their BackupBlueprint says nothing."
    )
    workers: int = _option("workers", Whole(1, 256), default=8, help="Objects reconciled at the same time.")
    max_in_flight_writes: int = _option(
        "maxInFlightWrites", Whole(1, 1024), default=32, help="Writes to the API server under way at the same time."
    )
    check_storage_secrets: str = _option(
        "checkStorageSecrets",
        Choice(("auto", "never")),
        default="auto",
        help="Look whether a storage Secret exists: auto does where the operator may read that one Secret.",
    )
    openshift: str = _option(
        "openshift",
        Choice(("auto", "never")),
        default="auto",
        help="Watch OpenShift's DeploymentConfigs: auto does as soon as the cluster has them.",
    )
    log_level: str = _option(
        "logLevel", Choice(("debug", "info", "warning", "error")), default="info", help="The least level logged."
    )
    log_format: str = _option(
        "logFormat",
        Choice(("json", "console", "auto")),
        default="auto",
        help="Form of the log: auto is console on a terminal and json elsewhere.",
    )
    # RUF009 is about functions that make mutable defaults; these are frozen.
    health_address: Address | None = _option(  # noqa: RUF009
        "healthAddress", Listen(), default=_HEALTH, help="Where /livez and /readyz are served."
    )
    metrics_address: Address | None = _option(  # noqa: RUF009
        "metricsAddress", Listen(), default=_METRICS, help="Where /metrics is served."
    )
    metrics_secure: bool = _option(
        "metrics.secure",
        Switch(),
        default=False,
        help="Serve metrics over TLS, to whom the API server allows it (TokenReview, SubjectAccessReview).",
    )
    metrics_cert_file: str | None = _option(
        "metrics.certFile",
        Text("the path of a PEM file"),
        default=None,
        help="Certificate to serve metrics with, read again when it changes; without one it is made at start.",
    )
    metrics_key_file: str | None = _option(
        "metrics.keyFile", Text("the path of a PEM file"), default=None, help="Private key of that certificate."
    )
    debug_endpoint: bool = _option(
        "debugEndpoint.enabled",
        Switch(),
        default=False,
        help="Serve /debug/ beside /metrics, under the same conditions; without metrics.secure only on a loopback "
        "metricsAddress.",
    )
    shutdown_grace_seconds: float = _option(
        "shutdownGraceSeconds",
        Seconds(0, 300),
        default=8.0,
        help="How long work in progress may take to finish after SIGTERM.",
    )
    leader_election: str = _option(
        "leaderElection.enabled",
        Choice(("auto", "always", "never")),
        default="auto",
        help="Work only while holding a Lease: auto does with a pod's own service account, not with a kubeconfig.",
    )
    lease_name: str = _option(
        "leaderElection.leaseName", Name(), default="autobackup", help="Name of the Lease that replicas compete for."
    )
    lease_namespace: str | None = _option(
        "leaderElection.namespace",
        Namespace(),
        default=None,
        help="Namespace of the Lease; without it the pod's own, or that of the kubeconfig's context.",
    )
    lease_seconds: int = _option(
        "leaderElection.leaseDurationSeconds",
        Whole(1, 3600),
        default=15,
        help="How long a leader that disappeared keeps others waiting.",
    )
    renew_seconds: float = _option(
        "leaderElection.renewDeadlineSeconds",
        Seconds(0.1, 3600),
        default=10.0,
        help="How long a leader that cannot renew its lease goes on trying before it stops.",
    )
    retry_seconds: float = _option(
        "leaderElection.retryPeriodSeconds",
        Seconds(0.05, 3600),
        default=2.0,
        help="Time between renewals, and between attempts to get the lease.",
    )
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def terms(self) -> Terms:
        """The durations of the lease."""
        return Terms(self.lease_seconds, self.renew_seconds, self.retry_seconds)


def _options() -> Iterator[Option]:
    for item in fields(Settings):
        if item.metadata:
            assert item.default is not MISSING
            meta = item.metadata
            yield Option(item.name, meta["key"], meta["kind"], item.default, meta["help"])


OPTIONS: Final[tuple[Option, ...]] = tuple(_options())
"""Every option, in the order in which they are documented."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give `parser` a flag for each option; only those that were used appear in what it returns."""
    parser.add_argument(
        FILE_FLAG,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"YAML file with options; also {FILE_VARIABLE}",
    )
    for option in OPTIONS:
        text = f"{option.help} ({option.kind.allowed}; {option.shown_default}; also {option.variable})"
        text = text.replace("%", "%%")
        if isinstance(option.kind, Switch):
            parser.add_argument(
                option.flag,
                dest=option.name,
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=text,
            )
        else:
            metavar = option.words[-1].upper()
            parser.add_argument(option.flag, dest=option.name, metavar=metavar, default=argparse.SUPPRESS, help=text)


def load(file: str | None = None, *, environ: Mapping[str, str], flags: argparse.Namespace | None = None) -> Settings:
    """Read the configuration. Raises `ConfigError` that names every mistake.

    `file` is used when neither `--config` nor AUTOBACKUP_CONFIG names one.
    """
    problems: list[str] = []
    values: dict[str, object] = {}
    sources: dict[str, str] = dict.fromkeys((option.name for option in OPTIONS), DEFAULT)
    given: dict[str, object] = {} if flags is None else vars(flags)
    path = str(given.get("config") or environ.get(FILE_VARIABLE) or file or "")

    def take(option: Option, raw: object, source: str, *, text: bool) -> None:
        try:
            read = option.kind.read_text(raw) if text and isinstance(raw, str) else option.kind.read(raw)
        except ValueError:
            problems.append(f"{source}: {shown(raw)} is not allowed; allowed: {option.kind.allowed}")
        else:
            values[option.name] = read
            sources[option.name] = source

    if path:
        found = read_file(path, [option.key for option in OPTIONS], problems)
        for option in OPTIONS:
            if option.key in found:
                take(option, found[option.key], f"file {path}, {option.key}", text=False)
    _refuse_unknown_variables(environ, problems)
    for option in OPTIONS:
        if option.variable in environ:
            take(option, environ[option.variable], f"environment, {option.variable}", text=True)
    for option in OPTIONS:
        if option.name in given:
            take(option, given[option.name], f"flag {option.flag}", text=True)
    settings = Settings(**cast(dict[str, Any], values), sources=MappingProxyType(sources))
    if not problems:
        problems.extend(_contradictions(settings))
    if problems:
        raise ConfigError(problems)
    return settings


def print_config(settings: Settings) -> str:
    """The effective configuration as a file that `load` reads, each value with its source as a comment."""
    lines: list[str] = []
    group = ""
    for option in OPTIONS:
        *groups, leaf = option.key.split(".")
        if groups and groups[0] != group:
            lines.append(f"{groups[0]}:")
        group = groups[0] if groups else ""
        value = write(option.kind, getattr(settings, option.name))
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
        source = settings.sources.get(option.name, DEFAULT)
        lines.append(f"{'  ' if groups else ''}{leaf}: {text}  # {source}")
    return "\n".join(lines) + "\n"


def _contradictions(settings: Settings) -> Iterator[str]:
    if settings.backup_execution:
        yield (
            f"{settings.sources['backup_execution']}: backup execution is not part of this build yet; set "
            "backupExecution.enabled to false and let a Stash operator run the backups"
        )
    health, metrics = settings.health_address, settings.metrics_address
    if health is not None and health == metrics and health.port:
        yield f"healthAddress and metricsAddress are both {health}: give one of them another port, or off"
    yield from _of_metrics(settings)
    if settings.terms.problem():
        named = (settings.sources[name] for name in ("lease_seconds", "renew_seconds", "retry_seconds"))
        given = ", ".join(dict.fromkeys(source for source in named if source != DEFAULT))
        yield f"{given or 'leaderElection'}: {settings.terms.problem()}"


def _of_metrics(settings: Settings) -> Iterator[str]:
    files = settings.metrics_cert_file, settings.metrics_key_file
    if any(files) and not all(files):
        given, missing = ("certFile", "keyFile") if files[0] else ("keyFile", "certFile")
        yield f"metrics.{given} is set and metrics.{missing} is not: give both, or none to have a certificate made"
    if any(files) and not settings.metrics_secure:
        yield "metrics.certFile and metrics.keyFile have no effect without metrics.secure: set it to true, or drop them"
    if settings.debug_endpoint:
        where = settings.metrics_address
        if where is None:
            yield "debugEndpoint.enabled: it is served at metricsAddress, which is off"
        elif not settings.metrics_secure and not is_loopback(where.host):
            yield (
                f"debugEndpoint.enabled: everybody could ask it at metricsAddress {where}; set metrics.secure to true, "
                "or metricsAddress to one of this machine (127.0.0.1:8080)"
            )


def _refuse_unknown_variables(environ: Mapping[str, str], problems: list[str]) -> None:
    known = [FILE_VARIABLE, *(option.variable for option in OPTIONS)]
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known:
            continue
        link = _SERVICE_LINK.search(name)
        if link is None or f"{name[: link.start()]}_SERVICE_HOST" not in environ:
            problems.append(f"environment: unknown variable {name}{nearest(name, known)}")
