"""Locations: what is the same place, what is not, and what cannot be a place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers.errors import Refusal
from reconcilers.location import PROVIDERS, enclosing, locate, prefix_of, provider_of
from reconcilers.reasons import Reason


def at(backend: dict[str, Any], namespace: str = "demo") -> str:
    return str(locate(backend, namespace=namespace))


def rest(url: str) -> dict[str, Any]:
    return {"rest": {"url": url}}


def s3(prefix: str | None = "p", endpoint: str = "s3.amazonaws.com", bucket: str = "b") -> dict[str, Any]:
    return {"s3": {"endpoint": endpoint, "bucket": bucket, "prefix": prefix}}


def local(**source: Any) -> dict[str, Any]:
    return {"local": {"mountPath": "/safe", "subPath": "p", **source}}


@pytest.mark.parametrize(
    ("backend", "location"),
    [
        (s3("a/b"), "s3:s3.amazonaws.com:b|a/b"),
        ({"gcs": {"bucket": "b", "prefix": "/a/"}}, "gcs::b|a"),
        ({"azure": {"container": "c"}}, "azure::c|"),
        ({"swift": {"container": "c", "prefix": ""}}, "swift::c|"),
        ({"b2": {"bucket": "b", "prefix": "a"}}, "b2::b|a"),
        (rest("https://Host/a/b/"), "rest:host:443|a/b"),
        (rest("http://host:8000/"), "rest:host:8000|"),
        (local(nfs={"server": "nas", "path": "/b/"}), "local:nfs:nas:/b|p"),
        (local(hostPath={"path": "/b"}), "local:hostPath:/b|p"),
        (local(persistentVolumeClaim={"claimName": "c"}), "local:pvc:demo/c|p"),
        (local(csi={"driver": "d"}), 'local:demo:{"csi":{"driver":"d"}}|p'),
    ],
)
def test_locations(backend: dict[str, Any], location: str) -> None:
    assert at(backend) == location


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (s3("a/b"), s3("/a//b/ ")),
        (s3(""), s3(None)),
        (s3(endpoint="https://S3.amazonaws.com/"), s3(endpoint="s3.amazonaws.com")),
        (rest("https://host/a"), rest("https://HOST:443/a/")),
        (rest("https://user:one@host/a"), rest("https://other:two@host/a?x#y")),
        (rest("https://host/a%2Fb"), rest("https://host/a/b")),
        (rest("http://[::1]/a"), rest("http://[::1]:80/a")),
        (local(nfs={"server": "n", "path": "/b"}), local(nfs={"server": "n", "path": "/b/", "readOnly": False})),
        (local(csi={"a": 1, "b": 2}), local(csi={"b": 2, "a": 1})),
    ],
)
def test_one_place(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert at(one) == at(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (s3("a"), s3("A")),
        (s3("a/b"), s3("ab")),
        (s3(bucket="a"), s3(bucket="b")),
        (s3(endpoint="one"), s3(endpoint="two")),
        ({"gcs": {"bucket": "b"}}, {"b2": {"bucket": "b"}}),
        (rest("https://host/a"), rest("https://host:8443/a")),
        (local(hostPath={"path": "/a"}), local(hostPath={"path": "/b"})),
    ],
)
def test_two_places(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert at(one) != at(other)


def test_a_claim_belongs_to_its_namespace() -> None:
    claim = local(persistentVolumeClaim={"claimName": "c"})
    assert at(claim, "one") != at(claim, "two")
    share = local(nfs={"server": "n", "path": "/b"})
    assert at(share, "one") == at(share, "two")


@pytest.mark.parametrize(
    "backend",
    [
        {},
        {"storageSecretName": "s"},
        {**s3(), **rest("https://host/")},
        {"s3": None},
        {"s3": "bucket"},
        s3(bucket=""),
        s3(bucket=" "),
        s3("a/../b"),
        s3("./a"),
        s3(".."),
        {"gcs": {}},
        rest(""),
        rest("host/a"),
        rest("ftp://host/a"),
        rest("https://"),
        rest("https:///a"),
        rest("http://[::1"),
        rest("http://host:99999/a"),
        rest("http://host:x/a"),
        rest("http://host:0/a"),
        rest("https://host/a/%2e%2e/b"),
        rest("https://host/../b"),
        {"rest": {"url": None}},
    ],
)
def test_no_place(backend: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        at(backend)
    assert refusal.value.reason is Reason.INVALID_BACKEND
    assert refusal.value.field.startswith("spec.backend")


@pytest.mark.parametrize(
    "url", ["ftp://user:secret@host/a", "user:secret@host/a", "http://user:secret@[::1", "https://a:secret@"]
)
def test_a_refusal_does_not_repeat_a_password(url: str) -> None:
    with pytest.raises(Refusal) as refusal:
        at(rest(url))
    assert "secret@" not in str(refusal.value)


def test_what_encloses_a_location() -> None:
    assert list(enclosing("s3::b|x/y/z")) == ["s3::b|", "s3::b|x", "s3::b|x/y"]
    assert list(enclosing("s3::b|")) == []


def test_the_prefix_as_its_author_wrote_it() -> None:
    assert prefix_of(s3("/a/b/")) == "/a/b/"
    assert prefix_of(local(hostPath={"path": "/x"})) == "p"
    assert prefix_of(rest("https://u:p@host/a")) == "/a"
    assert prefix_of({"gcs": {"bucket": "b"}}) == ""
    with pytest.raises(Refusal):
        prefix_of(rest("http://[::1"))


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
configs = st.dictionaries(
    st.sampled_from(["bucket", "container", "prefix", "subPath", "endpoint", "url", "nfs", "hostPath", "x"]),
    scalars | st.dictionaries(st.sampled_from(["server", "path"]), scalars, max_size=2),
    max_size=4,
)


@given(st.dictionaries(st.sampled_from([*PROVIDERS, "storageSecretName"]), configs | scalars, max_size=2))
@example({"rest": {"url": "http://[::1"}})
@example({"rest": {"url": "http://a:\u0663/"}})
def test_any_backend_has_a_location_or_a_refusal(backend: dict[str, Any]) -> None:
    try:
        location = locate(backend, namespace="demo")
    except Refusal:
        return
    assert provider_of(backend) in str(location)
    assert not {"", ".", ".."} & set(location.path)
    assert isinstance(prefix_of(backend), str)
