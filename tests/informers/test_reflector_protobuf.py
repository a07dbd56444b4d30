"""What can be wrong with a stream in protobuf, and a server that changes how it writes: R20-R23."""

from __future__ import annotations

import pytest

from informers import ObjectKey
from tests.informers.rig import DEPLOYMENTS, Rig, make_api, noted
from tests.support import wireproto
from tests.support.fakeapi import FakeApi, Spoil
from tests.support.virtualtime import run_virtual

D0 = ObjectKey("ns", "d0")
UID = "93a8d5a5-8f5e-4a45-8bde-35fb7a7ee1a2"
EVENT = wireproto.event(
    "MODIFIED",
    {
        "metadata": {
            "name": "d0",
            "namespace": "ns",
            "uid": UID,
            "resourceVersion": "5",
            "annotations": noted("bad"),
        }
    },
)
# The length of the annotation reaches beyond its object.
BROKEN = EVENT.replace(b"b\x17\n\x10example", b"b\x7f\n\x10example")
NAMELESS = wireproto.event("MODIFIED", {"metadata": {}})


def populated(count: int = 2, **options: object) -> FakeApi:
    api = make_api(**options)
    for number in range(count):
        api.create(DEPLOYMENTS, f"d{number}", uid=UID, annotations=noted(str(number)))
        api.create(DEPLOYMENTS, f"plain{number}")
    return api


def test_the_event_of_these_tests_is_broken() -> None:
    assert BROKEN != EVENT


@pytest.mark.parametrize("wire", [BROKEN, NAMELESS, b"\0\0\0\1{", b"\0\0\0\4\xff\xff\xff\xff"])
def test_r20_an_undecodable_event_stops_nobody_and_is_mended_by_one_relist(wire: bytes) -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            rig.api.send_raw(wire)
            rig.api.create(DEPLOYMENTS, "other", annotations=noted())
            await rig.settle()
            assert rig.told == ["+other"], "others do not wait"
            assert rig.rows["d0"] == "0", "the old row stays"
            assert rig.observer.of("decode_failed")[0][1] == (D0 if wire is BROKEN else None)
            assert rig.informer.status().undecodable == 1
            await rig.settle(2)
            assert rig.observer.reasons("relist") == ["undecodable"]
            assert rig.informer.status().undecodable == 0
            assert rig.told == []

    run_virtual(main())


@pytest.mark.parametrize(("wire", "deleted"), [(BROKEN, True), (NAMELESS, False), (b"\0\0\0\2\xff\xfe", False)])
def test_r20_an_undecodable_initial_event_never_deletes(wire: bytes, deleted: bool) -> None:
    async def main() -> None:
        api = populated()
        rig = Rig(api)
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            api.cut_streams()
            api.delete(DEPLOYMENTS, D0)
            api.delete(DEPLOYMENTS, ObjectKey("ns", "d1"))
            api.compact()
            api.fail(Spoil(prepend=wire), verb="watchlist")
            await rig.settle(30)
            assert rig.told == (["-d1?"] if deleted else [])
            assert "d0" in rig.rows
            assert len(rig.observer.of("decode_failed")) == 1
            await rig.settle(0 if deleted else 700)
            assert ("d1" in rig.rows) is False, "what was kept out of caution is looked at again"

    run_virtual(main())


def test_r20_an_object_that_stays_undecodable_costs_one_relist_not_one_per_event() -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():

            def spoil(data: bytes) -> bytes:
                return data.replace(b"b\x15\n\x10example", b"b\x7f\n\x10example")

            rig.api.fail(Spoil(rewrite=spoil), times=100)
            for stream in rig.api.streams:
                stream.rewrite = spoil
            for replicas in range(100):
                rig.api.update(DEPLOYMENTS, D0, status={"replicas": replicas})
                await rig.settle(5)
            assert rig.rows == {"d0": "0"}
            assert rig.informer.status().undecodable == 1
            assert rig.observer.reasons("relist") == ["undecodable"]

    run_virtual(main())


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 64, 1000])
def test_r23_borders_of_chunks_mean_nothing(chunk: int) -> None:
    async def main() -> None:
        rig = Rig(populated(chunk=chunk))
        async with rig.running():
            assert rig.told == ["+d0!", "+d1!"]
            rig.api.create(DEPLOYMENTS, "after", annotations=noted("späť 備份"))
            await rig.settle()
            assert rig.rows["after"] == "späť 備份"
            assert rig.observer.of("decode_failed") == []

    run_virtual(main())


def test_r22_a_frame_without_end_is_a_failure_that_is_recovered_from() -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():
            rig.api.send_raw(((16 << 20) + 1).to_bytes(4, "big"))
            await rig.settle(5)
            rig.api.create(DEPLOYMENTS, "later", annotations=noted())
            await rig.settle()
            assert "later" in rig.rows
            assert rig.observer.of("attempt_failed")[0]["error"].reason == "FrameTooLong"

    run_virtual(main())


def test_each_stream_is_read_as_what_it_says_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server behind the same address may be older, or a proxy may not let protobuf through for a while."""

    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():
            for number, protobuf in enumerate((False, True, False)):
                monkeypatch.setattr(FakeApi, "protobuf", protobuf)
                rig.api.cut_streams()
                rig.api.update(DEPLOYMENTS, D0, annotations=noted(f"n{number}"))
                await rig.settle(30)
                assert rig.rows == {"d0": f"n{number}"}
            assert rig.observer.of("decode_failed") == []
            assert rig.api.verbs() == ["watchlist", "watch", "watch", "watch"], "and resumed from where the other was"

    run_virtual(main())
