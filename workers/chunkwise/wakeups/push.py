"""The HTTP side of a receiver: which POSTs are hints, and which are refused before anybody looks.

`POST /` is a hint. Bodies of answers are short: pg_net stores every one of them.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chunkwise.secret import Secret

MOST_BYTES: Final = 65_536
BODY_SECONDS: Final = 5.0
LARGEST_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    fields: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """`why`: wrong_token, not_json, no_chunk_id, too_large, incomplete, full or unavailable."""

    def __init__(
        self, status: HTTPStatus, why: str, message: str, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.why = why
        self.message = message
        self.retry_after = retry_after


class Webhook:
    """`hinted` answers the id of a hint, None for a POST without one; `refused` hears of the
    others."""

    def __init__(
        self,
        token: Secret,
        hinted: Callable[[int | None], Awaitable[Answer]],
        refused: Callable[[RefusedError], None],
    ) -> None:
        self._expected = f"Bearer {token.reveal()}".encode()
        self._hinted = hinted
        self._refused = refused

    def app(self, others: Sequence[Route] = ()) -> Starlette:
        return Starlette(routes=[Route("/", self._receive, methods=["POST"]), *others])

    def knows(self, request: Request) -> bool:
        """Whether it carries the wake token."""
        given = request.headers.get("Authorization", "").encode("latin-1")
        return hmac.compare_digest(given, self._expected)

    async def _receive(self, request: Request) -> JSONResponse:
        try:
            self._check_token(request)
            answer = await self._hinted(hinted_id(await _read(request)))
        except RefusedError as refusal:
            self._refused(refusal)
            return _refusal_answer(refusal)
        return JSONResponse(answer.fields, answer.status, answer.headers)

    def _check_token(self, request: Request) -> None:
        if not self.knows(request):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "wrong_token", "wrong wake token")


async def _read(request: Request) -> bytes:
    """What Content-Length says is believed only if it is too much; a slow sender is cut off."""
    declared = request.headers.get("Content-Length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if declared.isdecimal() and int(declared[:20]) > MOST_BYTES:
                raise _too_large()
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise _too_large()
    except TimeoutError:
        status = HTTPStatus.REQUEST_TIMEOUT
        raise RefusedError(status, "incomplete", "the body did not arrive") from None
    except ClientDisconnect:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "incomplete", "the body broke off") from None
    return bytes(body)


def _too_large() -> RefusedError:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return RefusedError(status, "too_large", f"more than {MOST_BYTES} bytes")


def _refusal_answer(refusal: RefusedError) -> JSONResponse:
    # The rest of a body that nobody reads must not be taken for the next request.
    headers = {} if refusal.retry_after is not None else {"Connection": "close"}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return JSONResponse({"message": refusal.message}, refusal.status, headers)


def hinted_id(body: bytes) -> int | None:
    """`record.id` of a row's webhook, or `id` of a bare hint. Raises RefusedError."""
    try:
        hint = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not_json", "the body is not JSON") from None
    if not isinstance(hint, dict):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not_json", "the body is no JSON object")
    record = hint.get("record")
    found = record.get("id") if isinstance(record, dict) else None
    if found is None:
        found = hint.get("id")
    return None if found is None else _chunk_id(found)


def _chunk_id(found: object) -> int:
    """A whole number, or its digits: programs in JavaScript send large ones as text."""
    if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) <= 19:
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found <= LARGEST_ID:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "no_chunk_id", "the id is no chunk's id")
    return found
