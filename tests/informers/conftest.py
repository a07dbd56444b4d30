"""What the scripted server answers to who asks for protobuf first."""

from __future__ import annotations

import pytest

from tests.support.fakeapi import FakeApi


@pytest.fixture(params=["json", "protobuf"])
def encoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both in turn; a test that writes bytes by hand says which it means."""
    name: str = request.param
    monkeypatch.setattr(FakeApi, "protobuf", name == "protobuf")
    return name
