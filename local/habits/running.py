"""APIs of habits while they run: what they answer, what they saw, and what a test does to them."""

import asyncio
import json
import math
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import blake2s
from random import Random
from typing import TypeAlias
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.bison.faults import Body, Chaos, PlainFault, Status, TokenBucket
from local.bison.memory import Buckets, Dice
from local.bison.traffic import SeenRequest
from local.delivery import Break, Drip, SpoiltDelivery
from local.habits.asked import Asked, WrongRequestError, put
from local.habits.book import Book, Id
from local.habits.book import Record as Row
from local.habits.habit import Api, Churn, Limit, Listing
from local.habits.paging import Served, serve
from local.habits.seen import Record, Seen
from local.habits.tokens import Desk, InvalidGrantError
from local.serving import base_url_of, listener, served

JSON = "application/json"
TOKEN_PATH = "/oauth/token"
CLIENT_GONE = 499
LOOK_S = 0.01
APART = 100_000
# What passes when the same is asked for again; of a hang a test would wait for the time limit.
PASSING: tuple[PlainFault, ...] = (
    Status(status=500),
    Status(status=503),
    Break(how="reset"),
    Break(how="reset", after_bytes=20),
    Break(how="cut", after_bytes=20),
    Drip(parts=3, pause_ms=20),
    Body(content=b"<html>Just a moment</html>", content_type="text/html"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as a test wants it, whatever was asked."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        return Response(self.body, self.status, dict(self.headers), media_type=JSON)


# A break or a drip spoils how the true answer goes over the wire.
Planted: TypeAlias = Reply | Break | Drip


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is for."""

    kind: str
    listing: Listing | None = None
    parent: Id | None = None
    item: Id | None = None


class RunningApi:
    """One API. All that is public may be called from another thread while it serves.

    `refused`: how many requests its limit turned away.
    """

    def __init__(self, name: str, api: Api, origin: str) -> None:
        self.name = name
        self.api = api
        self.origin = origin
        self.base_url = f"{origin}/{name}"
        self.desk = Desk(api.auth, name)
        self.seen = Record()
        self.latency_ms = 0.0
        self.refused = 0
        self._lock = threading.RLock()
        self._books: dict[tuple[str, Id | None], Book] = {}
        self._planted: dict[str, list[Planted]] = {}
        self._is_stalled = False
        self._lets_through = 0
        self._churn: Churn | None = None
        self._chances = Random()
        self._dice: Dice | None = None
        self._limit: Limit | None = None
        self._buckets: Buckets | None = None
        self.limit(api.limit)

    @contextmanager
    def book(self, name: str, parent: Id | None = None) -> Iterator[Book]:
        """A list's truth, to read or edit; nothing is answered meanwhile."""
        with self._lock:
            yield self._book(name, parent)

    def truth(self, name: str) -> dict[tuple[Id | None, Id], Row]:
        """The records that a complete reader has of a list, by parent (None without) and id."""
        with self._lock:
            listing = self.api.lists[name]
            parents = [None] if listing.parent is None else self._book(listing.parent).live
            return {
                (parent, record_id): record
                for parent in parents
                for record_id, record in self._book(name, parent).records.items()
            }

    def limit(self, limit: Limit | None) -> None:
        """Another limit of its rate from now on, or none."""
        with self._lock:
            self._limit = limit
            self._buckets = None
            if limit:
                bucket = TokenBucket(per_second=limit.per_second, burst=limit.burst)
                self._buckets = Buckets(bucket)

    def use_up(self) -> None:
        """Take what its limit lets through now, as another client of the same key does."""
        with self._lock:
            arrived = self._arrived(0, "")
            while self._buckets and not self._buckets.judge(arrived):
                continue

    def churn(self, churn: Churn | None) -> None:
        with self._lock:
            self._churn = churn
            self._chances = Random(churn.seed if churn else 0)

    def faults(self, rate: float, seed: int = 1, faults: tuple[PlainFault, ...] = PASSING) -> None:
        """So many of the requests for lists and items go wrong, none twice in a row."""
        with self._lock:
            self._dice = Dice(Chaos(seed=seed, rate=rate, faults=faults)) if rate else None

    def plant(self, kind: str, *planted: Planted) -> None:
        """What the next requests of that kind get instead, one each."""
        with self._lock:
            self._planted.setdefault(kind, []).extend(planted)

    def stall(self, after: int = 0) -> None:
        """Answer so many requests, and then nothing until `go_on`."""
        self._lets_through = after
        self._is_stalled = True

    def go_on(self) -> None:
        self._is_stalled = False

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        target = self._target(request)
        number = self.seen.arrive(self._as_seen(request, target.kind, body))
        status, sent = CLIENT_GONE, 0
        try:
            is_let_through = self._lets_through > 0
            self._lets_through -= is_let_through
            while self._is_stalled and not is_let_through:
                if await request.is_disconnected():
                    return Response(status_code=CLIENT_GONE)
                await asyncio.sleep(LOOK_S)
            if self.latency_ms:
                await asyncio.sleep(self.latency_ms / 1_000)
            with self._lock:
                response = self._answer(request, target, body, number)
            status, sent = response.status_code, len(response.body)
        finally:
            self.seen.leave(number, status, sent)
        return response

    def _target(self, request: Request) -> Target:
        raw = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        path = raw.removeprefix(f"/{self.name}")
        if path == TOKEN_PATH:
            return Target("token")
        for name, listing in self.api.lists.items():
            whole = re.escape(listing.path).replace(r"\{parent\}", "(?P<parent>[^/]+)")
            found = re.fullmatch(rf"{whole}(/(?P<item>[^/]+))?", path)
            if found:
                given = found.groupdict()
                parent, item = _as_id(given.get("parent")), _as_id(given["item"])
                if item is None and request.method == listing.method:
                    return Target(name, listing, parent)
                if item is not None and listing.has_items and request.method == "GET":
                    return Target(f"{name} item", listing, parent, item)
        return Target("other")

    def _as_seen(self, request: Request, kind: str, body: bytes) -> Seen:
        auth = self.api.auth
        given = request.query_params if auth.where == "query" else request.headers
        query = request.scope["query_string"].decode("ascii", "replace")
        path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        return Seen(
            kind=kind,
            target=f"{path}?{query}" if query else path,
            body=body.decode(errors="replace"),
            credential=given.get(auth.name),
            headers=dict(request.headers),
        )

    def _answer(self, request: Request, target: Target, body: bytes, number: int) -> Response:
        planted = self._planted.get(target.kind)
        spoilt = planted.pop(0) if planted else None
        if isinstance(spoilt, Reply):
            return spoilt.response()
        try:
            if target.kind == "token":
                response = self._grant(request, body)
            else:
                response, fault = self._judged(request, target, body, number)
                spoilt = spoilt or fault
        except WrongRequestError as error:
            response = self._refusal(error.status, str(error))
        return SpoiltDelivery(response, spoilt) if spoilt else response

    def _judged(
        self, request: Request, target: Target, body: bytes, number: int
    ) -> tuple[Response, Break | Drip | None]:
        if not self.desk.admits(request):
            return self._refusal(401, "Unauthenticated."), None
        arrived = self._arrived(number, f"{request.url.path}?{request.url.query} {body!r}")
        headers: dict[str, str] = {}
        if self._limit and self._buckets:
            refusal = self._buckets.judge(arrived)
            headers = self._rate_headers(self._limit, arrived)
            if refusal:
                self.refused += 1
                return self._limited(self._limit, refusal.retry_after_s or 1, headers), None
        fault = self._dice.throw(arrived) if self._dice else None
        match fault:
            case Status(status=status):
                return self._refusal(status, "Something went wrong."), None
            case Body(content=content, status=status, content_type=content_type):
                return Response(content, status, media_type=content_type), None
        response = self._found(request, target, body, number)
        response.headers.update(headers)
        return response, fault if isinstance(fault, Break | Drip) else None

    def _arrived(self, number: int, path: str) -> SeenRequest:
        now_ms = time.monotonic() * 1_000
        return SeenRequest(
            number=number,
            workspace=self.name,
            kind="other",
            path=path,
            page=None,
            arrived_ms=now_ms,
        )

    def _found(self, request: Request, target: Target, body: bytes, number: int) -> Response:
        listing = target.listing
        if listing is None:
            raise WrongRequestError(404, "There is no such path.")
        name = target.kind.removesuffix(" item")
        if listing.parent is not None and (
            target.parent is None or target.parent not in self._book(listing.parent).live
        ):
            raise WrongRequestError(404, "There is no such record.")
        book = self._book(name, target.parent)
        if target.item is not None:
            return self._versioned(request, book, self._item(book, target.item))
        if self._churn and self._chances.random() < self._churn.rate:
            book.disturb(self._chances.choice(self._churn.what))
        return self._versioned(request, book, serve(book, Asked.of(request, body), number))

    def _item(self, book: Book, item: Id) -> Served:
        record = book.get(item)
        if record is None:
            raise WrongRequestError(404, "There is no such record.")
        found: object = record
        for key in reversed(book.listing.item_at):
            found = {str(key): found}
        return Served(json.dumps(found, separators=(",", ":")).encode())

    def _versioned(self, request: Request, book: Book, answer: Served) -> Response:
        response = Response(answer.body, headers=answer.headers, media_type=JSON)
        asked = request.headers
        match book.listing.version_header:
            case "etag":
                tag = f'W/"{blake2s(answer.body, digest_size=12).hexdigest()}"'
                response.headers["etag"] = tag
                is_same = asked.get("if-none-match") == tag
            case "last-modified":
                touched = book.touched.replace(microsecond=0)
                is_same = False
                # Within the second in which it changes, a list has no version yet.
                if datetime.now(UTC) - touched > timedelta(seconds=1):
                    response.headers["last-modified"] = format_datetime(touched, usegmt=True)
                    since = asked.get("if-modified-since")
                    is_same = since is not None and parsedate_to_datetime(since) >= touched
            case None:
                is_same = False
        if not is_same:
            return response
        known = {name: response.headers[name] for name in ("etag", "last-modified")
                 if name in response.headers}  # fmt: skip
        return Response(status_code=304, headers=known)

    def _grant(self, request: Request, body: bytes) -> Response:
        form = dict(pair.partition("=")[::2] for pair in body.decode().split("&") if pair)
        try:
            if request.method != "POST":
                raise WrongRequestError(405, "Tokens are given for a POST.")
            granted = self.desk.grant({_plain(name): _plain(form[name]) for name in form})
        except InvalidGrantError as error:
            status = 401 if str(error) == "invalid_client" else 400
            return Response(json.dumps({"error": str(error)}), status, media_type=JSON)
        return Response(json.dumps(granted), media_type=JSON)

    def _rate_headers(self, limit: Limit, arrived: SeenRequest) -> dict[str, str]:
        if self._buckets is None or limit.says not in ("reset", "forbidden"):
            return {}
        told = self._buckets.headers(arrived)
        left = int(told["x-ratelimit-reset"])
        return {
            "x-ratelimit-remaining": told["x-ratelimit-remaining"],
            "x-ratelimit-reset": str(math.ceil(time.time() + left)),
        }

    def _limited(self, limit: Limit, seconds: int, headers: Mapping[str, str]) -> Response:
        text = "Slow down."
        match limit.says:
            case "retry_after":
                return self._refusal(429, text, {"retry-after": str(seconds)})
            case "reset":
                return self._refusal(429, text, headers)
            case "forbidden":
                return self._refusal(403, text, {**headers, "x-ratelimit-remaining": "0"})
            case "success_false":
                return self._refusal(200, text, success=False)
            case "body":
                return self._refusal(429, text, retry_after=seconds)

    def _refusal(
        self,
        status: int,
        text: str,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Response:
        body = dict(more)
        put(body, self.api.message_at, text)
        return Response(json.dumps(body), status, dict(headers or {}), media_type=JSON)

    def _book(self, name: str, parent: Id | None = None) -> Book:
        if (name, parent) not in self._books:
            listing = self.api.lists[name]
            others = sum(known == name for known, _ in self._books)
            start = 0 if listing.ids_repeat or parent is None else others * APART
            book = Book(listing, f"{self.name} {name} {parent}", start)
            if parent is not None:
                book.fill(listing.children)
            self._books[name, parent] = book
        return self._books[name, parent]


class Habits:
    """The APIs by name."""

    def __init__(self, origin: str, apis: Mapping[str, Api]) -> None:
        self.origin = origin
        self._running = {name: RunningApi(name, api, origin) for name, api in apis.items()}

    def __getitem__(self, name: str) -> RunningApi:
        return self._running[name]

    def __iter__(self) -> Iterator[RunningApi]:
        return iter(self._running.values())

    async def answer(self, request: Request) -> Response:
        running = self._running.get(request.path_params["api"])
        return Response(status_code=404) if running is None else await running.answer(request)


@asynccontextmanager
async def running_habits(apis: Mapping[str, Api]) -> AsyncIterator[Habits]:
    """Serve each API below `/<name>` of one origin, from a thread of this process."""
    with listener() as sock:
        habits = Habits(base_url_of(sock), apis)
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        routes = [Route("/{api}/{path:path}", habits.answer, methods=methods)]
        async with served(Starlette(routes=routes), sock, "habits"):
            try:
                yield habits
            finally:
                for running in habits:
                    running.go_on()


def _as_id(text: str | None) -> Id | None:
    if text is None:
        return None
    plain = unquote(text)
    return int(plain) if re.fullmatch("[0-9]{1,18}", plain) else plain


def _plain(text: str) -> str:
    return unquote(text.replace("+", " "))
