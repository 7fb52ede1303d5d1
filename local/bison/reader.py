"""A plain reader of the API that holds every workspace's key: for tests and bare loops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import httpx

from local.bison.control import BisonControl


def plain_client(base_url: str) -> httpx.AsyncClient:
    """Without TLS: there is none on loopback, and reading certificates takes longer than a test."""
    return httpx.AsyncClient(base_url=base_url, trust_env=False, verify=False, timeout=30)


class BisonReader:
    """Paths are relative to `/api`. Answers are as they come, errors included."""

    def __init__(self, http: httpx.AsyncClient, keys: dict[str, str]) -> None:
        self.http = http
        self.keys = keys

    @classmethod
    @asynccontextmanager
    async def connect(cls, bison: BisonControl) -> AsyncIterator[Self]:
        keys = {info.name: info.key for info in await bison.workspaces()}
        async with plain_client(bison.api_url) as http:
            yield cls(http, keys)

    async def get(self, workspace: str, path: str) -> httpx.Response:
        return await self.http.get(
            path, headers={"authorization": f"Bearer {self.keys[workspace]}"}
        )

    async def page(self, workspace: str, page: int) -> httpx.Response:
        return await self.get(workspace, f"/sender-emails?page={page}")

    async def page_ids(self, workspace: str, page: int) -> list[int]:
        answer = (await self.page(workspace, page)).raise_for_status()
        return [account["id"] for account in answer.json()["data"]]
