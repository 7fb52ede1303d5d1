"""What is served: small, without a secret, and closed to everything that it does not need."""

import gzip
from pathlib import Path

import httpx
import pytest

from chunkwise.dashboard.server import PAGE, page_app
from chunkwise.errors import SettingsError
from chunkwise.settings import PageSettings

MOST_BYTES = 200_000
SETTINGS = PageSettings("https://abc.supabase.co", "sb_publishable_abc")


def test_the_page_is_small() -> None:
    files = [path for path in PAGE.rglob("*") if path.is_file() and path.name != "404.html"]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < MOST_BYTES


async def test_it_is_served_with_its_settings_and_a_strict_policy() -> None:
    transport = httpx.ASGITransport(page_app(SETTINGS))
    async with httpx.AsyncClient(transport=transport, base_url="http://page") as http:
        config = await http.get("/config.json")
        page = await http.get("/workspaces/acme")
        asset = next((PAGE / "assets").glob("*.js")).name
        script = await http.get(f"/assets/{asset}")
        missing = await http.get("/assets/nothing.js")

    assert config.json() == {
        "url": "https://abc.supabase.co",
        "publishableKey": "sb_publishable_abc",
    }
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "connect-src 'self' https://abc.supabase.co wss://abc.supabase.co;" in policy
    assert (page.status_code, script.status_code, missing.status_code) == (200, 200, 404)
    assert "immutable" in script.headers["cache-control"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_without_the_built_page_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not built"):
        page_app(SETTINGS, tmp_path)
