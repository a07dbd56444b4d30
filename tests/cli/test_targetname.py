"""Naming a target on the command line."""

from __future__ import annotations

import pytest

from autobackup import targetname
from autobackup.exits import UsageError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("deployment/shop", "Deployment"),
        ("Deployments/shop", "Deployment"),
        ("deploy/shop", "Deployment"),
        ("deployment.apps/shop", "Deployment"),  # what `kubectl get -o name` prints
        ("deployments.v1.apps/shop", "Deployment"),
        ("pvc/shop", "PersistentVolumeClaim"),
        ("appbinding.appcatalog.appscode.com/shop", "AppBinding"),
    ],
)
def test_every_way_in_which_kubectl_names_one(text: str, kind: str) -> None:
    assert targetname.read(text) == (kind, "shop")


def test_a_repository_only_where_it_may_be_named() -> None:
    assert targetname.read("repository.stash.appscode.com/x", repositories=True) == ("Repository", "x")
    with pytest.raises(UsageError, match="kinds are deployment, "):
        targetname.read("repository/x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deploymnt/shop", "did you mean deployment/shop?"),
        ("shop", "kinds are deployment, statefulset"),
        ("service/shop", "kinds are deployment, statefulset"),
        ("deployment/", "for example deployment/shop"),
        ("deployment/a/b", "for example deployment/shop"),
    ],
)
def test_what_is_none_is_told_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        targetname.read(text)
    assert str(caught.value).startswith(f"{text!r} is no target; write kind/name: ")
    assert said in str(caught.value)
