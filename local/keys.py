"""The API keys of a stack and the tokens that it signs."""

import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

TOKEN_SECONDS = 3600
# The gateway's own tokens for a key, as long-lived as the keys of `supabase start`.
KEY_TOKEN_SECONDS = 10 * 365 * 24 * 3600


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Secret material; has no readable repr on purpose."""

    publishable: str
    secret: str
    jwt_secret: str

    @classmethod
    def generate(cls) -> "Keys":
        return cls(
            publishable=f"sb_publishable_{secrets.token_urlsafe(16)}_{secrets.token_hex(4)}",
            secret=f"sb_secret_{secrets.token_urlsafe(16)}_{secrets.token_hex(4)}",
            jwt_secret=secrets.token_urlsafe(48),
        )

    def role_token(self, role: str) -> str:
        """The token that stands behind a key: `anon` or `service_role`."""
        return self._sign({"role": role, "iss": "supabase"}, KEY_TOKEN_SECONDS)

    def user_token(self, email: str = "user@example.com", **app_metadata: str) -> str:
        """The token of a signed-in user, valid for an hour."""
        claims = {
            "aud": "authenticated",
            "role": "authenticated",
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{email}")),
            "email": email,
            "app_metadata": {"provider": "email", **app_metadata},
            "user_metadata": {},
        }
        return self._sign(claims, TOKEN_SECONDS)

    def operator_token(self, email: str = "operator@example.com") -> str:
        """The token of a user who may start, cancel, pause, retry and approve."""
        return self.user_token(email, chunkwise="operator")

    def token(self, claims: dict[str, Any]) -> str:
        """A token with these claims, valid for an hour."""
        return self._sign(claims, TOKEN_SECONDS)

    def _sign(self, claims: dict[str, Any], seconds: int) -> str:
        now = int(time.time())
        return jwt.encode({**claims, "iat": now, "exp": now + seconds}, self.jwt_secret, "HS256")
