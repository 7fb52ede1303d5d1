"""Bad answers of the API: the page's run fails or is tried again, all others complete."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from local.bison import BisonControl, Body, Size, Status, running_bison
from local.bison.faults import Fault
from tests.e2e.world import World
from tests.support.db import Row

pytestmark = pytest.mark.asyncio(loop_scope="module")

Answer = dict[str, Any]
GOOD = "all is well"
# The first record of page 2 is the one that is spoilt.
PAGE = 2


@dataclass(frozen=True, slots=True)
class Case:
    """`says`: what the run's error names; `events`: what happened to page 2."""

    fault: Callable[[bytes], Fault]
    code: str | None
    says: str
    events: tuple[str, ...] = ("failed",)
    times: int | None = None
    status: str = "failed"


def body(change: Callable[[Answer], object]) -> Callable[[bytes], Fault]:
    """The page, changed in place, or replaced by what `change` returns."""

    def fault(page: bytes) -> Fault:
        answer = json.loads(page)
        replaced = change(answer)
        return Body(content=json.dumps(answer if replaced is None else replaced).encode())

    return fault


def record(**fields: Any) -> Callable[[bytes], Fault]:  # noqa: ANN401
    return body(lambda answer: answer["data"][0].update(fields))


def raw(content: bytes) -> Callable[[bytes], Fault]:
    return lambda _: Body(content=content)


def filled_to(size: int) -> Callable[[bytes], Fault]:
    """With a text that each coding as a JSON string makes twice as long: a call of its own."""

    def fault(page: bytes) -> Fault:
        answer = json.loads(page)
        answer["data"][0]["note"] = '"' * ((size - len(page)) // 2)
        return Body(content=json.dumps(answer).encode())

    return fault


TRIED = ("retry", "retry", "failed")
FITS: tuple[None, str, tuple[str, ...], None, str] = (None, "", ("completed",), None, "completed")
REPORTED = body(lambda _: {"success": False, "message": "The list is being rebuilt."})

CASES = {
    "a list": Case(body(lambda _: []), "SY010", "no count at meta.total"),
    "no total": Case(body(lambda a: a["meta"].pop("total") and None), "SY010", "meta.total"),
    "a total in words": Case(
        body(lambda a: a["meta"].update(total="twenty")), "SY010", "meta.total"
    ),
    "a negative total": Case(body(lambda a: a["meta"].update(total=-1)), "SY010", "meta.total"),
    "a last page without end": Case(
        body(lambda a: a["meta"].update(last_page=10**9)), "SY010", "1000000000 as its last page"
    ),
    "no records": Case(body(lambda a: a.pop("data") and None), "SY010", "list of records at data"),
    "records in an object": Case(
        body(lambda a: a.update(data={})), "SY010", "list of records at data"
    ),
    "a record that is none": Case(
        body(lambda a: a["data"].insert(0, 7)), "SY010", "record 1 of the page has no integer id"
    ),
    "no id": Case(
        body(lambda a: a["data"][3].pop("id") and None), "SY010", "record 4 of the page has no"
    ),
    "an id in words": Case(record(id="first"), "SY010", "no integer id at id"),
    "a broken id": Case(record(id=1.5), "SY010", "no integer id at id"),
    "an id beyond bigint": Case(record(id=10**20), "SY010", "no integer id at id"),
    "a number beyond bigint": Case(record(daily_limit=10**30), *FITS),
    "a number in words": Case(record(imap_port="many"), *FITS),
    "a fraction": Case(record(emails_sent_count=1.5), *FITS),
    "no truth": Case(record(warmup_enabled="often"), *FITS),
    "an unreadable time": Case(record(updated_at="soon"), *FITS),
    "U+0000, escaped": Case(record(name="a\0b"), *FITS),
    "U+0000, raw": Case(lambda page: Body(content=page.replace(b"@", b"\0", 1)), *FITS),
    "half an emoji": Case(record(name="a\ud83d"), *FITS),
    "a byte order mark": Case(lambda page: Body(content=b"\xef\xbb\xbf" + page), *FITS),
    "Latin-1": Case(lambda page: Body(content=page.replace(b"@", b"\xfc", 1)), None, "not UTF-8"),
    "10 MB": Case(
        lambda _: Size(size=10_000_000), None, "10000000 bytes, more than max_body_bytes"
    ),
    "9 MB": Case(lambda _: Size(size=9_437_184), None, "9437184 bytes, more than max_body_bytes"),
    "8 MB": Case(lambda _: Size(size=8_000_000), None, "", ("completed",), status="completed"),
    "7.9 MB, twice as much in a call": Case(filled_to(7_900_000), *FITS),
    "HTML": Case(raw(b"<html>Just a moment</html>"), "SY011", "not JSON", TRIED),
    "half a page": Case(
        lambda page: Body(content=page[: len(page) // 2]), "SY011", "not JSON", TRIED
    ),
    "nothing": Case(raw(b""), "SY011", "not JSON", TRIED),
    "a deep nest": Case(raw(b"[" * 200_000), "SY011", "nested too deep", TRIED),
    "a reported failure": Case(REPORTED, "SY013", "The list is being rebuilt.", TRIED),
    "one reported failure": Case(
        REPORTED, "SY013", "", ("retry", "completed"), times=1, status="completed"
    ),
    "HTML once": Case(raw(b"<html>"), "SY011", "", ("retry", "completed"), 1, "completed"),
    "500 for ever": Case(lambda _: Status(status=500), None, "HTTP 500", TRIED),
    "500 twice": Case(
        lambda _: Status(status=500), None, "", ("retry", "retry", "completed"), 2, "completed"
    ),
    "403": Case(lambda _: Status(status=403), None, "HTTP 403"),
    # The page may have gone since page 1 counted it: each of three scans finds it so.
    "404": Case(lambda _: Status(status=404), None, "HTTP 404", ("completed",) * 3),
    "a redirect": Case(lambda _: Status(status=302), None, "HTTP 302"),
}

# By the beginning of what happened, or by its code.
WAYS_OUT = {
    "HTTP 200: the body has": "declare_stream() takes a max_body_bytes",
    "the answer names 1000000000": "set_setting('max_pages', …) allows more",
    "SY010": "declare_stream() says",
    "SY011": "look at the workspace's base URL",
    "SY013": "ask the API's operator",
    "HTTP 200": "have the API's answer corrected",
    "HTTP 302": "Look at the workspace's base URL.",
    "HTTP 403": "rotate_workspace_key()",
    "HTTP 500": "",
    "HTTP 404": "Look at the workspace's base URL.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    world: World
    bison: BisonControl
    job: Row


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(fleet_world: World) -> AsyncIterator[Outcome]:
    """One job in which every case has a workspace of its own."""
    async with running_bison(dict.fromkeys([*CASES, GOOD], 20)) as bison:
        for name, case in CASES.items():
            fault = case.fault(await bison.page_body(name, PAGE))
            await bison.fault(fault, workspace=name, page=PAGE, times=case.times)
        await fleet_world.register(bison)
        async with fleet_world.workers(2):
            yield Outcome(fleet_world, bison, await fleet_world.sync())


async def test_the_job_is_partial_and_every_other_run_completes(outcome: Outcome) -> None:
    assert outcome.job["status"] == "partial"
    assert outcome.world.run_status(outcome.job["id"]) == {
        GOOD: "completed",
        **{name: case.status for name, case in CASES.items()},
    }
    first = next(iter(CASES))
    told = f"{first}: {outcome.world.run(first)['error_message']}; "
    assert outcome.job["error_message"].startswith(told)
    assert outcome.world.live_ids(GOOD) == [
        record["id"] for record in await outcome.bison.accounts(GOOD)
    ]


@pytest.mark.parametrize("name", CASES)
async def test_the_page_fails_or_is_tried_again_by_its_class(outcome: Outcome, name: str) -> None:
    case, world = CASES[name], outcome.world
    events = [event for event in world.events(name) if event["page"] == PAGE]
    served = [record["id"] for record in await outcome.bison.accounts(name)]

    assert tuple(event["event"] for event in events) == case.events
    assert len((await outcome.bison.traffic()).select(name, page=PAGE)) == len(case.events)
    if case.code:
        assert events[0]["details"]["code"] == case.code
    expected = served if case.status == "completed" else served[:15]
    assert world.live_ids(name) == expected


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].says])
async def test_the_error_names_the_thing(outcome: Outcome, name: str) -> None:
    first_record = (await outcome.bison.accounts(name))[15]["id"]
    says = CASES[name].says.format(id=first_record)

    run = outcome.world.run(name)

    assert says in run["error_message"]
    ways_out = [
        way_out
        for what, way_out in WAYS_OUT.items()
        if run["error_message"].startswith(what) or CASES[name].code == what
    ]
    assert ways_out[0] in run["error_message"]
    # Where pages are gone, scans are refused: no chunk has failed.
    failed = [] if CASES[name].events[-1] == "completed" else [[PAGE, run["error_message"]]]
    assert failed == [
        [chunk["page"], chunk["error_message"]]
        for chunk in outcome.world.db.run(
            "select * from failed_chunks where workspace_name = :name", name=name
        )
    ]
