"""The built page in a real browser, before a real stack."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from chunkwise.dashboard.server import page_app
from chunkwise.settings import PageSettings
from chunkwise.worker.http_server import Listener, listening_on
from local.api import Api
from local.bison import BisonControl, running_bison
from local.dashboard import add_operator
from local.screens.browser import chromium, sign_in
from local.stack import Database, Stack
from tests.e2e.conftest import new_world
from tests.e2e.world import World

# Bounds what hangs, on a machine that is busy with other tests.
PATIENCE_MS = 60_000


@pytest.fixture
def world(stack: Stack, database: Database, tmp_path: Path) -> Iterator[World]:
    with new_world(stack, database, tmp_path) as new:
        add_operator(new.db.run)
        yield new


@pytest_asyncio.fixture(loop_scope="module")
async def bison() -> AsyncIterator[BisonControl]:
    """An instance of two workspaces with three and two pages."""
    async with running_bison({"acme": 40, "zen": 20}) as control:
        yield control


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a browser of their own. `complaints`: what the browser's console said."""

    page: Page
    url: str
    complaints: list[str]

    async def sign_in(self, path: str = "/") -> None:
        await sign_in(self.page, self.url + path)
        await self.page.locator("main[data-screen]").wait_for()

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)
        await self.page.locator("main[data-screen]").wait_for()

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).first.wait_for()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).first.click()


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(world: World, browser: Browser) -> AsyncIterator[Visitor]:
    async with served(world.api) as url:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        yield await visit(context, url)
        await context.close()


async def visit(context: BrowserContext, url: str) -> Visitor:
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return Visitor(page, url, complaints)


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[str]:
    """The page before an API, as `chunkwise dashboard` serves it."""
    app = page_app(PageSettings(api.url, api.publishable_key))
    with listening_on("127.0.0.1:0") as listening:
        listener = Listener(app, listening)
        serving = asyncio.get_running_loop().create_task(listener.serve())
        await listener.started()
        try:
            yield f"http://{listener.address}"
        finally:
            listener.close()
            await serving
