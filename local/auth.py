"""Auth of a local stack: what of `/auth/v1` a page and `chunkwise operators` need.

Answers have the shapes of the hosted service, as the official clients read them. Users stand in
`auth.users`, passwords as bcrypt. A magic link is printed where the gateway logs, with the code
that can be typed instead.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg
import jwt

TOKEN_SECONDS = 3600
LINK_SECONDS = 3600
# A client that repeats a refresh whose answer was lost is no thief.
REUSE_SECONDS = 10
HEADERS = "authorization, apikey, content-type, x-client-info, x-supabase-api-version"
USER = (
    "id, aud, role, email, raw_app_meta_data, raw_user_meta_data, created_at, updated_at,"
    " email_confirmed_at, last_sign_in_at"
)


class AuthError(Exception):
    """Becomes an answer in the service's shape."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A request below `/auth/v1`. `is_service`: it came with the secret key."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    bearer: str
    is_service: bool
    site: str

    @property
    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise AuthError(HTTPStatus.BAD_REQUEST, "bad_json", "Could not parse request body")
        return found


@dataclass(frozen=True, slots=True)
class AuthAnswer:
    status: HTTPStatus
    body: object = None
    location: str | None = None

    def encoded(self) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body).encode()
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "access-control-allow-origin: *",
            f"access-control-allow-headers: {HEADERS}",
            "access-control-allow-methods: GET, POST, PUT, DELETE",
        ]
        if self.location is not None:
            lines.append(f"location: {self.location}")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Connection(Protocol):
    """What is used of a connection of asyncpg."""

    async def fetchrow(self, sql: str, *values: object) -> Mapping[str, Any] | None: ...

    async def fetch(self, sql: str, *values: object) -> list[Mapping[str, Any]]: ...


class Auth:
    """Connects to the database at the first request: most stacks are never asked."""

    def __init__(self, dsn: str, jwt_secret: str) -> None:
        self._dsn = dsn
        self._jwt_secret = jwt_secret
        self._pool: Any = None

    async def answer(self, request: AuthRequest) -> bytes:
        try:
            return (await self._answer(request)).encoded()
        except AuthError as error:
            body = {"code": error.status.value, "error_code": error.code, "msg": error.message}
            return AuthAnswer(error.status, body).encoded()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            body = {"code": 500, "error_code": "unexpected_failure", "msg": str(error)}
            return AuthAnswer(HTTPStatus.INTERNAL_SERVER_ERROR, body).encoded()

    async def _answer(self, request: AuthRequest) -> AuthAnswer:
        if request.method == "OPTIONS":
            return AuthAnswer(HTTPStatus.OK)
        if self._pool is None:
            self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=2)
        if request.path.startswith("/admin/users"):
            return await self._admin(request)
        handlers: dict[tuple[str, str], Callable[[AuthRequest], Awaitable[AuthAnswer]]] = {
            ("POST", "/token"): self._token,
            ("POST", "/otp"): self._send_link,
            ("POST", "/magiclink"): self._send_link,
            ("GET", "/verify"): self._follow_link,
            ("POST", "/verify"): self._verify,
            ("GET", "/user"): self._user,
            ("POST", "/logout"): self._log_out,
        }
        handler = handlers.get((request.method, request.path))
        if handler is None:
            raise AuthError(
                HTTPStatus.NOT_FOUND, "not_found", "404: this stand-in has no such path"
            )
        return await handler(request)

    async def _token(self, request: AuthRequest) -> AuthAnswer:
        given = request.json
        match request.query.get("grant_type"):
            case "password":
                user = await self._pool.fetchrow(
                    f"select {USER} from auth.users where email = lower($1)"
                    " and encrypted_password = extensions.crypt($2, encrypted_password)",
                    str(given.get("email", "")),
                    str(given.get("password", "")),
                )
                if user is None:
                    raise AuthError(
                        HTTPStatus.BAD_REQUEST, "invalid_credentials", "Invalid login credentials"
                    )
                return AuthAnswer(HTTPStatus.OK, await self._session(user))
            case "refresh_token":
                return AuthAnswer(HTTPStatus.OK, await self._refreshed(given))
            case "pkce":
                return AuthAnswer(HTTPStatus.OK, await self._exchanged(given))
            case other:
                raise AuthError(
                    HTTPStatus.BAD_REQUEST, "unsupported_grant_type", f"no grant type {other}"
                )

    async def _refreshed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        session = await self._pool.fetchrow(
            "update auth.refresh_tokens set revoked_at = coalesce(revoked_at, now())"
            " where token = $1 and (revoked_at is null"
            " or revoked_at > now() - make_interval(secs => $2)) returning user_id, session_id",
            str(given.get("refresh_token", "")),
            REUSE_SECONDS,
        )
        if session is None:
            raise AuthError(
                HTTPStatus.BAD_REQUEST,
                "refresh_token_not_found",
                "Invalid Refresh Token: Refresh Token Not Found",
            )
        user = await self._by_id(session["user_id"])
        return await self._session(user, str(session["session_id"]))

    async def _exchanged(self, given: Mapping[str, Any]) -> dict[str, Any]:
        row = await self._pool.fetchrow(
            "delete from auth.one_time_tokens where auth_code = $1 returning user_id, challenge",
            str(given.get("auth_code", "")),
        )
        digest = hashlib.sha256(str(given.get("code_verifier", "")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if row is None or row["challenge"] != challenge:
            raise AuthError(
                HTTPStatus.NOT_FOUND,
                "flow_state_not_found",
                "invalid flow state, no valid flow state found",
            )
        return await self._session(await self._by_id(row["user_id"]))

    async def _send_link(self, request: AuthRequest) -> AuthAnswer:
        given = request.json
        email = str(given.get("email", "")).lower()
        user = await self._pool.fetchrow("select id from auth.users where email = $1", email)
        if user is None and not given.get("create_user", True):
            raise AuthError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "otp_disabled", "Signups not allowed for otp"
            )
        if user is None:
            user = await self._created(email, None, {}, {})
        token, code = secrets.token_hex(28), f"{secrets.randbelow(10**6):06d}"
        challenge = given.get("code_challenge")
        await self._pool.fetchrow(
            "insert into auth.one_time_tokens (token, code, user_id, challenge) values ($1, $2, $3,"
            " $4)",
            token,
            code,
            user["id"],
            challenge,
        )
        target = _redirect_target(request)
        link = f"{request.site}/auth/v1/verify?" + urlencode(
            {"token": token, "type": "magiclink", "redirect_to": target}
        )
        print(f"magic link for {email}: {link} (code {code})", flush=True)
        return AuthAnswer(HTTPStatus.OK, {})

    async def _follow_link(self, request: AuthRequest) -> AuthAnswer:
        target = _redirect_target(request)
        row = await self._pool.fetchrow(
            "select token, user_id, challenge from auth.one_time_tokens where token = $1"
            " and auth_code is null and created_at > now() - make_interval(secs => $2)",
            request.query.get("token", ""),
            LINK_SECONDS,
        )
        if row is None:
            refusal = {
                "error": "access_denied",
                "error_code": "otp_expired",
                "error_description": "Email link is invalid or has expired",
            }
            return AuthAnswer(HTTPStatus.SEE_OTHER, location=f"{target}#{urlencode(refusal)}")
        if row["challenge"] is not None:
            code = secrets.token_urlsafe(24)
            await self._pool.fetchrow(
                "update auth.one_time_tokens set auth_code = $2 where token = $1",
                row["token"],
                code,
            )
            parts = urlsplit(target)
            query = "&".join(part for part in (parts.query, urlencode({"code": code})) if part)
            return AuthAnswer(
                HTTPStatus.SEE_OTHER, location=urlunsplit(parts._replace(query=query))
            )
        await self._pool.fetchrow("delete from auth.one_time_tokens where token = $1", row["token"])
        session = await self._session(await self._by_id(row["user_id"]))
        found = {name: str(session[name]) for name in ("access_token", "refresh_token")}
        rest = {"expires_in": str(TOKEN_SECONDS), "token_type": "bearer", "type": "magiclink"}
        return AuthAnswer(HTTPStatus.SEE_OTHER, location=f"{target}#{urlencode(found | rest)}")

    async def _verify(self, request: AuthRequest) -> AuthAnswer:
        given = request.json
        row = await self._pool.fetchrow(
            "delete from auth.one_time_tokens as t using auth.users as u where u.id = t.user_id"
            " and t.created_at > now() - make_interval(secs => $4)"
            " and (t.token = $1 or (u.email = lower($2) and t.code = $3)) returning t.user_id",
            str(given.get("token_hash", "")),
            str(given.get("email", "")),
            str(given.get("token", "")),
            LINK_SECONDS,
        )
        if row is None:
            raise AuthError(HTTPStatus.FORBIDDEN, "otp_expired", "Token has expired or is invalid")
        return AuthAnswer(HTTPStatus.OK, await self._session(await self._by_id(row["user_id"])))

    async def _user(self, request: AuthRequest) -> AuthAnswer:
        return AuthAnswer(HTTPStatus.OK, _as_json(await self._signed_in(request)))

    async def _log_out(self, request: AuthRequest) -> AuthAnswer:
        user = await self._signed_in(request)
        await self._pool.fetchrow("delete from auth.refresh_tokens where user_id = $1", user["id"])
        return AuthAnswer(HTTPStatus.NO_CONTENT)

    async def _admin(self, request: AuthRequest) -> AuthAnswer:
        if not request.is_service:
            raise AuthError(HTTPStatus.FORBIDDEN, "not_admin", "User not allowed")
        user_id = request.path.removeprefix("/admin/users").strip("/")
        match request.method, bool(user_id):
            case "GET", False:
                return AuthAnswer(HTTPStatus.OK, await self._listed(request.query))
            case "POST", False:
                given = request.json
                user = await self._created(
                    str(given.get("email", "")).lower(),
                    given.get("password"),
                    given.get("app_metadata") or {},
                    given.get("user_metadata") or {},
                )
                return AuthAnswer(HTTPStatus.OK, _as_json(user))
            case "GET", True:
                return AuthAnswer(HTTPStatus.OK, _as_json(await self._by_id(user_id)))
            case "PUT", True:
                return AuthAnswer(HTTPStatus.OK, await self._changed(user_id, request.json))
            case "DELETE", True:
                await self._by_id(user_id)
                await self._pool.fetchrow("delete from auth.users where id::text = $1", user_id)
                return AuthAnswer(HTTPStatus.OK, {})
            case _:
                raise AuthError(HTTPStatus.METHOD_NOT_ALLOWED, "not_found", "no such method")

    async def _listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        page, size = int(query.get("page", "1")), int(query.get("per_page", "50"))
        rows = await self._pool.fetch(
            f"select {USER} from auth.users order by created_at desc, id limit $1 offset $2",
            size,
            (page - 1) * size,
        )
        return {"users": [_as_json(row) for row in rows], "aud": "authenticated"}

    async def _created(
        self,
        email: str,
        password: str | None,
        app_metadata: Mapping[str, Any],
        user_metadata: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        if "@" not in email:
            raise AuthError(
                HTTPStatus.BAD_REQUEST,
                "validation_failed",
                "Unable to validate email address: invalid format",
            )
        try:
            return await self._row(
                "insert into auth.users (id, aud, role, email, encrypted_password,"
                " raw_app_meta_data, raw_user_meta_data, email_confirmed_at)"
                " values (gen_random_uuid(), 'authenticated', 'authenticated', $1,"
                " extensions.crypt($2, extensions.gen_salt('bf', 6)), $3, $4, now())"
                f" returning {USER}",
                email,
                password,
                json.dumps({"provider": "email", "providers": ["email"], **app_metadata}),
                json.dumps(user_metadata),
            )
        except asyncpg.UniqueViolationError:
            raise AuthError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "email_exists",
                "A user with this email address has already been registered",
            ) from None

    async def _changed(self, user_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        await self._by_id(user_id)
        merged = given.get("app_metadata") or {}
        row = await self._row(
            "update auth.users set updated_at = now(), email = coalesce(lower($2), email),"
            " encrypted_password = coalesce(extensions.crypt($3, extensions.gen_salt('bf', 6)),"
            " encrypted_password), raw_app_meta_data ="
            " jsonb_strip_nulls(coalesce(raw_app_meta_data, '{}') || $4)"
            f" where id::text = $1 returning {USER}",
            user_id,
            given.get("email"),
            given.get("password"),
            json.dumps(merged),
        )
        return _as_json(row)

    async def _signed_in(self, request: AuthRequest) -> Mapping[str, Any]:
        try:
            claims = jwt.decode(
                request.bearer, self._jwt_secret, algorithms=["HS256"], audience="authenticated"
            )
        except jwt.InvalidTokenError as error:
            raise AuthError(
                HTTPStatus.FORBIDDEN, "bad_jwt", f"invalid JWT: unable to parse or verify: {error}"
            ) from None
        return await self._by_id(str(claims["sub"]))

    async def _by_id(self, user_id: object) -> Mapping[str, Any]:
        row = await self._pool.fetchrow(
            f"select {USER} from auth.users where id::text = $1",
            str(user_id),
        )
        if row is None:
            raise AuthError(HTTPStatus.NOT_FOUND, "user_not_found", "User not found")
        found: Mapping[str, Any] = row
        return found

    async def _row(self, sql: str, *values: object) -> Mapping[str, Any]:
        row: Mapping[str, Any] = await self._pool.fetchrow(sql, *values)
        return row

    async def _session(
        self, user: Mapping[str, Any], session_id: str | None = None
    ) -> dict[str, Any]:
        refresh_token = secrets.token_urlsafe(12)
        session = await self._row(
            "insert into auth.refresh_tokens (token, user_id, session_id)"
            " values ($1, $2, coalesce($3::text::uuid, gen_random_uuid())) returning session_id",
            refresh_token,
            user["id"],
            session_id,
        )
        user = await self._row(
            f"update auth.users set last_sign_in_at = now() where id = $1 returning {USER}",
            user["id"],
        )
        now = int(time.time())
        claims = {
            "aud": "authenticated",
            "exp": now + TOKEN_SECONDS,
            "iat": now,
            "sub": str(user["id"]),
            "email": user["email"],
            "phone": "",
            "app_metadata": json.loads(user["raw_app_meta_data"] or "{}"),
            "user_metadata": json.loads(user["raw_user_meta_data"] or "{}"),
            "role": "authenticated",
            "aal": "aal1",
            "session_id": str(session["session_id"]),
            "is_anonymous": False,
        }
        return {
            "access_token": jwt.encode(claims, self._jwt_secret, "HS256"),
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "expires_at": now + TOKEN_SECONDS,
            "refresh_token": refresh_token,
            "user": _as_json(user),
        }


def _redirect_target(request: AuthRequest) -> str:
    """Where a link leads: to a page of this machine only, as the hosted service has a list."""
    target = request.query.get("redirect_to", "")
    is_local = urlsplit(target).hostname in ("127.0.0.1", "localhost")
    return target if is_local and not any(c in target for c in "\r\n") else request.site


def _as_json(user: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        name: user[name].isoformat() if user[name] else None
        for name in ("created_at", "updated_at", "email_confirmed_at", "last_sign_in_at")
    }
    return {
        "id": str(user["id"]),
        "aud": user["aud"],
        "role": user["role"],
        "email": user["email"],
        "phone": "",
        "app_metadata": json.loads(user["raw_app_meta_data"] or "{}"),
        "user_metadata": json.loads(user["raw_user_meta_data"] or "{}"),
        "identities": [],
        "is_anonymous": False,
        "confirmed_at": times["email_confirmed_at"],
        **times,
    }


def query_of(text: bytes) -> dict[str, str]:
    """The last value of each parameter."""
    return {name: values[-1] for name, values in parse_qs(text.decode("latin-1")).items()}
