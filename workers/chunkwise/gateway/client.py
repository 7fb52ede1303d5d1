"""The only module that speaks to Supabase. One method is one SQL function or one table."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import httpx
from postgrest import APIResponse, AsyncSelectRequestBuilder, CountMethod
from postgrest.exceptions import APIError
from pydantic import ValidationError
from supabase_auth.types import AdminUserAttributes
from supabase_auth.types import User as AuthUser

from chunkwise import PROTOCOL_VERSION, errors
from chunkwise.gateway.pages import PagesAsJson
from chunkwise.gateway.protocol import (
    Claim,
    Extension,
    Failure,
    FailureOutcome,
    Json,
    Lease,
    Outcomes,
    Page,
    Versions,
    first_wrong_field,
)
from chunkwise.gateway.versions import check_versions
from chunkwise.logs import quieten_http_libraries
from chunkwise.secret import Secret, foreign, mask
from supabase import AsyncClient, AsyncClientOptions

_TIMEOUT = httpx.Timeout(30, connect=5)
# A hung call must not cost the leases: they last 20 s.
_CLAIM_SECONDS = 10
_EXTEND_SECONDS = 5
_USERS_A_PAGE = 200
# As many rows the API gives at once unless its settings say fewer.
_ROWS_AT_ONCE = 1000
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30)

Parsed = TypeVar("Parsed")


class _Query(Protocol):
    def execute(self) -> Awaitable[APIResponse]: ...


@dataclass(frozen=True, slots=True)
class Registration:
    """A workspace to add or change. Without a source the only one that is declared is meant; the
    key is empty where that takes none."""

    name: str
    base_url: str
    key: Secret
    source: str | None = None
    external_id: str | None = None
    max_concurrency: int | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """A user of the project's Auth."""

    user_id: str
    email: str
    app_metadata: dict[str, Any]
    created_at: str
    last_sign_in_at: str | None


class Gateway:
    """Calls are sent once; `UnavailableError` says which failures may be repeated. What is missing
    or cannot be read may be another version's, or the API may lag behind the database: then one
    more call asks, and the error says so. `answered_at` (monotonic seconds) is when the database
    last answered a call."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.answered_at = 0.0

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, key: Secret) -> AsyncIterator[Self]:
        quieten_http_libraries()
        async with httpx.AsyncClient(
            timeout=_TIMEOUT,
            limits=_CONNECTIONS,
            follow_redirects=False,
            event_hooks={"response": [_raise_refusal_without(key)]},
        ) as http:
            options = AsyncClientOptions(
                httpx_client=http,
                auto_refresh_token=False,
                persist_session=False,
                postgrest_client_retry=False,
            )
            yield cls(AsyncClient(url, key.reveal(), options))

    async def chunkwise_version(self) -> Versions:
        call = self._execute(self._client.rpc("chunkwise_version", {}))
        return await self._read("chunkwise_version", call, Versions.model_validate)

    async def claim_next_chunk_job_safe(
        self, worker_id: str, limit: int, listening: Json | None = None
    ) -> Claim:
        asked_at = time.monotonic()
        return await self._call(
            "claim_next_chunk_job_safe",
            {
                "p_worker_id": worker_id,
                "p_limit": limit,
                "p_listening": listening,
                "p_protocol": PROTOCOL_VERSION,
            },
            lambda json: Claim.model_validate(json).framed(asked_at),
            _CLAIM_SECONDS,
        )

    async def claim_chunk_job_safe(self, queue_id: int, worker_id: str) -> Claim:
        asked_at = time.monotonic()
        return await self._call(
            "claim_chunk_job_safe",
            {"p_queue_id": queue_id, "p_worker_id": worker_id, "p_protocol": PROTOCOL_VERSION},
            lambda json: Claim.model_validate(json).framed(asked_at),
            _CLAIM_SECONDS,
        )

    async def complete_chunk_jobs_safe(self, pages: Sequence[tuple[Lease, Page]]) -> Outcomes:
        return await self._answered(
            "complete_chunk_jobs_safe",
            self._post("complete_chunk_jobs_safe", PagesAsJson(pages)),
            Outcomes.model_validate,
        )

    async def fail_chunk_job_safe(self, lease: Lease, failure: Failure) -> FailureOutcome:
        return await self._call(
            "fail_chunk_job_safe",
            {
                "p_queue_id": lease.queue_id,
                "p_lease_token": lease.lease_token,
                "p_error_class": failure.error_class,
                "p_error_message": failure.message,
                "p_answer": failure.answer,
            },
            FailureOutcome.model_validate,
        )

    async def extend_chunk_leases(self, leases: Sequence[Lease]) -> Extension:
        return await self._call(
            "extend_chunk_leases",
            {"p_leases": [lease.key for lease in leases]},
            Extension.model_validate,
            _EXTEND_SECONDS,
        )

    async def start_sync_job(
        self, name: str | None, streams: Sequence[str], workspaces: Sequence[str]
    ) -> Json:
        """What is not given is left to the function's defaults."""
        arguments: dict[str, object] = {}
        if name:
            arguments["p_job_name"] = name
        if streams:
            arguments["p_streams"] = list(streams)
        if workspaces:
            arguments["p_workspaces"] = list(workspaces)
        return await self._call("start_sync_job", arguments, _as_it_is)

    async def get_sync_job_progress(self, job_id: str) -> Json:
        return await self._call("get_sync_job_progress", {"p_job_id": job_id}, _as_it_is)

    async def register_workspace(self, given: Registration) -> Json:
        return await self._call(
            "register_workspace",
            {
                "p_workspace_name": given.name,
                "p_base_url": given.base_url,
                "p_api_key": given.key.reveal(),
                "p_source": given.source,
                "p_external_id": given.external_id,
                "p_max_concurrency": given.max_concurrency,
                "p_replace": given.replace,
            },
            _as_it_is,
        )

    async def latest_jobs(self, limit: int, *kinds: str) -> list[dict[str, Any]]:
        """Of some kinds, or of any; the newest first."""
        query = self._client.table("polling_job_status").select("*")
        query = query.in_("kind", kinds) if kinds else query
        return await self._rows(query.order("started_at", desc=True).limit(limit))

    async def workspaces(self) -> list[dict[str, Any]]:
        return await self.select(
            "sync_workspaces",
            "workspace_name, source_id, base_url, external_id, is_active, max_concurrency,"
            " key_status, key_checked_at",
            order="workspace_name",
            removed_at=None,
        )

    async def call(self, function: str, arguments: dict[str, Any]) -> Json:
        """A function of which the answer is passed on as it is."""
        return await self._call(function, arguments, _as_it_is)

    async def select(
        self,
        relation: str,
        columns: str = "*",
        order: str | None = None,
        limit: int | None = None,
        **equal: object,
    ) -> list[dict[str, Any]]:
        """Rows of a view or table: the first `limit`, or all of them. Those of several rows need an
        `order` that no two rows share: columns, and perhaps "desc" or "nullsfirst" behind one.
        `equal`: None means null."""

        def query(count: CountMethod | None) -> AsyncSelectRequestBuilder:
            rows = self._client.table(relation).select(columns, count=count)
            for column, value in equal.items():
                rows = rows.is_(column, "null") if value is None else rows.eq(column, value)
            for part in order.split(",") if order else ():
                column, _, how = part.strip().partition(" ")
                rows = rows.order(
                    column, desc=how == "desc", nullsfirst=how == "nullsfirst" or None
                )
            return rows

        if limit is not None:
            return await self._rows(query(None).limit(limit))
        return await self._rows(query(None)) if order is None else await self._all_rows(query)

    async def ids_between(self, relation: str, lowest: str, highest: str, limit: int) -> list[str]:
        """Ids of rows from `lowest` to `highest`, in their order."""
        query = self._client.table(relation).select("id").gte("id", lowest).lte("id", highest)
        return [str(row["id"]) for row in await self._rows(query.order("id").limit(limit))]

    async def users(self) -> list[User]:
        """Every user of the project, page by page."""
        found: list[User] = []
        page = 1
        while True:
            users = await self._of_auth(
                self._client.auth.admin.list_users(page=page, per_page=_USERS_A_PAGE)
            )
            found += [_user(user) for user in users]
            if len(users) < _USERS_A_PAGE:
                return found
            page += 1

    async def create_user(
        self, email: str, password: Secret | None, app_metadata: dict[str, Any]
    ) -> User:
        attributes: AdminUserAttributes = {
            "email": email,
            "email_confirm": True,
            "app_metadata": app_metadata,
        }
        if password is not None:
            attributes["password"] = password.reveal()
        answer = await self._of_auth(self._client.auth.admin.create_user(attributes))
        return _user(answer.user)

    async def change_user(
        self, user_id: str, password: Secret | None, app_metadata: dict[str, Any]
    ) -> User:
        """A field of the metadata that is None goes; those not named stay."""
        attributes: AdminUserAttributes = {"app_metadata": app_metadata}
        if password is not None:
            attributes["password"] = password.reveal()
        call = self._client.auth.admin.update_user_by_id(user_id, attributes)
        return _user((await self._of_auth(call)).user)

    async def _of_auth(self, call: Awaitable[Parsed]) -> Parsed:
        try:
            return await call
        except httpx.RequestError as error:
            raise self._no_answer(error) from None

    async def exposes(self, schema: str) -> bool:
        """Whether the API serves a schema; PGRST106 says that it does not."""
        query = self._client.schema(schema).table("nothing").select("*")
        try:
            await self._rows(query.limit(0))
        except errors.DatabaseError as error:
            return error.code != "PGRST106"
        return True

    async def _call(
        self,
        function: str,
        arguments: dict[str, Any],
        parse: Callable[[Json], Parsed],
        seconds: float | None = None,
    ) -> Parsed:
        return await self._answered(
            function, self._execute(self._client.rpc(function, arguments)), parse, seconds
        )

    async def _answered(
        self,
        function: str,
        call: Awaitable[object],
        parse: Callable[[Json], Parsed],
        seconds: float | None = None,
    ) -> Parsed:
        try:
            return await self._read(function, call, parse, seconds)
        except (errors.SchemaMissingError, errors.ProtocolError) as error:
            raise await self._explained(error) from None

    async def _read(
        self,
        function: str,
        call: Awaitable[object],
        parse: Callable[[Json], Parsed],
        seconds: float | None = None,
    ) -> Parsed:
        try:
            async with asyncio.timeout(seconds):
                answer = await call
        except TimeoutError:
            raise errors.UnavailableError(f"{function} did not answer within {seconds} s") from None
        self.answered_at = time.monotonic()
        if not isinstance(answer, dict):
            raise errors.ProtocolError(
                f"{function} answered something that is no JSON object",
                "SUPABASE_URL must point at a Supabase project with Chunkwise's migrations.",
            )
        try:
            return parse(answer)
        except ValidationError as error:
            raise errors.ProtocolError(
                f"{function} answered what this program cannot read: {first_wrong_field(error)}",
                errors.SCHEMA_HINT,
            ) from None

    async def _explained(self, error: errors.ChunkwiseError) -> errors.ChunkwiseError:
        """The error that `error` is a sign of; itself if there is no other."""
        try:
            check_versions(await self.chunkwise_version())
        except errors.VersionMismatchError as mismatch:
            return mismatch
        except errors.ChunkwiseError:
            return error
        if error.code in errors.NOT_IN_THE_CACHE:
            return errors.StaleApiError(error.message, error.code)
        return error

    async def _all_rows(
        self, query: Callable[[CountMethod | None], AsyncSelectRequestBuilder]
    ) -> list[dict[str, Any]]:
        """To the end: the API gives a limited number of rows at once, and says nothing of it."""
        first = await self._answer(query(CountMethod.exact).range(0, _ROWS_AT_ONCE - 1))
        if first.count is None:
            raise errors.ProtocolError(
                "a table did not say how many rows it has",
                "What stands before the API has to pass on Prefer and Content-Range.",
            )
        rows = _as_rows(first.data)
        while len(rows) < first.count:
            more = await self._rows(query(None).range(len(rows), len(rows) + _ROWS_AT_ONCE - 1))
            if not more:
                break
            rows += more
        return rows

    async def _rows(self, query: _Query) -> list[dict[str, Any]]:
        return _as_rows((await self._answer(query)).data)

    async def _answer(self, query: _Query) -> APIResponse:
        try:
            return await self._response(query)
        except errors.SchemaMissingError as error:
            raise await self._explained(error) from None

    async def _post(self, function: str, arguments: PagesAsJson) -> object:
        """Without the official client, which would build the whole call in memory several times."""
        rest = self._client.postgrest
        headers = dict(rest.headers) | {
            "Content-Type": "application/json",
            "Content-Length": str(len(arguments)),
        }
        url = f"{self._client.supabase_url}rest/v1/rpc/{function}"
        try:
            response = await rest.session.post(url, content=arguments, headers=headers)
            return response.json()
        except httpx.RequestError as error:
            raise self._no_answer(error) from None
        except (ValueError, RecursionError):  # no JSON, or deeper than can be read
            return None

    async def _execute(self, query: _Query) -> object:
        return (await self._response(query)).data

    async def _response(self, query: _Query) -> APIResponse:
        try:
            return await query.execute()
        except httpx.RequestError as error:
            raise self._no_answer(error) from None
        except APIError as error:
            raise errors.DatabaseError(error.message or "refused", error.hint, error.code) from None
        except (ValueError, RecursionError) as error:
            raise errors.ProtocolError(
                f"an answer cannot be read as JSON: {type(error).__name__}",
                "SUPABASE_URL must point at a Supabase project with Chunkwise's migrations.",
            ) from None

    def _no_answer(self, error: httpx.RequestError) -> errors.UnavailableError:
        text = foreign(str(error), [Secret(self._client.supabase_key)]) or type(error).__name__
        return errors.UnavailableError(f"no answer from {self._client.supabase_url}: {text}")


def _user(user: AuthUser) -> User:
    return User(
        user.id,
        user.email or "",
        user.app_metadata,
        user.created_at.isoformat(),
        user.last_sign_in_at.isoformat() if user.last_sign_in_at else None,
    )


def _as_it_is(json: Json) -> Json:
    return json


def _as_rows(rows: object) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise errors.ProtocolError(
            "a table answered something that is no JSON array",
            "SUPABASE_URL must point at a Supabase project with Chunkwise's migrations.",
        )
    return rows


def _raise_refusal_without(key: Secret) -> Callable[[httpx.Response], Awaitable[None]]:
    """Before the official client sees it: its errors do not carry the HTTP status. Whatever stands
    before PostgREST may repeat the key."""

    async def raise_refusal(response: httpx.Response) -> None:
        if not response.is_success:
            error = errors.from_answer(response.status_code, await response.aread())
            error.message = mask(error.message, [key])
            error.hint = error.hint and mask(error.hint, [key])
            raise error

    return raise_refusal
