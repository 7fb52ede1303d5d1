"""One client's socket: reads its messages in order, joins its channels, writes what they push."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from local.realtime.channel import NO_READING, Channel
from local.realtime.database import DatabaseError
from local.realtime.hub import GOING_AWAY, Hub
from local.realtime.tokens import Token, TokenError, check
from local.realtime.wire import Broadcast, Frame, FrameError, Message, Serializer

TOPIC_PREFIX = "realtime:"
DISCONNECTED = 1000
UNREADABLE = 1003


class RefusedError(Exception):
    """The join is refused; the text is the reason that the client gets."""


class TooManyJoinsError(RefusedError):
    """Which ends the socket, too."""


@dataclass(slots=True, eq=False)
class Connection:
    """`token` is the key's; `is_keyed` until a channel is given the token of a user."""

    hub: Hub
    socket: WebSocket
    serializer: Serializer
    token: Token
    is_keyed: bool = True
    channels: dict[str, Channel] = field(default_factory=dict)
    _outgoing: asyncio.Queue[Frame | int] = field(default_factory=asyncio.Queue)

    async def run(self) -> None:
        """Serve it until it closes."""
        await self.socket.accept()
        self.hub.connected(self)
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(self._write()), tasks.create_task(self._grow_old())]
                await self._read()
                for task in others:
                    task.cancel()
        finally:
            await self.hub.disconnected(self)

    def push(self, message: Message) -> None:
        self._outgoing.put_nowait(self.serializer.encode(message))

    def push_broadcast(self, topic: str, broadcast: Broadcast) -> None:
        self._outgoing.put_nowait(self.serializer.encode_broadcast(topic, broadcast))

    def reply(self, to: Message, status: str, response: dict[str, Any]) -> None:
        payload = {"status": status, "response": response}
        self.push(Message(to.topic, "phx_reply", payload, to.ref, to.join_ref))

    def close(self, code: int) -> None:
        """Close the socket, after what is already to be sent."""
        self._outgoing.put_nowait(code)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                frame = await self._outgoing.get()
                if isinstance(frame, int):
                    await self.socket.close(frame)
                elif isinstance(frame, str):
                    await self.socket.send_text(frame)
                else:
                    await self.socket.send_bytes(frame)

    async def _grow_old(self) -> None:
        await asyncio.sleep(self.hub.settings.keyed_socket_seconds)
        if self.is_keyed:
            self.close(GOING_AWAY)

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.hub.settings.silence_seconds):
                    received = await self.socket.receive()
            except TimeoutError:
                self.close(1000)
                continue
            if received["type"] == "websocket.disconnect":
                return
            frame = received.get("text")
            try:
                await self._take(
                    self.serializer.decode(received["bytes"] if frame is None else frame)
                )
            except FrameError:
                self.close(UNREADABLE)

    async def _take(self, message: Message) -> None:
        if message.topic == "phoenix" and message.event == "heartbeat":
            self.reply(message, "ok", {})
        elif message.event == "phx_join":
            await self._join(message)
        elif channel := self.channels.get(message.topic):
            await channel.take(message)
        elif message.event == "phx_leave":
            self.reply(message, "ok", {})
        elif message.ref is not None:
            self.reply(message, "error", {"reason": "unmatched topic"})

    async def _join(self, message: Message) -> None:
        settings = self.hub.settings
        if not settings.joins_answered:
            return
        if former := self.channels.get(message.topic):
            former.leave()
        try:
            channel = await self._admitted(message)
        except (RefusedError, TokenError, DatabaseError) as error:
            self.hub.count("joins_refused")
            await asyncio.sleep(settings.refusal_pause_seconds)
            reason = str(error) if isinstance(error, RefusedError) else f"{error.code}: {error}"
            self.reply(message, "error", {"reason": reason})
            if isinstance(error, TooManyJoinsError):
                self.close(DISCONNECTED)
            return
        config = _part(message.payload, "config")
        wanted = config.get("postgres_changes") or []
        self.reply(
            message,
            "ok",
            {"postgres_changes": [{**change, "id": n} for n, change in enumerate(wanted, 1)]},
        )
        channel.enter()
        if wanted:
            channel.push_system("postgres_changes", "error", "Postgres Changes are not served here")
        if _part(config, "presence").get("enabled"):
            self.push(Message(channel.topic, "presence_state", {}, None, channel.join_ref))

    async def _admitted(self, message: Message) -> Channel:
        """The channel that the client may have. Raises RefusedError, TokenError, DatabaseError."""
        hub, settings = self.hub, self.hub.settings
        name = message.topic.removeprefix(TOPIC_PREFIX)
        config = _part(message.payload, "config")
        private = bool(config.get("private"))
        if name == message.topic:
            raise RefusedError("unmatched topic")
        if not name:
            raise RefusedError("TopicNameRequired: You must provide a topic name")
        if settings.join_refusal:
            raise RefusedError(settings.join_refusal)
        if not (private or settings.public_channels):
            raise RefusedError("PrivateOnly: This project only allows private channels")
        if hub.is_over_join_limit():
            raise TooManyJoinsError("ClientJoinRateLimitReached: Too many joins per second")
        if len(self.channels) >= settings.channels_per_socket:
            raise RefusedError("ChannelRateLimitReached: Too many channels")
        token = self._token_of(message.payload)
        await hub.prepare()
        if private:
            await self._refuse_stranger(token, name)
        options = _part(config, "broadcast")
        return Channel(
            self, message.topic, name, private, message.join_ref or message.ref, token,
            acknowledges=bool(options.get("ack")), hears_itself=bool(options.get("self")),
            awaits_replication=bool(options.get("replication_ready")),
        )  # fmt: skip

    async def _refuse_stranger(self, token: Token, name: str) -> None:
        reason = "Unauthorized: " + NO_READING.format(name)
        try:
            may_read = await self.hub.policies.may_read(token, name)
        except DatabaseError as error:
            if error.code == "RlsPolicyError":
                raise RefusedError(reason) from error
            raise
        if not may_read:
            raise RefusedError(reason)

    def _token_of(self, payload: dict[str, Any]) -> Token:
        text = payload.get("access_token")
        if not isinstance(text, str) or text.startswith("sb_"):
            return check(self.token.text, self.hub.jwt_secret)
        token = check(text, self.hub.jwt_secret)
        self.is_keyed = False
        return token


def _part(values: dict[str, Any], name: str) -> dict[str, Any]:
    part = values.get(name)
    return part if isinstance(part, dict) else {}
