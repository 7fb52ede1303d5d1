"""A server on loopback that speaks Realtime's protocol 1.0.0; a test plays its faults."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve

Payload = dict[str, Any]
PATIENCE_S = 60.0
WELCOME: Payload = {"status": "ok", "response": {"postgres_changes": []}}


@dataclass(frozen=True, slots=True)
class Join:
    """A client that joined, and how the server speaks to it."""

    connection: ServerConnection
    topic: str
    payload: Payload
    open_before: int

    @property
    def key(self) -> str:
        assert self.connection.request is not None
        return parse_qs(urlsplit(self.connection.request.path).query)["apikey"][0]

    async def say(self, event: str, payload: Payload) -> None:
        message = {"event": event, "topic": self.topic, "ref": None, "payload": payload}
        await self.connection.send(json.dumps(message))

    async def hint(self, event: str = "work") -> None:
        await self.say("broadcast", {"type": "broadcast", "event": event, "payload": {}})

    async def system(self, status: str, message: str) -> None:
        about = {"extension": "system", "channel": self.topic.removeprefix("realtime:")}
        await self.say("system", {"status": status, "message": message, **about})


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


@dataclass
class RealtimeServer:
    """Answers joins with `answer`, or not at all if that is none. Keeps its port when it stops."""

    listener: socket.socket = field(default_factory=_listener)
    answer: Payload | None = field(default_factory=lambda: WELCOME)
    _joins: asyncio.Queue[Join] = field(default_factory=asyncio.Queue)
    _server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    async def start(self) -> None:
        self._server = await serve(self._serve, sock=self.listener.dup(), ping_interval=None)

    async def joined(self) -> Join:
        """The next join."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._joins.get()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[asyncio.Queue[None]]:
        """The port hangs up on everybody; an entry for each who tried."""
        await self.stop()
        tried: asyncio.Queue[None] = asyncio.Queue()

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()
            tried.put_nowait(None)

        listening = await asyncio.start_server(hang_up, sock=self.listener.dup())
        yield tried
        listening.close()
        await listening.wait_closed()
        await self.start()

    async def _serve(self, connection: ServerConnection) -> None:
        async for text in connection:
            message = json.loads(text)
            if message["event"] == "phx_join":
                await self._join(connection, message)
            elif message["event"] == "heartbeat":
                await _reply(connection, message, {"status": "ok", "response": {}})

    async def _join(self, connection: ServerConnection, message: Payload) -> None:
        assert self._server is not None
        if self.answer is not None:
            await _reply(connection, message, self.answer)
        others = len(self._server.connections) - 1
        self._joins.put_nowait(Join(connection, message["topic"], message["payload"], others))


async def _reply(connection: ServerConnection, message: Payload, payload: Payload) -> None:
    about = {"topic": message["topic"], "ref": message["ref"]}
    await connection.send(json.dumps({"event": "phx_reply", "payload": payload, **about}))


def tasks_of_clients() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if "conn_handler" not in str(task.get_coro())}
