"""Debian's Chromium, driven by Playwright."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright

from local.dashboard import EMAIL, PASSWORD

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


async def sign_in(page: Page, url: str, email: str = EMAIL, password: str = PASSWORD) -> None:
    """Open the page and sign in with a password."""
    await page.goto(url)
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
