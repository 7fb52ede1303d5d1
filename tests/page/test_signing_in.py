"""Who gets in, who is told how, and what they see who do not."""

import re

import pytest

from local.dashboard import EMAIL
from local.screens.browser import sign_in
from tests.e2e.world import World
from tests.page.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINK = re.compile(r"magic link for \S+: (\S+) \(code")
MAKE_OPERATOR = (
    "update auth.users set raw_app_meta_data = raw_app_meta_data || :data::jsonb"
    " where email = :mail"
)


async def test_an_operator_signs_in_and_out(visitor: Visitor) -> None:
    page = visitor.page
    await page.goto(visitor.url)
    await page.get_by_label("Email").fill(EMAIL)
    await page.get_by_label("Password").fill("a wrong one")
    await visitor.press("Sign in")
    await visitor.sees("Invalid login credentials")

    await visitor.sign_in()
    await visitor.sees("No workspace yet")
    await page.locator(".account summary").click()
    await visitor.press("Sign out")
    await page.get_by_label("Password").wait_for()


async def test_a_magic_link_signs_in_and_leaves_no_code_in_the_address(
    visitor: Visitor, world: World
) -> None:
    page = visitor.page
    await page.goto(f"{visitor.url}/engine")
    await visitor.press("Use a magic link")
    await page.get_by_label("Email").fill(EMAIL)
    await visitor.press("Send a link")
    await visitor.sees("A link was sent to")
    # The log goes on from run to run.
    *_, link = LINK.findall(world.api.gateway_log.read_text())
    await page.goto(link)
    await page.locator("main[data-screen=engine]").wait_for()
    await page.wait_for_url(f"{visitor.url}/engine")


async def test_who_is_no_operator_reads_how_to_become_one(visitor: Visitor, world: World) -> None:
    world.db.run(MAKE_OPERATOR, data='{"chunkwise": "reader"}', mail=EMAIL)
    await visitor.page.goto(visitor.url)
    # No screen is waited for: until the refusal comes, one may stand there too shortly to be seen.
    await sign_in(visitor.page, visitor.url)
    await visitor.sees(f"chunkwise operators add {EMAIL}")

    world.db.run(MAKE_OPERATOR, data='{"chunkwise": "operator"}', mail=EMAIL)
    await visitor.press("I was added: look again")
    await visitor.sees("No workspace yet")


async def test_strangers_see_jobs_only_while_the_dashboard_is_public(
    visitor: Visitor, world: World
) -> None:
    world.db.run(
        "insert into polling_job_status (job_name, status, completed_at)"
        " values ('nightly', 'completed', now())"
    )
    await visitor.page.goto(visitor.url)
    async with visitor.page.expect_response(lambda answer: "polling_job_status" in answer.url):
        await visitor.page.reload()
    assert await visitor.page.get_by_text("nightly").count() == 0

    world.db.run("select set_setting('public_dashboard', 'true')")
    await visitor.page.reload()
    await visitor.sees("nightly")


async def test_the_end_of_a_session_is_shown(visitor: Visitor, world: World) -> None:
    await visitor.sign_in()
    await visitor.sees("No workspace yet")
    world.db.run("delete from auth.users")
    await visitor.page.route(
        "**/rest/v1/rpc/**",
        lambda route: route.fulfill(
            status=401, json={"code": "PGRST303", "message": "JWT expired", "hint": None}
        ),
    )
    await visitor.page.get_by_role("link", name="Engine").click()
    await visitor.sees("Your session has ended")
    await visitor.page.get_by_label("Password").wait_for()
