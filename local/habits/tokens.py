"""Who may ask: keys, passwords, and the tokens of OAuth2 with their expiry and rotation."""

import json
import secrets
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from local.habits.habit import Auth


class InvalidGrantError(Exception):
    """The token endpoint's refusal: the text is its `error`."""


@dataclass(slots=True)
class Desk:
    """Gives and judges credentials. `granted`: how many access tokens it has given; `secret`: what
    a workspace is registered with."""

    auth: Auth
    seed: str
    granted: int = 0
    is_revoked: bool = False
    _key: str = field(init=False)
    _refresh: str = field(init=False)
    _forgiven: str | None = None
    _tokens: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = f"key-of-{self.seed}-{secrets.token_hex(8)}"
        self._refresh = f"refresh-of-{self.seed}-{secrets.token_hex(8)}"

    @property
    def secret(self) -> str:
        match self.auth.kind:
            case "none":
                return "none"
            case "key":
                return self._key
            case "basic":
                return f"{self._user}:{self._key}"
            case "oauth2_client":
                return json.dumps(self._client)
            case "oauth2_refresh":
                return json.dumps({**self._client, "refresh_token": self._refresh})

    @property
    def _user(self) -> str:
        return f"user-of-{self.seed}"

    @property
    def _client(self) -> dict[str, str]:
        return {"client_id": self._user, "client_secret": self._key}

    def expire(self) -> None:
        """Every access token, before its time."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def admits(self, request: Request) -> bool:
        auth = self.auth
        if auth.kind == "none":
            return True
        if auth.where == "query":
            given = request.query_params.get(auth.name, "")
        else:
            given = request.headers.get(auth.name, "")
        match auth.kind:
            case "key":
                return secrets.compare_digest(given.encode(), f"{auth.prefix}{self._key}".encode())
            case "basic":
                pair = b64encode(f"{self._user}:{self._key}".encode()).decode()
                return secrets.compare_digest(given.encode(), f"Basic {pair}".encode())
            case _:
                token = given.removeprefix(auth.prefix)
                is_good = not self.is_revoked and self._tokens.get(token, 0) > time.monotonic()
                if is_good:
                    self._forgiven = None
                return is_good

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        """The token endpoint's answer to a form. Raises InvalidGrantError."""
        if {name: form.get(name) for name in self._client} != self._client:
            raise InvalidGrantError("invalid_client")
        if self.auth.kind == "oauth2_client":
            if form.get("grant_type") != "client_credentials":
                raise InvalidGrantError("unsupported_grant_type")
            return self._token()
        if form.get("grant_type") != "refresh_token":
            raise InvalidGrantError("unsupported_grant_type")
        given = form.get("refresh_token")
        if self.is_revoked or given not in (self._refresh, self._forgiven):
            # Who comes with what was spent may be a thief.
            self.is_revoked = True
            raise InvalidGrantError("invalid_grant")
        answer = self._token()
        if self.auth.rotates:
            self._forgiven = given if self.auth.forgives else None
            self._refresh = f"refresh-of-{self.seed}-{secrets.token_hex(8)}"
            answer["refresh_token"] = self._refresh
        return answer

    def _token(self) -> dict[str, Any]:
        self.granted += 1
        token = f"token-{self.granted}-of-{self.seed}-{secrets.token_hex(8)}"
        self._tokens[token] = time.monotonic() + self.auth.lives_s
        return {"access_token": token, "token_type": "bearer", "expires_in": self.auth.lives_s}
