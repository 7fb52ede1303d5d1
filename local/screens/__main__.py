"""`python -m local.screens`: writes a picture of each state into screenshots/."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer
from playwright.async_api import Browser, Page

from local.dashboard import dashboard
from local.demo.world import Target, workers
from local.folders import CHECKOUT
from local.screens import scenes
from local.screens.browser import chromium, sign_in
from local.stack import Stack

FOLDER = CHECKOUT / "screenshots"
WIDE = (1440, 900)
PHONE = (390, 844)
MANY = 5_000
PATIENCE_MS = 60_000


class Camera:
    """A signed-in page of one scene, and where its pictures go."""

    def __init__(self, browser: Browser, url: str, folder: Path) -> None:
        self._browser = browser
        self._url = url
        self._folder = folder

    async def shoot(
        self,
        name: str,
        path: str = "/",
        *,
        size: tuple[int, int] = WIDE,
        theme: Literal["light", "dark"] = "light",
        presses: Sequence[str] = (),
        is_signed_in: bool = True,
        settle_ms: int = 700,
    ) -> None:
        """Open an address, press buttons by their names, and take the picture."""
        width, height = size
        context = await self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=1
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        if is_signed_in:
            await sign_in(page, self._url + path)
            await _shown(page)
        else:
            await page.goto(self._url + path)
            await page.get_by_label("Email").wait_for()
        for press in presses:
            await page.get_by_role("button", name=press).first.click()
        await page.mouse.move(width / 2, 4)
        await page.wait_for_timeout(settle_ms)
        await page.screenshot(path=self._folder / f"{name}.png")
        await context.close()
        print(f"{name}.png", flush=True)


async def _shown(page: Page) -> None:
    await page.locator("main[data-screen]").wait_for()
    await page.locator(".loading").wait_for(state="detached")


def main(
    only: Annotated[list[str] | None, typer.Option(help="Scenes; may be repeated.")] = None,
) -> None:
    """Bring a live stack into each state and take its picture."""
    FOLDER.mkdir(exist_ok=True)
    with Stack.start_free("screens") as stack:
        for name, take in SCENES.items():
            if not only or name in only:
                asyncio.run(_take(stack, name, take))


async def _take(stack: Stack, name: str, take: object) -> None:
    assert callable(take)
    target = Target.fresh(stack, f"screens_{name}")
    async with AsyncExitStack() as resources:
        made = await resources.enter_async_context(scenes.scene(target))
        url = resources.enter_context(dashboard(target.api, stack.folder.logs))
        browser = await resources.enter_async_context(chromium())
        await take(made, Camera(browser, url, FOLDER))
    target.api.stop()


async def _empty(_: scenes.Scene, camera: Camera) -> None:
    await camera.shoot("sign-in", is_signed_in=False)
    await camera.shoot("empty")


async def _fleet(made: scenes.Scene, camera: Camera) -> None:
    with workers(made.target, 2, concurrency=16, idle_seconds=1):
        await scenes.fill(made)
        await camera.shoot("fresh")
        await camera.shoot("fresh-dark", theme="dark")
        await made.bison.set_latency(2_500)
        await made.verbs.call("start_sync_job", p_job_name="sync")
        await camera.shoot("syncing", settle_ms=4_000)
        await camera.shoot("job-running", "/jobs", settle_ms=10_000)
        await made.bison.set_latency(scenes.LATENCY_MS)
        await asyncio.sleep(1)
        await scenes.spoil(made)
        await camera.shoot("trouble")
        await camera.shoot("trouble-dark", theme="dark")
        await camera.shoot("phone", size=PHONE)
        await camera.shoot("workspace", "/workspaces/Northwind%20Outbound")
        await camera.shoot("workspace-held", f"/workspaces/{scenes.HELD.replace(' ', '%20')}")
        await camera.shoot(
            "approve", f"/workspaces/{scenes.HELD.replace(' ', '%20')}", presses=["Review 16…"]
        )
        await camera.shoot("alerts", "/alerts")
        await camera.shoot("jobs", "/jobs")
        await camera.shoot("job-partial", f"/jobs/{scenes.last_partial_job(made)}")
        await camera.shoot("job-unknown", "/jobs/00000000-0000-4000-8000-000000000000")
        await camera.shoot("engine", "/engine")
        await camera.shoot("sources", "/sources")
        await camera.shoot("phone-workspace", "/workspaces/Cedar%20Health", size=PHONE)


async def _many(made: scenes.Scene, camera: Camera) -> None:
    scenes.fill_many(made.run, MANY)
    await camera.shoot("many")


SCENES = {"empty": _empty, "fleet": _fleet, "many": _many}

if __name__ == "__main__":
    typer.run(main)
