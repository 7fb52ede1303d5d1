"""The frames of both protocol versions: 1.0.0 sends objects, 2.0.0 arrays and binary broadcasts."""

import json
import struct
from dataclasses import dataclass
from typing import Any, Protocol

PUSHED_BROADCAST = 3
BROADCAST = 4
JSON_ENCODING = 1
Frame = str | bytes


class FrameError(Exception):
    """The client sent what is no frame of its protocol version."""


@dataclass(frozen=True, slots=True)
class Message:
    """`ref` names the request that a reply answers, `join_ref` the join of its channel."""

    topic: str
    event: str
    payload: dict[str, Any]
    ref: str | None = None
    join_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What the members of a channel get; `id` is the row's if it comes from the database."""

    event: str
    payload: Any
    id: str | None = None


class Serializer(Protocol):
    def decode(self, frame: Frame) -> Message: ...
    def encode(self, message: Message) -> Frame: ...
    def encode_broadcast(self, topic: str, broadcast: Broadcast) -> Frame: ...


class Version1:
    """`vsn=1.0.0`, spoken by the Python client."""

    def decode(self, frame: Frame) -> Message:
        try:
            values = json.loads(frame)
            topic, event = str(values["topic"]), str(values["event"])
        except (ValueError, KeyError, TypeError) as error:
            raise FrameError("not a frame of version 1.0.0") from error
        return Message(
            topic, event, _object(values.get("payload")), values.get("ref"), values.get("join_ref")
        )

    def encode(self, message: Message) -> Frame:
        return json.dumps(
            {
                "topic": message.topic,
                "event": message.event,
                "payload": message.payload,
                "ref": message.ref,
            }
        )

    def encode_broadcast(self, topic: str, broadcast: Broadcast) -> Frame:
        payload = {"type": "broadcast", "event": broadcast.event, "payload": broadcast.payload}
        if broadcast.id is not None:
            payload["meta"] = {"id": broadcast.id}
        return self.encode(Message(topic, "broadcast", payload))


class Version2:
    """`vsn=2.0.0`, spoken by supabase-js."""

    def decode(self, frame: Frame) -> Message:
        if isinstance(frame, bytes):
            return _decode_pushed_broadcast(frame)
        try:
            join_ref, ref, topic, event, payload = json.loads(frame)
        except (ValueError, TypeError) as error:
            raise FrameError("not a frame of version 2.0.0") from error
        return Message(str(topic), str(event), _object(payload), ref, join_ref)

    def encode(self, message: Message) -> Frame:
        return json.dumps(
            [message.join_ref, message.ref, message.topic, message.event, message.payload]
        )

    def encode_broadcast(self, topic: str, broadcast: Broadcast) -> Frame:
        meta = "" if broadcast.id is None else json.dumps({"id": broadcast.id})
        parts = [topic.encode(), broadcast.event.encode(), meta.encode()]
        sizes = [len(part) for part in parts]
        head = struct.pack("5B", BROADCAST, *sizes, JSON_ENCODING)
        return head + b"".join(parts) + json.dumps(broadcast.payload).encode()


VERSIONS: dict[str, Serializer] = {"1.0.0": Version1(), "2.0.0": Version2()}


def _decode_pushed_broadcast(frame: bytes) -> Message:
    """A client's own broadcast: kind, five sizes, encoding, five texts, the payload."""
    try:
        kind, *sizes, encoding = struct.unpack_from("7B", frame)
        if kind != PUSHED_BROADCAST or encoding != JSON_ENCODING:
            raise FrameError("only broadcasts in JSON are taken in binary frames")
        texts = []
        start = 7
        for size in sizes:
            texts.append(frame[start : start + size].decode())
            start += size
        payload = json.loads(frame[start:])
    except (struct.error, ValueError) as error:
        raise FrameError("not a binary frame of version 2.0.0") from error
    join_ref, ref, topic, event, _metadata = texts
    body = {"type": "broadcast", "event": event, "payload": payload}
    return Message(topic, "broadcast", body, ref or None, join_ref or None)


def _object(payload: object) -> dict[str, Any]:
    return payload if isinstance(payload, dict) else {}
