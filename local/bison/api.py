"""The routes a client of Email Bison sees, under `/api`."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.bison.changes import apply_change
from local.bison.faultbook import FaultBook, PageTraps, Plan
from local.bison.faults import Body, Status
from local.bison.fleet import Fleet, FleetError, Workspace, to_json
from local.bison.pages import item_body, padded, page_body, page_number, user_body
from local.bison.replies import UnknownReplyError
from local.bison.reply_pages import Cursor, conversation, cursor_page, reply_page
from local.bison.traffic import CLIENT_GONE, Kind, SeenRequest, TrafficLog
from local.delivery import SpoiltDelivery, until_client_gone

JSON = "application/json"
DEEP_PAGE_LIMIT = 500
BODILESS = (204, 304)
MESSAGES = {401: "Unauthenticated.", 404: "Record not found.", 429: "Too Many Attempts."}
Answer = Callable[[Workspace, PageTraps], Response]


@dataclass(slots=True)
class World:
    """One instance with all that tests may turn while it runs."""

    fleet: Fleet
    latency_ms: float
    deep_page_limit: int = DEEP_PAGE_LIMIT
    faults: FaultBook = field(default_factory=FaultBook)
    traffic: TrafficLog = field(default_factory=TrafficLog)


class BisonApi:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/api/sender-emails", self.sender_emails),
            Route("/api/sender-emails/{account_id}", self.sender_email),
            Route("/api/users", self.users),
            Route("/api/replies", self.replies),
            Route("/api/replies/{reply_id}/conversation-thread", self.conversation_thread),
            Route("/api/{path:path}", self.unknown),
        ]

    async def sender_emails(self, request: Request) -> Response:
        """15 per page whatever `per_page` says, ids ascending."""
        page = page_number(request.query_params.get("page"))
        url = f"{request.base_url}api/sender-emails"

        def serve(workspace: Workspace, traps: PageTraps) -> Response:
            return Response(page_body(workspace, page, url, traps), media_type=JSON)

        return await self._respond(request, "page", serve, page)

    async def sender_email(self, request: Request) -> Response:
        wanted = request.path_params["account_id"]

        def serve(workspace: Workspace, _: PageTraps) -> Response:
            known = re.fullmatch("[0-9]{1,18}", wanted)
            record = workspace.records.get(int(wanted)) if known else None
            return message(404) if record is None else Response(item_body(record), media_type=JSON)

        return await self._respond(request, "item", serve)

    async def replies(self, request: Request) -> Response:
        """By page, newest first by date; or by cursor, ids descending."""
        given = request.query_params
        url = f"{request.base_url}api/replies"
        if given.get("pagination_type") == "cursor":
            cursor = Cursor.read(given.get("cursor"))

            def serve_cursor(workspace: Workspace, traps: PageTraps) -> Response:
                return Response(cursor_page(workspace.feed, cursor, url, traps), media_type=JSON)

            return await self._respond(request, "cursor", serve_cursor)
        page = page_number(given.get("page"))

        def serve_page(workspace: Workspace, traps: PageTraps) -> Response:
            if page > self._world.deep_page_limit:
                return message(422, "The page is too deep: use cursor pagination.")
            return Response(reply_page(workspace.feed, page, url, traps), media_type=JSON)

        return await self._respond(request, "replies", serve_page, page)

    async def conversation_thread(self, request: Request) -> Response:
        wanted = request.path_params["reply_id"]
        reply_id = int(wanted) if re.fullmatch("[0-9]{1,18}", wanted) else 0

        def serve(workspace: Workspace, traps: PageTraps) -> Response:
            try:
                body = conversation(workspace.feed, reply_id, traps)
            except UnknownReplyError:
                return message(404)
            return Response(body, media_type=JSON)

        return await self._respond(request, "conversation", serve, item=reply_id)

    async def users(self, request: Request) -> Response:
        return await self._respond(
            request, "users", lambda workspace, _: Response(user_body(workspace), media_type=JSON)
        )

    async def unknown(self, request: Request) -> Response:
        return await self._respond(request, "other", lambda _, __: message(404))

    async def _respond(
        self,
        request: Request,
        kind: Kind,
        serve: Answer,
        page: int | None = None,
        item: int | None = None,
    ) -> Response:
        world = self._world
        workspace = world.fleet.with_key(_bearer(request))
        name = workspace.name if workspace else None
        seen = await world.traffic.arrive(name, kind, request.url.path, page, item)
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            if workspace is None or not workspace.key_accepted:
                await self._latency()
                response = message(401)
            else:
                response = await self._answer(request, seen, workspace, serve)
            status = response.status_code
        finally:
            world.traffic.leave(seen, status)
        return response

    async def _answer(
        self, request: Request, seen: SeenRequest, workspace: Workspace, serve: Answer
    ) -> Response:
        fleet = self._world.fleet
        plan = self._world.faults.plan(seen)
        await self._latency()
        for rule_id in plan.hold_rules:
            if not await self._held_and_released(request, rule_id):
                return Response(status_code=CLIENT_GONE)
        owner = fleet.workspace(plan.serves) if plan.serves else workspace
        response = answer(fleet, plan, partial(serve, owner, plan.traps))
        return SpoiltDelivery(response, plan.delivery) if plan.delivery else response

    async def _latency(self) -> None:
        if self._world.latency_ms:
            await asyncio.sleep(self._world.latency_ms / 1_000)

    async def _held_and_released(self, request: Request, rule_id: int) -> bool:
        """False if the client went away first."""
        released = False

        async def wait_for_release() -> None:
            nonlocal released
            await self._world.faults.hold(rule_id)
            released = True
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_release)
            await until_client_gone(request.receive)
            group.cancel_scope.cancel()
        return released


def answer(fleet: Fleet, plan: Plan, serve: Callable[[], Response]) -> Response:
    """The answer with its faults. Nothing else runs in between, so a page is one moment's data."""
    try:
        for change in plan.before:
            apply_change(fleet, change)
        match plan.answer:
            case Status():
                response = refusal(plan.answer)
            case Body(content=content, status=status, content_type=content_type):
                response = Response(content, status, {"content-type": content_type})
            case None:
                response = serve()
        if plan.size > len(response.body):
            response.body = padded(bytes(response.body), plan.size)
            response.headers["content-length"] = str(len(response.body))
        response.headers.update(plan.headers)
        for change in plan.after:
            apply_change(fleet, change)
    except FleetError as error:
        return message(500, f"The fake's Mutate rule does not work: {error}")
    return response


def refusal(fault: Status) -> Response:
    if fault.retry_after_s is None:
        return message(fault.status)
    if fault.retry_after_in == "body":
        return message(fault.status, retry_after=fault.retry_after_s)
    response = message(fault.status)
    response.headers["retry-after"] = str(fault.retry_after_s)
    return response


def message(status: int, text: str | None = None, **more: int) -> Response:
    """`{"message": …}`, the shape of every error of this API."""
    body = b"" if status in BODILESS else to_json({"message": text or _phrase(status), **more})
    return Response(body, status, media_type=JSON)


def _phrase(status: int) -> str:
    phrases = (known.phrase for known in HTTPStatus if known == status)
    return MESSAGES.get(status) or next(phrases, "Error")


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
