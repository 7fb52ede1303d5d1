"""Which token of a role stands behind a caller's key, and which caller is refused."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs


class RefusedError(Exception):
    """The request does not pass; becomes a JSON answer."""

    def __init__(self, status: HTTPStatus, **body: str) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """Who may pass as whom."""

    publishable_key: str
    secret_key: str
    anon_token: str
    service_token: str

    def authorization(self, headers: dict[bytes, bytes], query: bytes) -> bytes:
        """The `Authorization` that PostgREST gets. Raises RefusedError."""
        token = self.token(headers, query)
        key = headers.get(b"apikey", b"").decode() or _key_in(query)
        bearer = headers.get(b"authorization", b"")
        if bearer and bearer.removeprefix(b"Bearer ").strip() != key.encode():
            return bearer
        return b"Bearer " + token.encode()

    def token(self, headers: dict[bytes, bytes], query: bytes) -> str:
        """The token of the role that the caller's key stands for. Raises RefusedError."""
        key = headers.get(b"apikey", b"").decode() or _key_in(query)
        if not key:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                message="No API key found in request",
                hint="No `apikey` request header or url param was found.",
            )
        return self._role_token(key, headers.get(b"user-agent", b""))

    def _role_token(self, key: str, user_agent: bytes) -> str:
        if key == self.publishable_key:
            return self.anon_token
        if key != self.secret_key:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                message="Invalid API key",
                hint="Double check your Supabase `anon` or `service_role` API key.",
            )
        if user_agent.lower().startswith(b"mozilla/"):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                message="Forbidden use of secret API key in browser",
                hint="Secret API keys can only be used in a protected environment.",
            )
        return self.service_token


def _key_in(query: bytes) -> str:
    return parse_qs(query.decode("latin-1")).get("apikey", [""])[0]
