"""What is read off a pod template, written down, and derived from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers.annotations import Mount
from reconcilers.errors import Refusal
from reconcilers.podtemplate import PodTemplate, Volume, choose, from_workload, recall, record
from reconcilers.reasons import Reason
from tests.reconcilers.objects import pods


def workload(spec: dict[str, Any], generation: int = 3) -> dict[str, Any]:
    return {"metadata": {"name": "web", "generation": generation}, "spec": spec}


def template(**volumes: Any) -> PodTemplate:
    """Volumes by name: a path, several, or a ready Volume; `_name` is one that no claim backs."""
    found = []
    for name, where in volumes.items():
        if isinstance(where, Volume):
            found.append(where)
            continue
        paths = [where] if isinstance(where, str) else where
        plain = name.strip("_")
        found.append(Volume(plain, not name.startswith("_"), tuple(Mount(plain, path) for path in paths)))
    return PodTemplate(1, tuple(found))


def test_volumes_of_a_workload() -> None:
    spec = pods(
        mounts={"data": "/srv/data/", "cache": "/cache", "vct": ["//vct", "/again"]},
        persistent=["data"],
        claims=["vct", "unmounted"],
    )
    spec["template"]["spec"]["containers"].append(
        {
            "name": "sidecar",
            "volumeMounts": [
                {"name": "data", "mountPath": "/srv/data"},
                {"name": "data", "mountPath": "/sub", "subPath": "a/b"},
                {"name": "cache", "mountPath": "/x", "subPathExpr": "$(POD_NAME)"},
                {"name": "gone", "mountPath": "/gone"},
                {"name": "data", "mountPath": "relative"},
            ],
        }
    )
    assert from_workload(workload(spec)) == PodTemplate(
        3,
        (
            Volume("cache", False, (Mount("cache", "/cache"),), expanded=True),
            Volume("data", True, (Mount("data", "/srv/data"), Mount("data", "/sub", "a/b")), claim="data"),
            Volume("unmounted", True, claim="unmounted-web-*"),
            Volume("vct", True, (Mount("vct", "/vct"), Mount("vct", "/again")), claim="vct-web-*"),
        ),
    )


# what is derived


def test_the_default_is_every_persistent_volume_where_it_is_mounted() -> None:
    found = template(data="/srv/data", logs=["/var/log", "/logs"], _cache="/cache", spare=[])
    assert choose(found, paths=None, mounts=None) == (
        ("/srv/data", "/var/log", "/logs"),
        (Mount("data", "/srv/data"), Mount("logs", "/var/log"), Mount("logs", "/logs")),
    )


def test_a_mount_within_a_mount_is_backed_up_with_it() -> None:
    found = template(data="/srv", media="/srv/media", server="/srv2")
    paths, mounts = choose(found, paths=None, mounts=None)
    assert paths == ("/srv", "/srv2")
    assert len(mounts) == 3


def test_paths_choose_the_innermost_mount() -> None:
    found = template(data="/srv", media="/srv/media", _cache="/cache", root="/")
    assert choose(found, paths=("/srv/media/x", "/srv/other", "/cache", "/etc"), mounts=None)[1] == (
        Mount("media", "/srv/media"),
        Mount("data", "/srv"),
        Mount("cache", "/cache"),
        Mount("root", "/"),
    )


def test_a_path_brings_the_claims_that_are_mounted_below_it() -> None:
    found = template(data="/srv", media=["/srv/media", "/srv2"], raw="/srv/media/raw", _cache="/srv/cache")
    media, raw = Mount("media", "/srv/media"), Mount("raw", "/srv/media/raw")
    assert choose(found, paths=("/srv",), mounts=None)[1] == (Mount("data", "/srv"), media, raw)
    assert choose(found, paths=("/srv/media", "/srv/media/raw"), mounts=None)[1] == (media, raw)
    assert choose(found, paths=("/srv/cache",), mounts=None)[1] == (Mount("cache", "/srv/cache"),)


def test_two_claims_below_a_path_at_one_place_are_ambiguous() -> None:
    found = template(data="/srv", media="/srv/media", other="/srv/media")
    with pytest.raises(Refusal) as refused:
        choose(found, paths=("/srv",), mounts=None)
    assert refused.value.reason is Reason.AMBIGUOUS_VOLUMES


def test_mounts_are_taken_as_asked_for() -> None:
    found = template(data="/srv", _cache="/cache")
    asked = (Mount("cache", "/elsewhere", "a"), Mount("data", "/x"))
    assert choose(found, paths=None, mounts=asked) == (("/elsewhere", "/x"), asked)
    assert choose(found, paths=("/x/y",), mounts=asked) == (("/x/y",), asked)


@pytest.mark.parametrize(
    ("found", "paths", "mounts", "reason", "said"),
    [
        (template(), None, None, Reason.NOTHING_TO_BACK_UP, "volume-mounts and target-paths"),
        (template(_cache="/cache"), None, None, Reason.NOTHING_TO_BACK_UP, "PersistentVolumeClaim"),
        (template(data=[]), None, None, Reason.NOTHING_TO_BACK_UP, "mount no volume"),
        (template(a="/x", b="/x"), None, None, Reason.AMBIGUOUS_VOLUMES, "both a and b at /x"),
        (template(a="/x", b="/x"), ("/x/y",), None, Reason.AMBIGUOUS_VOLUMES, "both a and b at /x"),
        (
            template(a=Volume("a", True, (Mount("a", "/x", "one"), Mount("a", "/x", "two")))),
            None,
            None,
            Reason.AMBIGUOUS_VOLUMES,
            "both a:one and a:two at /x",
        ),
        (template(a=Volume("a", True, (), expanded=True)), None, None, Reason.AMBIGUOUS_VOLUMES, "subPathExpr"),
        (template(a="/x"), ("/y",), None, Reason.PATH_NOT_MOUNTED, "mounted are /x"),
        (template(a="/x"), ("/xy",), None, Reason.PATH_NOT_MOUNTED, "'/xy'"),
        (template(a="/x/y"), ("/x",), None, Reason.PATH_NOT_MOUNTED, "'/x'"),
        (template(), ("/x",), None, Reason.PATH_NOT_MOUNTED, "mounted are none"),
        (template(a="/x"), None, (Mount("b", "/x"),), Reason.VOLUME_NOT_FOUND, "it has a"),
        (template(), None, (Mount("b", "/x"),), Reason.VOLUME_NOT_FOUND, "it has none"),
        (template(a="/x"), ("/x",), (Mount("a", "/z"),), Reason.PATH_NOT_MOUNTED, "mounted are /z"),
        (
            template(**{f"v{i}": f"/{i}" for i in range(20)}),
            None,
            (Mount("b", "/x"),),
            Reason.VOLUME_NOT_FOUND,
            "12 more",
        ),
    ],
)
def test_refusals(found: PodTemplate, paths: Any, mounts: Any, reason: Reason, said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        choose(found, paths=paths, mounts=mounts)
    assert refusal.value.reason is reason
    assert said in str(refusal.value)


# what is written down

segments = st.text(alphabet="ab.-_ \u00e9\U0001f4a9\ud800", min_size=1, max_size=6)
paths = st.lists(segments, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
volumes = st.builds(
    Volume,
    segments,
    st.booleans(),
    st.lists(st.builds(Mount, segments, paths, st.just("") | segments), max_size=3).map(tuple),
    st.booleans(),
)
templates = st.builds(PodTemplate, st.integers(0, 2**63), st.lists(volumes, max_size=4).map(tuple))


@given(templates)
def test_a_record_is_recalled(found: PodTemplate) -> None:
    assert recall(record(found)) == found


def test_too_much_is_not_recorded() -> None:
    assert record(template(**{f"v{i}": "/" + "x" * 1000 for i in range(20)})) == ""


KEYS = (
    "metadata", "generation", "spec", "template", "containers", "volumeMounts", "volumes", "volumeClaimTemplates",
    "name", "mountPath", "subPath", "subPathExpr", "persistentVolumeClaim", "mounts", "persistent", "expanded",
)  # fmt: skip
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(trees)
@example({"metadata": {"generation": "x"}})
@example({"metadata": {"generation": float("inf")}})
@example({"metadata": {"generation": True}, "spec": {"template": {"spec": {"containers": [{"volumeMounts": [None]}]}}}})
def test_any_workload_is_read(tree: Any) -> None:
    found = from_workload(tree if isinstance(tree, dict) else {"spec": tree})
    assert recall(record(found)) == found


@given(st.text(max_size=60) | trees.map(repr))
@example('{"generation":1e999,"volumes":[]}')
@example('{"generation":Infinity,"volumes":[]}')
@example('{"generation":1,"volumes":"x"}')
@example('{"generation":1,"volumes":{"name":1}}')
@example('{"generation":1,"volumes":[{"name":"a","mounts":5}]}')
@example("[" * 100_000)
@example('{"generation":' + "9" * 5000 + ',"volumes":[]}')
def test_any_text_is_recalled_or_not(text: str) -> None:
    found = recall(text)
    assert found is None or isinstance(found, PodTemplate)
