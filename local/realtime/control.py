"""How a test steers the Realtime server of an Api: `api.realtime`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local.realtime.limits import Counts

WAIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class RealtimeControl:
    """Every call returns the server's counts; they and the settings begin anew with its start."""

    socket: Path

    async def set(self, **settings: float | bool | str) -> Counts:
        """Change fields of `local.realtime.limits.Settings`."""
        return await self._post("settings", settings)

    async def break_next(
        self, *, drop: int = 0, double: int = 0, delay: int = 0, delay_seconds: float = 0.0
    ) -> Counts:
        """Drop, double, delay so many of the next messages from the database, in this order."""
        return await self._post(
            "faults",
            {"drop": drop, "double": double, "delay": delay, "delay_seconds": delay_seconds},
        )

    async def release(self) -> Counts:
        """Deliver at once what is delayed."""
        return await self._post("release", {})

    async def close_sockets(self, code: int = 1001) -> Counts:
        """Close every client's socket, as a server that restarts."""
        return await self._post("close", {"code": code})

    async def crash_channels(self) -> Counts:
        """End every channel with `phx_error`."""
        return await self._post("crash", {})

    async def expire_tokens(self) -> Counts:
        """End every channel as if its token had expired: a system error, then `phx_close`."""
        return await self._post("expire", {})

    async def reset(self) -> Counts:
        """Close every socket; settings, faults and counts are as after the start."""
        return await self._post("reset", {})

    async def counts(self) -> Counts:
        return await self._post("wait", {})

    async def wait_until(self, **at_least: int) -> Counts:
        """Return when counts have been reached: `wait_until(joins=2, messages_delivered=1)`."""
        return await self._post("wait", at_least)

    async def _post(self, action: str, body: dict[str, Any]) -> Counts:
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        async with httpx.AsyncClient(transport=transport, timeout=WAIT_SECONDS) as client:
            answer = await client.post(f"http://realtime/control/{action}", json=body)
        return Counts(**answer.raise_for_status().json())
