"""Where the server and the identity come from: pod, kubeconfig, and what is refused."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import selfsigned
from informers import CredentialsError, credentials, load_credentials
from informers.clock import RealClock
from informers.credentials import InClusterCredentials, KubeconfigCredentials, StaticCredentials
from informers.kubeconfig import read_plain
from informers.tls import TlsFiles


class HandClock(RealClock):
    """A clock that is moved by hand."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "namespace").write_text("team\n")
    return tmp_path


async def test_in_a_pod(pod: Path) -> None:
    clock = HandClock()
    environ = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert InClusterCredentials.available(environ, pod)
    assert not InClusterCredentials.available({}, pod)
    credentials = InClusterCredentials(environ, clock=clock, folder=pod)
    assert credentials.server_url == "https://10.96.0.1:6443"
    assert credentials.namespace == "team"
    assert await credentials.authorization() == "Bearer first"
    (pod / "token").write_text("second")
    clock.now += 59
    assert await credentials.authorization() == "Bearer first"
    assert await credentials.authorization(fresh=True) == "Bearer second"
    (pod / "token").write_text("third")
    clock.now += 60
    assert await credentials.authorization() == "Bearer third"
    (pod / "token").unlink()
    assert await credentials.authorization(fresh=True) == "Bearer third", "it is being rotated"


async def test_in_a_pod_with_ipv6_and_without_files(tmp_path: Path) -> None:
    credentials = InClusterCredentials({"KUBERNETES_SERVICE_HOST": "fd00::1"}, clock=RealClock(), folder=tmp_path)
    assert credentials.server_url == "https://[fd00::1]:443"
    assert credentials.namespace == "default"
    with pytest.raises(CredentialsError, match="token"):
        await credentials.authorization()


def write_kubeconfig(
    folder: Path, user: dict[str, Any], *, server: str = "https://127.0.0.1:6443", **more: Any
) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True, **more}}],
        "users": [{"name": "u", "user": user}, {"name": "nobody", "user": {}}],
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "other", "context": {"cluster": "c", "user": "nobody"}},
        ],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    path = write_kubeconfig(
        tmp_path, {"token": "secret"}, **{"tls-server-name": "kubernetes", "proxy-url": "http://p:1"}
    )
    credentials = load_credentials(str(path))
    assert credentials.server_url == "https://127.0.0.1:6443"
    assert credentials.namespace == "team"
    assert credentials.source == f"context 'main' of kubeconfig {path}"
    assert credentials.tls_server_name == "kubernetes"
    assert credentials.proxy_url == "http://p:1"
    assert await credentials.authorization() == "Bearer secret"
    assert credentials.ssl_context() is credentials.ssl_context()


async def test_another_context(tmp_path: Path) -> None:
    credentials = load_credentials(str(write_kubeconfig(tmp_path, {"token": "secret"})), "other")
    assert await credentials.authorization() is None
    assert credentials.namespace == "default"


async def test_the_kubeconfig_of_the_environment(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {"token": "secret"})
    credentials = load_credentials(environ={"KUBECONFIG": str(path)})
    assert await credentials.authorization() == "Bearer secret"


async def test_an_exec_plugin_is_run_again_when_its_token_was_refused(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import json, pathlib\n"
        f"path = pathlib.Path({str(counter)!r})\n"
        "number = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(number))\n"
        'version = "client.authentication.k8s.io/v1"\n'
        'status = {"token": f"token-{number}"}\n'
        'print(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))\n'
    )
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plugin)],
            "interactiveMode": "Never",
        }
    }
    credentials = load_credentials(str(write_kubeconfig(tmp_path, user)))
    assert await credentials.authorization() == "Bearer token-1"
    assert await credentials.authorization() == "Bearer token-1"
    assert await credentials.authorization(fresh=True) == "Bearer token-2"


async def test_a_token_file_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    credentials = load_credentials(str(write_kubeconfig(tmp_path, {"tokenFile": str(token)})))
    assert await credentials.authorization() == "Bearer one"
    token.write_text("two")
    assert await credentials.authorization(fresh=True) == "Bearer two"


@pytest.mark.parametrize("content", ["", "[]", "{", "a: b", json.dumps({"current-context": "x", "contexts": []})])
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(CredentialsError, match="kubeconfig"):
        load_credentials(str(path))


def test_a_kubeconfig_that_is_not_there_and_a_context_that_is_not_in_it(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="nowhere"):
        load_credentials(str(tmp_path / "nowhere"))
    with pytest.raises(CredentialsError, match="context 'absent' of kubeconfig"):
        load_credentials(str(write_kubeconfig(tmp_path, {})), "absent")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"config is empty"),
        ("hello", r"config is no kubeconfig"),
        ("a: [", r"config is not YAML: [^\n]*line 1[^\n]*$"),
        ("{contexts: [{name: a}, {name: b}]}", r"no current-context; name a context: it has a, b"),
        ("{contexts: [{name: a}, {name: b}], current-context: c}", r"no context 'c'; it has a, b"),
        (
            "{contexts: [{name: a, context: {cluster: x}}], current-context: a}",
            r"names cluster 'x', which is not in it",
        ),
    ],
)
def test_the_usual_mistakes_are_told_in_plain_words(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(CredentialsError, match=said):
        load_credentials(str(path))


def test_no_kubeconfig_and_a_mistyped_context_are_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"nowhere: there is no such file; give the path of a kubeconfig"):
        load_credentials(str(tmp_path / "nowhere"))
    with pytest.raises(CredentialsError, match=r"no context 'mian'; it has main"):
        load_credentials(str(write_kubeconfig(tmp_path, {})), "mian")


def test_plain_http_only_to_this_machine(tmp_path: Path) -> None:
    assert load_credentials(str(write_kubeconfig(tmp_path, {}, server="http://127.0.0.1:8001"))).ssl_context() is None
    for server in ("http://10.0.0.1:8001", "http://example.com", "ftp://127.0.0.1", "nonsense"):
        with pytest.raises(CredentialsError, match=r"https|not an http"):
            load_credentials(str(write_kubeconfig(tmp_path, {}, server=server)))
    with pytest.raises(CredentialsError, match="in the clear"):
        StaticCredentials("http://10.0.0.1")


def test_t7_a_context_is_shared_and_built_anew_when_a_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    def build(self: TlsFiles) -> ssl.SSLContext:
        built.append(self)
        return ssl.create_default_context()

    built: list[TlsFiles] = []
    monkeypatch.setattr(TlsFiles, "_build", build)
    bundle = tmp_path / "ca.crt"
    bundle.write_text("one")
    clock = HandClock()
    files = TlsFiles(clock, ca_file=str(bundle))
    first = files.context()
    clock.now += 61
    assert files.context() is first
    bundle.unlink()
    bundle.write_text("another")
    assert files.context() is first, "not looked at more than once a minute"
    clock.now += 61
    second = files.context()
    assert second is not first
    assert files.context(fresh=True) is second, "nothing changed"
    bundle.unlink()
    bundle.write_text("a third one")
    assert files.context(fresh=True) is not second, "somebody has a reason to doubt"
    assert len(built) == 3


def test_kubernetes_is_imported_only_for_a_kubeconfig() -> None:
    program = (
        "import sys, informers; informers.AiohttpTransport; informers.load_credentials; "
        "sys.exit(any(name.split('.')[0] == 'kubernetes' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_types_alone_cost_no_http_library() -> None:
    program = "import sys, informers; sys.exit('aiohttp' in sys.modules or 'kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_plain_kubeconfig_costs_no_kubernetes_library(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {"token": "secret"})
    program = (
        "import sys, informers; informers.load_credentials(sys.argv[1]).ssl_context(); "
        "sys.exit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"server": "https://10.0.0.1:6443/prefix/"},
        {"tls-server-name": "kubernetes", "proxy-url": "http://p:1"},
        {"insecure-skip-tls-verify": False, "certificate-authority": "ca.crt"},
        {"insecure-skip-tls-verify": False, "certificate-authority-data": True},
        {"insecure-skip-tls-verify": False, "certificate-authority": "nowhere", "certificate-authority-data": True},
    ],
)
@pytest.mark.parametrize("user", [{"token": "secret"}, {}])
@pytest.mark.parametrize("context", [None, "other"])
async def test_a_plain_kubeconfig_is_read_as_the_library_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], user: dict[str, Any], context: str | None
) -> None:
    made = selfsigned.make(RealClock(), names=["server"])
    authority = made[made.index("-----BEGIN CERTIFICATE") :].encode()
    (tmp_path / "ca.crt").write_bytes(authority)
    if more.get("certificate-authority-data"):
        more = {**more, "certificate-authority-data": base64.b64encode(authority).decode()}
    path = str(write_kubeconfig(tmp_path, user, **more))
    plain = load_credentials(path, context)
    monkeypatch.setattr(credentials, "read_plain", lambda path, context, decode: None)
    theirs = load_credentials(path, context)
    for name in ("server_url", "namespace", "source", "tls_server_name", "proxy_url"):
        assert getattr(plain, name) == getattr(theirs, name), name
    assert await plain.authorization() == await theirs.authorization()
    ours, other = plain.ssl_context(), theirs.ssl_context()
    assert ours is not None
    assert other is not None
    assert ours.cert_store_stats() == other.cert_store_stats()
    if any(name.startswith("certificate-authority") for name in more):
        assert ours.cert_store_stats()["x509"] == 1
    assert (ours.verify_mode, ours.check_hostname) == (other.verify_mode, other.check_hostname)


PLAIN = {"token": "secret"}


@pytest.mark.parametrize(
    ("user", "more"),
    [
        ({"tokenFile": "/token"}, {}),
        ({"exec": {"command": "x"}}, {}),
        ({"client-certificate-data": "eA==", "client-key-data": "eA=="}, {}),
        ({"username": "a", "password": "b"}, {}),
        (PLAIN | {"as": "somebody"}, {}),
        ({"token": 5}, {}),
        (PLAIN, {"server": None}),
        (PLAIN, {"insecure-skip-tls-verify": "no"}),
        (PLAIN, {"certificate-authority-data": "%"}),
        (PLAIN, {"something": "new"}),
    ],
)
def test_whatever_else_a_kubeconfig_says_is_left_to_the_library(
    tmp_path: Path, user: dict[str, Any], more: dict[str, Any]
) -> None:
    assert read_plain(str(write_kubeconfig(tmp_path, PLAIN)), None, decode=yaml.safe_load) is not None
    path = str(write_kubeconfig(tmp_path, user, **more))
    assert read_plain(path, None, decode=yaml.safe_load) is None
    assert read_plain(f"{path}{os.pathsep}{path}", None, decode=yaml.safe_load) is None
    assert read_plain(path, "absent", decode=yaml.safe_load) is None


def test_the_class_for_kubeconfigs_is_what_load_returns(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {})
    assert isinstance(load_credentials(str(path), environ={"KUBERNETES_SERVICE_HOST": "x"}), KubeconfigCredentials)
