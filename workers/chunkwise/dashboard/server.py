"""Serves the built page: its files, `config.json` from the settings, and the page itself at every
address that is no file, as its screens have addresses of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chunkwise.errors import SettingsError
from chunkwise.settings import PageSettings

PAGE: Final = Path(__file__).with_name("page")


@dataclass(frozen=True, slots=True)
class _Headers:
    """Adds headers to every answer."""

    app: ASGIApp
    headers: dict[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def page_app(settings: PageSettings, page: Path = PAGE) -> ASGIApp:
    """Raises SettingsError if the page was not built."""
    index = page / "index.html"
    if not index.is_file():
        raise SettingsError(
            "the page is not built",
            "Install the wheel that `make wheel` makes, or run `make dashboard` in the checkout.",
        )

    def config(_: Request) -> Response:
        found = {"url": settings.supabase_url, "publishableKey": settings.publishable_key}
        return JSONResponse(found, headers={"cache-control": "no-store"})

    def icon(_: Request) -> Response:
        return FileResponse(page / "icon.svg")

    def screen(_: Request) -> Response:
        return FileResponse(index, headers={"cache-control": "no-cache"})

    assets = _Headers(
        StaticFiles(directory=page / "assets"),
        {"cache-control": "public, max-age=31536000, immutable"},
    )
    app = Starlette(
        routes=[
            Route("/config.json", config),
            Route("/icon.svg", icon),
            Mount("/assets", assets),
            Route("/{screen:path}", screen),
        ]
    )
    return _Headers(app, _safety(settings.supabase_url))


def _safety(url: str) -> dict[str, str]:
    socket = "ws" + url.removeprefix("http")
    return {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
        f" img-src 'self'; connect-src 'self' {url} {socket}; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
