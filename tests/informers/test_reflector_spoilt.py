"""What can be wrong with the bytes of a stream, in either encoding, and a server that changes encodings: R20-R23."""

from __future__ import annotations

import pytest

from informers import ObjectKey
from tests.informers.rig import DEPLOYMENTS, WHOLE_NOTES, WIDGETS, Rig, make_api, noted
from tests.support import wirejson, wireproto
from tests.support.fakeapi import FakeApi, Spoil
from tests.support.virtualtime import run_virtual

D0 = ObjectKey("ns", "d0")
UID = "93a8d5a5-8f5e-4a45-8bde-35fb7a7ee1a2"

pytestmark = pytest.mark.usefixtures("encoding")


def spoilt(data: bytes) -> bytes:
    """With a note of one letter that has lost its first quote, or whose annotation reaches beyond its object."""
    in_json = data.replace(b'"example.com/note":"', b'"example.com/note":')
    return in_json.replace(b"b\x15\n\x10example", b"b\x7f\n\x10example")


D0_CHANGED = {"name": "d0", "namespace": "ns", "uid": UID, "resourceVersion": "1003", "annotations": noted("b")}
CHANGES = {
    "json": wirejson.event("MODIFIED", wirejson.partial({"metadata": D0_CHANGED})),
    "protobuf": wireproto.event("MODIFIED", {"metadata": D0_CHANGED}),
}
# That can be told whom they are about, and that cannot.
IDENTIFIED = [(encoding, spoilt(wire)) for encoding, wire in CHANGES.items()]
UNIDENTIFIED = [
    ("json", b"{\n"),
    ("json", b'{"type":"ADDED"}\n'),
    ("json", b'{"type":"MODIFIED","object":{"metadata":{}}}\n'),
    ("json", b'{"type":"ADDED","object":{"metadata":{"na\n'),
    ("json", b"\xff\xfe\x00\n"),
    ("protobuf", wireproto.event("MODIFIED", {"metadata": {}})),
    ("protobuf", b"\0\0\0\1{"),
    ("protobuf", b"\0\0\0\2\xff\xfe"),
    ("protobuf", b"\0\0\0\4\xff\xff\xff\xff"),
]
undecodable = pytest.mark.parametrize(
    ("encoding", "wire", "identified"),
    [(*each, True) for each in IDENTIFIED] + [(*each, False) for each in UNIDENTIFIED],
    indirect=["encoding"],
)


def populated(count: int = 2, **options: object) -> FakeApi:
    api = make_api(**options)
    for number in range(count):
        api.create(DEPLOYMENTS, f"d{number}", uid=UID, annotations=noted(str(number)))
        api.create(DEPLOYMENTS, f"plain{number}")
    return api


@undecodable
def test_r20_an_undecodable_event_stops_nobody_and_is_mended_by_one_relist(wire: bytes, identified: bool) -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            rig.api.send_raw(wire)
            rig.api.create(DEPLOYMENTS, "other", annotations=noted())
            await rig.settle()
            assert rig.told == ["+other"], "others do not wait"
            assert rig.rows["d0"] == "0", "the old row stays"
            assert rig.observer.of("decode_failed")[0][1] == (D0 if identified else None)
            assert rig.informer.status().undecodable == 1
            await rig.settle(2)
            assert rig.api.verbs() == ["watchlist", "watchlist"]
            assert rig.observer.reasons("relist") == ["undecodable"]
            assert rig.informer.status().undecodable == 0
            assert rig.told == []

    run_virtual(main())


@undecodable
def test_r20_an_undecodable_initial_event_never_deletes(wire: bytes, identified: bool) -> None:
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
            # d0 is what the bad event may be about; d1 can be proven gone only when the event could be identified.
            assert rig.told == (["-d1?"] if identified else [])
            assert "d0" in rig.rows
            assert len(rig.observer.of("decode_failed")) == 1
            await rig.settle(0 if identified else 700)
            assert ("d1" in rig.rows) is False, "what was kept out of caution is looked at again"

    run_virtual(main())


def test_r20_an_object_that_stays_undecodable_costs_one_relist_not_one_per_event() -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():
            # Whatever is said about d0 cannot be read, in the initial events either.
            rig.api.fail(Spoil(rewrite=spoilt), times=100)
            for stream in rig.api.streams:
                stream.rewrite = spoilt
            for replicas in range(100):
                rig.api.update(DEPLOYMENTS, D0, status={"replicas": replicas})
                await rig.settle(5)
            assert rig.rows == {"d0": "0"}
            assert rig.informer.status().undecodable == 1
            assert rig.observer.reasons("relist") == ["undecodable"]

    run_virtual(main())


def test_r20_nesting_beyond_what_can_be_decoded() -> None:
    async def main() -> None:
        api = make_api()
        api.serve(WIDGETS, custom=True)
        api.create(WIDGETS, "good", annotations=noted())
        rig = Rig(api, resource=WIDGETS, projection=WHOLE_NOTES)
        async with rig.running():
            head = b'{"object":{"metadata":{"name":"deep","namespace":"ns","resourceVersion":"1002","uid":"u"},"spec":'
            rig.api.send_raw(head + b"[" * 100_000 + b"]" * 100_000 + b'},"type":"ADDED"}\n')
            await rig.settle()
            assert rig.observer.of("decode_failed")[0][1] == ObjectKey("ns", "deep")
            assert rig.rows == {"good": "x"}

    run_virtual(main())


def test_r21_an_event_that_is_cut_is_discarded_and_sent_again() -> None:
    async def main(after: int, how: str) -> None:
        rig = Rig(populated(1), seed=after)
        async with rig.running():
            rig.api.fail(Spoil(after=after, how=how), verb="watch")
            rig.api.cut_streams()
            for number in range(3):
                rig.api.create(DEPLOYMENTS, f"e{number}", annotations=noted())
            await rig.settle(150)
            assert rig.told == ["+d0!", "+e0", "+e1", "+e2"]
            assert rig.observer.of("decode_failed") == []

    for after in range(1, 640, 53):
        for how in ("cut", "close", "silence"):
            run_virtual(main(after, how))


@pytest.mark.parametrize(
    ("encoding", "wire", "reason"),
    [
        ("json", b"x" * ((16 << 20) + 1), "LineTooLong"),
        ("protobuf", ((16 << 20) + 1).to_bytes(4, "big"), "FrameTooLong"),
    ],
    indirect=["encoding"],
    ids=["json", "protobuf"],
)
def test_r22_an_event_without_end_is_a_failure_that_is_recovered_from(wire: bytes, reason: str) -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        async with rig.running():
            rig.api.send_raw(wire)
            await rig.settle(5)
            rig.api.create(DEPLOYMENTS, "later", annotations=noted())
            await rig.settle()
            assert "later" in rig.rows
            assert rig.observer.of("attempt_failed")[0]["error"].reason == reason

    run_virtual(main())


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64, 1000])
def test_r23_borders_of_chunks_mean_nothing_and_blank_lines_neither(chunk: int, encoding: str) -> None:
    async def main() -> None:
        rig = Rig(populated(chunk=chunk))
        if encoding == "json":
            rig.api.fail(Spoil(prepend=b"\n\r\n  \n"), verb="watchlist")
        async with rig.running():
            assert rig.told == ["+d0!", "+d1!"]
            if encoding == "json":
                rig.api.send_raw(b"\n\n")
            rig.api.create(DEPLOYMENTS, "after", annotations=noted("späť 備份"))
            await rig.settle()
            assert rig.rows["after"] == "späť 備份"
            assert rig.observer.of("decode_failed") == []

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
