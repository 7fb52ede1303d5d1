"""What is old says so, what is gone says so, and what others wrote is text."""

import pytest
from playwright.async_api import Browser

from local.bison import BisonControl
from tests.e2e.world import CHECKOUT, World
from tests.page.conftest import Visitor, visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

AXE = CHECKOUT / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = ("/", "/jobs", "/workspaces/acme", "/alerts", "/engine", "/sources", "/nowhere")
MARKUP = "<img src=x onerror=document.title='owned'>"
HIDE = """(is) => {
  Object.defineProperty(document, "hidden", {configurable: true, value: is});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
BIDI = "\u202eevil\u202c"


async def test_it_survives_a_dropped_socket(
    visitor: Visitor, world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme")
    await visitor.sign_in()
    socket = visitor.page.locator("[data-test=socket]")
    await socket.get_by_text("live").wait_for()
    world.api.stop_realtime()
    await socket.get_by_text("polling").wait_for()
    async with world.workers():
        await world.sync("acme")
        await visitor.page.locator('[data-workspace="acme"][data-state="fresh"]').wait_for()
    world.api.start_realtime()
    await socket.get_by_text("live").wait_for()


async def test_what_is_older_than_30_seconds_greys_and_says_so(
    visitor: Visitor, world: World
) -> None:
    page = visitor.page
    await page.clock.install()
    await visitor.sign_in()
    await visitor.sees("No workspace yet")
    world.api.stop_postgrest()
    await page.clock.fast_forward("00:20")
    await page.locator("[data-test=trouble]").wait_for()
    await page.clock.fast_forward("00:31")
    await page.locator("main.grey").wait_for()
    await visitor.sees("shown as of")
    world.api.start_postgrest()
    world.api.wait_until_ready()
    await page.clock.fast_forward("00:31")
    await page.locator("main:not(.grey)").wait_for()
    await page.locator("[data-test=trouble]").wait_for(state="detached")


async def test_a_key_that_is_refused_is_no_expired_session(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.sees("No workspace yet")
    await visitor.page.route(
        "**/rest/v1/rpc/**",
        lambda route: route.fulfill(status=401, json={"message": "Invalid API key"}),
    )
    await visitor.page.get_by_role("link", name="Engine").click()
    await visitor.sees("The project refuses this page's key: Invalid API key")
    await visitor.sees("config.json needs the present publishable key")


async def test_what_one_screen_is_refused_is_said_once(visitor: Visitor) -> None:
    await visitor.sign_in("/jobs/00000000-0000-4000-8000-000000000000")
    await visitor.sees("there is no job")
    assert await visitor.page.get_by_text("there is no job").count() == 1


async def test_a_hidden_tab_asks_nothing(visitor: Visitor) -> None:
    page = visitor.page
    await page.clock.install()
    await visitor.sign_in()
    await visitor.sees("No workspace yet")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.evaluate(HIDE, True)
    asked.clear()
    await page.clock.fast_forward("10:00")
    assert [url for url in asked if "/rpc/" in url] == []
    async with page.expect_request("**/rpc/get_fleet"):
        await page.evaluate(HIDE, False)


async def test_names_and_errors_are_text(visitor: Visitor, world: World) -> None:
    world.db.run(
        "insert into sync_workspaces (workspace_name, source_id, base_url, external_id, key_status,"
        " key_owner) select :name, id, 'https://bison.example', '1', 'other_workspace', :owner"
        " from sync_sources where source_name = 'email_bison'",
        name=MARKUP,
        owner=f"{BIDI}{MARKUP}",
    )
    await visitor.sign_in()
    await visitor.page.get_by_role("link", name=MARKUP, exact=True).click()
    await visitor.sees(f"its key belongs to {BIDI}{MARKUP}")
    assert await visitor.page.locator("img").count() == 0
    assert "owned" not in (await visitor.page.title()).replace(MARKUP, "")
    assert visitor.complaints == []


async def test_axe_finds_no_serious_fault(
    visitor: Visitor, world: World, bison: BisonControl, browser: Browser
) -> None:
    await world.register(bison)
    async with world.workers():
        await world.sync("acme")
    await visitor.page.goto(visitor.url)
    await visitor.page.get_by_label("Email").wait_for()
    faults = {"sign in": await serious_faults(visitor)}
    await visitor.sign_in()
    for path in SCREENS:
        await visitor.open(path)
        await visitor.page.locator(".loading").wait_for(state="detached")
        faults[path] = await serious_faults(visitor)
    dark = await browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 844})
    on_a_phone = await visit(dark, visitor.url)
    await on_a_phone.sign_in()
    await on_a_phone.page.locator('[data-workspace="acme"]').wait_for()
    faults["dark, on a phone"] = await serious_faults(on_a_phone)
    await dark.close()

    assert faults == {where: [] for where in faults}
    assert visitor.complaints == []


async def serious_faults(visitor: Visitor) -> list[str]:
    """What axe calls serious or critical, with where it is."""
    await visitor.page.evaluate(AXE.read_text())
    found = await visitor.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:120]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
