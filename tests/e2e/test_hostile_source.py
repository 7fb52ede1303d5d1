"""An API that wants the key elsewhere, or a request that nobody declared: redirects, a next page on
another host, at a private address or outside the base path, paths that climb, line breaks for
headers, templates in data. What token endpoints do is in test_token_endpoints.

Each is refused by name, no connection goes to another host, and the workers and tenants beside it
go on. Every trap has a source and workspace of its own; all share the jobs.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote_plus, urlsplit

import pytest
import pytest_asyncio

from local.habits import Api, Auth, Habits, Listing, Reply, running_habits
from local.habits.catalog import ALL, HABITS, Declaration, Habit
from tests.e2e.world import World
from tests.support.habits import Found, Tenant
from tests.support.wire import Wire, tapped_wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = "good"
ELSEWHERE = "elsewhere"
# As often as a chunk is tried, and more.
FOR_EVER = 20
A_TEMPLATE = "{size}"
A_LINE_BREAK = "a\r\nX-Evil: 1"
PLAIN = ALL["pages with a total"]
BY_URL = HABITS["the next URL, Last-Modified and a key in the query"]
BY_LINK = HABITS["the header Link and ETags"]
BY_CURSOR = HABITS["a cursor in the body"]
STEPS: Declaration = {
    "path": "/steps/0",
    "page_size": 10,
    "next_path": ["next"],
    "completeness": "agreed",
}
STEPS_API = Api(lists={"steps": Listing(path="/steps/0", position="none")})


@dataclass(frozen=True, slots=True)
class Trap:
    """`kind`: what is answered so; `reply`: in it HERE and ELSEWHERE stand for base URLs, ORIGIN,
    HOST and BASE for parts of the first. `says`: what a chunk's end or its run's error tells."""

    reply: Reply
    says: str
    habit: Habit = PLAIN
    kind: str = "widgets"


def redirect(status: int, location: str) -> Trap:
    return Trap(Reply(status=status, headers={"location": location}), f"HTTP {status}")


def next_url(url: str) -> Trap:
    body = {"payload": {"posts": [{"id": 1}]}, "paging": {"next": url}}
    return Trap(Reply(body=json.dumps(body).encode()), "SY010", BY_URL, "posts")


def next_link(url: str) -> Trap:
    reply = Reply(body=b'[{"id": 1}]', headers={"link": f'<{url}>; rel="next"'})
    return Trap(reply, "SY010", BY_LINK, "issues")


def next_step(token: str, says: str, **stream: object) -> Trap:
    body = {"data": [{"id": 1}], "next": token}
    habit = Habit(STEPS_API, {"steps": {**STEPS, **stream}})
    return Trap(Reply(body=json.dumps(body).encode()), says, habit, "steps")


def cursor(token: str) -> Trap:
    """It is sent as it is, as a parameter, and comes back."""
    record = {"id": "a", "created_at": "2026-01-01T00:00:00Z"}
    body = {"items": [record], "next_starting_after": token}
    return Trap(Reply(body=json.dumps(body).encode()), "SY020", BY_CURSOR, "campaigns")


TRAPS: Mapping[str, Trap] = {
    "a redirect": redirect(302, "ELSEWHERE/widgets"),
    "a redirect that stays": redirect(301, "HERE/widgets?page=2"),
    "a redirect that keeps the method": redirect(307, "ELSEWHERE/widgets"),
    "a redirect to no URL": redirect(308, "http://[::1"),
    "a next URL on another host": next_url("ELSEWHERE/posts?start=10"),
    "a next URL at a private address": next_url("http://169.254.169.254/latest/meta-data"),
    "a next URL of another scheme": next_url("file:///etc/passwd"),
    "a next URL outside the base path": next_url("ORIGIN/good/widgets"),
    "a next URL that climbs": next_url("HERE/../good/widgets"),
    "a next URL that climbs in disguise": next_url("HERE/%2e%2e/good/widgets"),
    "a next URL with a user": next_url("http://x@HOST/BASE/posts?start=10"),
    "a next URL with a line break": next_url("HERE/posts?start=10\r\nX-Evil: 1"),
    "a link to another host": next_link("ELSEWHERE/issues?page=2"),
    "a link without a scheme": next_link("//169.254.169.254/latest"),
    "a step that climbs": next_step("..", "path", path="/steps/{next|0}"),
    "a step with a line break for a header": next_step(
        A_LINE_BREAK, "header", headers={"X-After": "{next|0}"}
    ),
    "a cursor that is a template": cursor(A_TEMPLATE),
    "a cursor with a line break": cursor(A_LINE_BREAK),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    tenants: Mapping[str, Tenant]
    elsewhere: Habits
    wire: Wire
    after: Mapping[str, Found]
    again: Mapping[str, Found]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(fleet_world: World) -> AsyncIterator[Outcome]:
    habits = {GOOD: PLAIN, **{_slug(name): trap.habit for name, trap in TRAPS.items()}}
    apis = {name: habit.api for name, habit in habits.items()}
    other = {ELSEWHERE: replace(PLAIN.api, auth=Auth(kind="none"))}
    async with running_habits(apis) as here, running_habits(other) as elsewhere:
        tenants = {
            name: Tenant(habit, here[name], fleet_world.db) for name, habit in habits.items()
        }
        for tenant in tenants.values():
            with tenant.book() as book:
                book.fill(12)
            tenant.register()
        for name, trap in TRAPS.items():
            running = here[_slug(name)]
            reply = _placed(trap.reply, running.base_url, elsewhere[ELSEWHERE].base_url)
            running.plant(trap.kind, *[reply] * FOR_EVER)
        with tapped_wire() as wire:
            async with fleet_world.workers(2):
                await fleet_world.sync()
                after = {name: tenant.found() for name, tenant in tenants.items()}
                await fleet_world.sync()
            again = {name: tenant.found() for name, tenant in tenants.items()}
        yield Outcome(tenants, elsewhere, wire, after, again)


@pytest.mark.parametrize("name", TRAPS)
async def test_a_trap_is_refused_by_name(outcome: Outcome, name: str) -> None:
    found = outcome.after[_slug(name)]
    assert found.statuses <= {"failed", "partial"}
    assert any(TRAPS[name].says in text for text in found.told), found.told


async def test_no_connection_and_no_secret_leaves_the_origin(outcome: Outcome) -> None:
    origins = {
        (host, int(port))
        for tenant in outcome.tenants.values()
        for host, port in [tenant.running.origin.removeprefix("http://").split(":")]
    }

    assert outcome.wire.sent.keys() == origins
    assert outcome.elsewhere[ELSEWHERE].seen.requests() == []


async def test_a_key_is_sent_to_its_own_api_only(outcome: Outcome) -> None:
    for tenant in outcome.tenants.values():
        for other in outcome.tenants.values():
            if other is tenant:
                continue
            sent = [
                f"{seen.headers} {seen.target} {seen.body}"
                for seen in other.running.seen.requests()
            ]
            assert not any(tenant.running.desk.secret in text for text in sent)


@pytest.mark.parametrize(
    ("name", "token"),
    [("a cursor that is a template", A_TEMPLATE), ("a cursor with a line break", A_LINE_BREAK)],
)
async def test_a_cursor_is_data(outcome: Outcome, name: str, token: str) -> None:
    seen = outcome.tenants[_slug(name)].running.seen.requests("campaigns")

    assert f"starting_after={quote_plus(token)}" in seen[1].target
    assert not any("x-evil" in one.headers for one in seen)


async def test_the_others_go_on_and_no_worker_dies(outcome: Outcome) -> None:
    outcome.after[GOOD].assert_exact()
    outcome.again[GOOD].assert_exact()


def _slug(name: str) -> str:
    return name.replace(" ", "_")


def _placed(reply: Reply, here: str, elsewhere: str) -> Reply:
    url = urlsplit(here)
    places = {"HERE": here, "ELSEWHERE": elsewhere, "ORIGIN": f"http://{url.netloc}"}
    places |= {"HOST": url.netloc, "BASE": url.path.removeprefix("/")}

    def placed(text: str) -> str:
        return re.sub("HERE|ELSEWHERE|ORIGIN|HOST|BASE", lambda name: places[name[0]], text)

    headers = {name: placed(value) for name, value in reply.headers.items()}
    return replace(reply, headers=headers, body=placed(reply.body.decode()).encode())
