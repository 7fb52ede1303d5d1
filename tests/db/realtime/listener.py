"""A channel of the official Python client, and all that it was told."""

import asyncio
from dataclasses import dataclass
from typing import Any

from realtime import AsyncRealtimeChannel, RealtimeSubscribeStates

from local.api import Api
from supabase import AsyncClient, create_async_client

PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Listener:
    client: AsyncClient
    channel: AsyncRealtimeChannel
    states: asyncio.Queue[tuple[RealtimeSubscribeStates, str]]
    heard: asyncio.Queue[dict[str, Any]]
    told: asyncio.Queue[str]

    @classmethod
    async def open(
        cls, api: Api, topic: str, token: str | None = None, *, private: bool = True
    ) -> "Listener":
        """Asks for the channel; whether it may have it is its first state."""
        key = api.secret_key if token is None else api.publishable_key
        client = await create_async_client(api.url, key)
        if token is not None:
            await client.realtime.set_auth(token)
        channel = client.channel(
            topic,
            {
                "config": {
                    "private": private,
                    "broadcast": {"ack": True, "self": False, "replication_ready": True},
                    "presence": None,
                }
            },
        )
        listener = cls(client, channel, asyncio.Queue(), asyncio.Queue(), asyncio.Queue())
        channel.on_system(lambda word: listener.told.put_nowait(word.message))
        channel.on_broadcast("*", lambda broadcast: listener.heard.put_nowait(dict(broadcast)))
        await channel.subscribe(
            lambda state, error: listener.states.put_nowait((state, str(error or "")))
        )
        return listener

    async def join_another(self, topic: str) -> RealtimeSubscribeStates:
        """Ask for a second channel on the same socket; returns its first state."""
        states: asyncio.Queue[RealtimeSubscribeStates] = asyncio.Queue()
        another = self.client.channel(
            topic, {"config": {"private": True, "broadcast": None, "presence": None}}
        )
        await another.subscribe(lambda state, _: states.put_nowait(state))
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await states.get()

    async def state(self) -> tuple[RealtimeSubscribeStates, str]:
        """The next state, with the error that came with it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.states.get()

    async def flows(self) -> None:
        """Returns when the server says that messages of the database come from now on."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await self.told.get() == "Replication connection established"

    async def hear(self) -> dict[str, Any]:
        """The next broadcast."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.heard.get()

    async def close(self) -> None:
        await self.client.realtime.close()
