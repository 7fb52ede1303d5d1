"""The control routes under `/_control`: for tests and the demo, guarded by a token, never counted.

`BisonControl` is their client and describes what each does.
"""

import asyncio
import hmac
from collections.abc import Awaitable

from pydantic import ValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.bison.api import JSON, World, message
from local.bison.changes import apply_change
from local.bison.faults import workspaces_named
from local.bison.fleet import FleetError, Workspace
from local.bison.pages import page_body, page_number
from local.bison.wire import (
    CHANGES,
    RULE,
    RULE_STATES,
    TRAFFIC,
    WORKSPACES,
    Traffic,
    workspace_infos,
)

TOKEN_HEADER = "x-control-token"


class TokenGuard:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(TOKEN_HEADER.encode(), b"")
        allowed = hmac.compare_digest(given, self._token)
        await (self._app if allowed else message(403))(scope, receive, send)


class ControlApi:
    def __init__(self, world: World) -> None:
        self._world = world

    def mount(self, token: str) -> Mount:
        routes = [
            Route("/workspaces", self.workspaces),
            Route("/accounts", self.accounts),
            Route("/page", self.page),
            Route("/replies", self.replies),
            Route("/conversations", self.conversations),
            Route("/deep-page-limit", self.set_deep_page_limit, methods=["POST"]),
            Route("/changes", self.change, methods=["POST"]),
            Route("/keys", self.set_key, methods=["POST"]),
            Route("/latency", self.set_latency, methods=["POST"]),
            Route("/traffic", self.traffic, methods=["GET"]),
            Route("/traffic", self.reset_traffic, methods=["DELETE"]),
            Route("/traffic/wait", self.wait_for_traffic),
            Route("/rules", self.rules, methods=["GET"]),
            Route("/rules", self.add_rule, methods=["POST"]),
            Route("/rules", self.clear_rules, methods=["DELETE"]),
            Route("/holds/wait", self.wait_for_holds),
            Route("/holds/release", self.release, methods=["POST"]),
        ]
        return Mount("/_control", routes=routes, middleware=[Middleware(TokenGuard, token=token)])

    async def workspaces(self, _: Request) -> Response:
        return _json(WORKSPACES.dump_json(workspace_infos(self._world.fleet)))

    async def accounts(self, request: Request) -> Response:
        workspace = self._named(request)
        return _json(b"[%b]" % b",".join(workspace.raw(workspace.ids)))

    async def page(self, request: Request) -> Response:
        page = page_number(request.query_params.get("page"))
        url = f"{request.base_url}".removesuffix("_control/") + "api/sender-emails"
        return _json(page_body(self._named(request), page, url))

    async def replies(self, request: Request) -> Response:
        feed = self._named(request).feed
        return _json(b"[%b]" % b",".join(feed.raw(feed.ids)))

    async def conversations(self, request: Request) -> Response:
        return JSONResponse(self._named(request).feed.conversations())

    async def set_deep_page_limit(self, request: Request) -> Response:
        self._world.deep_page_limit = (await request.json())["limit"]
        return JSONResponse(None)

    async def change(self, request: Request) -> Response:
        changes = CHANGES.validate_json(await request.body())
        return JSONResponse([apply_change(self._world.fleet, change) for change in changes])

    async def set_key(self, request: Request) -> Response:
        order = await request.json()
        self._world.fleet.workspace(order["workspace"]).key_accepted = order["accepted"]
        return JSONResponse(None)

    async def set_latency(self, request: Request) -> Response:
        self._world.latency_ms = (await request.json())["latency_ms"]
        return JSONResponse(None)

    async def traffic(self, _: Request) -> Response:
        log = self._world.traffic
        peaks = {name: peak for name, peak in log.peaks.items() if name is not None}
        seen = Traffic(
            requests=tuple(log.requests()),
            peak_in_flight=log.peak_total,
            peak_by_workspace=peaks,
        )
        return _json(TRAFFIC.dump_json(seen))

    async def reset_traffic(self, _: Request) -> Response:
        self._world.traffic.reset()
        return JSONResponse(None)

    async def wait_for_traffic(self, request: Request) -> Response:
        workspace = request.query_params.get("workspace")
        at_least = int(request.query_params["at_least"])
        return await _in_time(request, self._world.traffic.wait_for(at_least, workspace))

    async def rules(self, _: Request) -> Response:
        return _json(RULE_STATES.dump_json(self._world.faults.states()))

    async def add_rule(self, request: Request) -> Response:
        rule = RULE.validate_json(await request.body())
        for name in workspaces_named(rule):
            self._world.fleet.workspace(name)
        return JSONResponse(self._world.faults.add(rule))

    async def clear_rules(self, request: Request) -> Response:
        self._world.faults.clear(_rule_id(request))
        return JSONResponse(None)

    async def wait_for_holds(self, request: Request) -> Response:
        at_least = int(request.query_params["at_least"])
        held = self._world.faults.wait_until_held(at_least, _rule_id(request))
        return await _in_time(request, held)

    async def release(self, request: Request) -> Response:
        order = await request.json()
        return JSONResponse(self._world.faults.release(order["rule_id"], order["count"]))

    def _named(self, request: Request) -> Workspace:
        return self._world.fleet.workspace(request.query_params["workspace"])


async def refused(_: Request, error: Exception) -> Response:
    """A control request that makes no sense: 422 with the reason."""
    return message(422, str(error))


REFUSED = {FleetError: refused, ValidationError: refused}


async def _in_time(request: Request, reached: Awaitable[None]) -> Response:
    """Answers true, or false after `timeout_s`."""
    try:
        async with asyncio.timeout(float(request.query_params["timeout_s"])):
            await reached
    except TimeoutError:
        return JSONResponse(False)
    return JSONResponse(True)


def _rule_id(request: Request) -> int | None:
    given = request.query_params.get("rule_id")
    return int(given) if given else None


def _json(body: bytes) -> Response:
    return Response(body, media_type=JSON)
