from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from local.bison import BisonControl, running_bison


def plain_client(base_url: str) -> httpx.AsyncClient:
    """Without TLS, whose certificates would take longer to read than a test takes."""
    return httpx.AsyncClient(base_url=base_url, trust_env=False, verify=False)


class Reader:
    """A client of the fake that holds the key of every workspace."""

    def __init__(self, http: httpx.AsyncClient, keys: dict[str, str]) -> None:
        self.http = http
        self.keys = keys

    async def get(self, workspace: str, path: str) -> httpx.Response:
        return await self.http.get(
            path, headers={"authorization": f"Bearer {self.keys[workspace]}"}
        )

    async def page(self, workspace: str, page: int) -> httpx.Response:
        return await self.get(workspace, f"/sender-emails?page={page}")

    async def page_ids(self, workspace: str, page: int) -> list[int]:
        answer = (await self.page(workspace, page)).raise_for_status()
        return [account["id"] for account in answer.json()["data"]]


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    async with running_bison({"acme": 40, "zen": 3, "void": 0}) as control:
        yield control


@pytest_asyncio.fixture
async def reader(bison: BisonControl) -> AsyncIterator[Reader]:
    keys = {info.name: info.key for info in await bison.workspaces()}
    async with plain_client(bison.api_url) as http:
        yield Reader(http, keys)
