"""Frames as the official clients write and read them."""

import json

import pytest

from local.realtime.wire import VERSIONS, Broadcast, Frame, FrameError, Message

JOIN = Message("realtime:room", "phx_join", {"config": {"private": True}}, "2", "1")
NEWS = Broadcast("grüße", {"n": 1}, "an-id")


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        (
            "1.0.0",
            """{"topic": "realtime:room", "event": "phx_join", "ref": "2", "join_ref": "1",
            "payload": {"config": {"private": true}}}""",
        ),
        ("2.0.0", '["1", "2", "realtime:room", "phx_join", {"config": {"private": true}}]'),
    ],
)
def test_a_join_is_read(version: str, frame: str) -> None:
    assert VERSIONS[version].decode(frame) == JOIN


def test_replies_are_objects_in_the_first_version_and_arrays_in_the_second() -> None:
    reply = Message("phoenix", "phx_reply", {"status": "ok", "response": {}}, "7", "3")
    assert json.loads(VERSIONS["1.0.0"].encode(reply)) == {
        "topic": "phoenix",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": "7",
    }
    assert json.loads(VERSIONS["2.0.0"].encode(reply)) == [
        "3", "7", "phoenix", "phx_reply", {"status": "ok", "response": {}},
    ]  # fmt: skip


def test_a_broadcast_is_an_object_in_the_first_version() -> None:
    frame = VERSIONS["1.0.0"].encode_broadcast("realtime:room", NEWS)
    assert json.loads(frame) == {
        "topic": "realtime:room",
        "event": "broadcast",
        "ref": None,
        "payload": {
            "type": "broadcast",
            "event": "grüße",
            "payload": {"n": 1},
            "meta": {"id": "an-id"},
        },
    }


def test_a_broadcast_is_binary_in_the_second_version() -> None:
    frame = VERSIONS["2.0.0"].encode_broadcast("realtime:room", NEWS)
    meta = b'{"id": "an-id"}'
    event = "grüße".encode()
    head = bytes([4, len(b"realtime:room"), len(event), len(meta), 1])
    assert frame == head + b"realtime:room" + event + meta + b'{"n": 1}'


def test_a_clients_broadcast_is_read_in_the_second_version() -> None:
    texts = [b"1", b"5", b"realtime:room", b"hello", b""]
    frame = bytes([3, *map(len, texts), 1]) + b"".join(texts) + b'{"n": 1}'
    assert VERSIONS["2.0.0"].decode(frame) == Message(
        "realtime:room",
        "broadcast",
        {"type": "broadcast", "event": "hello", "payload": {"n": 1}},
        "5",
        "1",
    )


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        ("1.0.0", "no JSON"),
        ("1.0.0", "[]"),
        ("1.0.0", '{"topic": "realtime:room"}'),
        ("2.0.0", "{}"),
        ("2.0.0", "[1, 2]"),
        ("2.0.0", b"\x03"),
        ("2.0.0", bytes([3, 0, 0, 9, 0, 0, 1]) + b"short"),
        ("2.0.0", bytes([3, 0, 0, 0, 0, 0, 0]) + b"binary payload"),
    ],
)
def test_what_is_no_frame_is_refused(version: str, frame: Frame) -> None:
    with pytest.raises(FrameError):
        VERSIONS[version].decode(frame)
