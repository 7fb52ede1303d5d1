"""The page moves with the database, and steers it."""

import pytest

from local.bison import BisonControl, Hold, Status
from local.screens.scenes import fill_many
from tests.e2e.world import World
from tests.page.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 5_000


async def test_it_moves_while_a_sync_runs(
    visitor: Visitor, world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await visitor.sign_in()
    await visitor.page.locator('[data-workspace="acme"][data-state="never synced"]').wait_for()
    await bison.fault(Hold(), workspace="acme", page=2, times=None)
    async with world.workers():
        world.start("acme")
        await visitor.page.locator('[data-workspace="acme"][data-state="syncing"]').wait_for()
        await visitor.sees("66 %")
        await visitor.page.get_by_role("link", name="Jobs").click()
        await visitor.page.locator("[data-test=percentage]", has_text="66 %").wait_for()
        await visitor.page.get_by_role("link", name="Fleet").click()
        await bison.clear_rules()
        await visitor.page.locator('[data-workspace="acme"][data-state="fresh"]').wait_for()
    await visitor.sees("1 of 2 fresh")
    assert visitor.complaints == []


async def test_an_operator_starts_watches_and_cancels(
    visitor: Visitor, world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await visitor.sign_in()
    await visitor.press("Sync zen")
    await visitor.sees("Sync of zen started")
    job = world.db.one("select * from polling_job_status")
    assert (job["job_name"], job["status"]) == ("sync zen", "running")

    await visitor.open(f"/jobs/{job['id']}")
    await visitor.press("Cancel…")
    await visitor.press("Cancel sync zen")
    await visitor.sees("Job sync zen is cancelled")
    await visitor.sees("Cancelled")
    assert world.job(job["id"])["status"] == "cancelled"

    await visitor.open("/workspaces/zen")
    await visitor.press("Pause")
    await visitor.sees("zen is paused")
    await visitor.press("Resume")
    await visitor.sees("zen goes on")
    assert world.db.value("select count(*) from sync_workspaces where paused_at is not null") == 0


async def test_deletions_are_approved_with_the_records_in_sight(
    visitor: Visitor, world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme")
    gone = await bison.accounts("acme")
    async with world.workers():
        await world.sync("acme")
        await bison.remove_accounts("acme", *[account["id"] for account in gone[:12]])
        await world.sync("acme")
    await visitor.sign_in()
    await visitor.press("Review 12…")
    dialog = visitor.page.get_by_role("dialog")
    await dialog.get_by_text(gone[0]["email"]).wait_for()
    await dialog.get_by_text(gone[11]["email"]).wait_for()
    await dialog.get_by_role("button", name="Delete 12 records of acme").click()
    await visitor.sees("12 records of acme deleted")
    assert len(world.deleted_ids("acme")) == 12


async def test_a_refusal_is_shown_in_the_databases_words(
    visitor: Visitor, world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme")
    await bison.fault(Status(status=403), workspace="acme", times=None)
    async with world.workers():
        await world.sync("acme")
        await visitor.sign_in()
        await visitor.page.get_by_role("button", name="Retry acme").wait_for()
        # Another one is newer before the button is pressed.
        await visitor.page.route("**/rpc/get_fleet", lambda route: route.abort())
        await world.sync("acme")
    await visitor.press("Retry acme")
    dialog = visitor.page.get_by_role("dialog")
    await dialog.get_by_text("is newer and has run acme again").wait_for()
    await dialog.get_by_text("Look at that job, or start a new one.").wait_for()


async def test_all_of_it_works_by_keys(visitor: Visitor, world: World, bison: BisonControl) -> None:
    await world.register(bison)
    await visitor.sign_in()
    page = visitor.page
    await page.locator('[data-workspace="acme"]').wait_for()
    await page.keyboard.press("j")
    await page.locator('[data-workspace="acme"].chosen').wait_for()
    await page.keyboard.press("j")
    # What becomes worse moves up: keys mean the row that was chosen, not its place.
    world.db.run("update sync_workspaces set key_status = 'refused' where workspace_name = 'zen'")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.locator('[data-workspace="zen"][aria-rowindex="2"].chosen').wait_for()
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{visitor.url}/workspaces/zen")
    await page.keyboard.press("/")
    await page.wait_for_url(f"{visitor.url}/")
    await page.locator("input:focus").wait_for()
    await page.keyboard.type("ac")
    await page.locator("[data-test=matching]", has_text="1 of 2 rows").wait_for()
    assert await page.locator('[data-workspace="zen"]').count() == 0
    await page.wait_for_url(f"{visitor.url}/?q=ac")
    await page.reload()
    await page.locator("[data-test=matching]", has_text="1 of 2 rows").wait_for()
    await page.keyboard.press("?")
    await page.get_by_role("dialog").get_by_text("Sync the row's workspace").wait_for()


async def test_five_thousand_workspaces(visitor: Visitor, world: World) -> None:
    fill_many(world.db.run, MANY)
    page = visitor.page
    await visitor.sign_in()
    await visitor.sees(f"of {MANY:,} fresh")
    await page.locator("[data-test=matching]", has_text=f"{MANY:,} rows").wait_for()
    assert await page.locator("[role=table]").get_attribute("aria-rowcount") == str(MANY + 1)
    assert await page.locator("[data-workspace]").count() < 100

    last = world.db.value(
        "select r ->> 'workspace_name' from (select set_config('request.jwt.claims', '', false)) x,"
        " jsonb_array_elements(get_fleet(p_offset => 4990) -> 'rows') with ordinality as r (r, n)"
        " order by n desc limit 1"
    )
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    await page.locator(f'[data-workspace="{last}"]').wait_for()
    assert await page.locator("[data-workspace]").count() < 100

    await page.get_by_placeholder("Name, state or reason").fill("client 4711")
    await page.locator('[data-workspace="Client 4711"]').wait_for()
    await page.locator("[data-test=matching]", has_text=f"1 of {MANY:,} rows").wait_for()
