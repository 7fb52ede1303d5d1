"""Debian's Chromium, driven by Playwright, and the dashboard that it opens."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from local.api import Api
from local.process import Child

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SERVED = re.compile(r"at (http://\S+)")
EMAIL = "me@agency.example"
PASSWORD = "correct horse"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(OPTIONS), ignore_default_args=["--headless=old"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@contextmanager
def dashboard(api: Api, logs: Path) -> Iterator[str]:
    """`chunkwise dashboard` before an API; its address."""
    log = logs / "dashboard.log"
    log.write_text("")
    child = Child.start(
        "dashboard",
        [sys.executable, "-m", "chunkwise", "dashboard", "--listen", "127.0.0.1:0"],
        log,
        environment={
            "PATH": "/usr/bin:/bin",
            "SUPABASE_URL": api.url,
            "SUPABASE_PUBLISHABLE_KEY": api.publishable_key,
        },
    )
    try:
        child.wait_until(lambda: SERVED.search(log.read_text()) is not None)
        found = SERVED.search(log.read_text())
        assert found is not None
        yield found[1]
    finally:
        child.stop()


async def sign_in(page: Page, url: str, email: str = EMAIL, password: str = PASSWORD) -> None:
    """Open the page and sign in with a password."""
    await page.goto(url)
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
