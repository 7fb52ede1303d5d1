"""Whose token it is, and until when."""

import time
from dataclasses import dataclass
from typing import Any

import jwt

MALFORMED = "The token provided is not a valid JWT"


class TokenError(Exception):
    """The token is refused: `code` goes into the server's answer to a join, before the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A checked token."""

    text: str
    role: str
    claims: dict[str, Any]

    @property
    def seconds_left(self) -> float:
        return float(self.claims["exp"]) - time.time()


def check(text: str, secret: str) -> Token:
    """Raises TokenError."""
    try:
        claims = jwt.decode(
            text, secret, algorithms=["HS256"],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
        )  # fmt: skip
    except jwt.InvalidSignatureError:
        raise TokenError("JwtSignatureError", "Failed to validate JWT signature") from None
    except jwt.InvalidTokenError:
        raise TokenError("MalformedJWT", MALFORMED) from None
    if not isinstance(claims.get("role"), str) or not isinstance(claims.get("exp"), int):
        raise TokenError("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
    token = Token(text, claims["role"], claims)
    refuse_expired(token)
    return token


def refuse_expired(token: Token) -> None:
    """Raises TokenError."""
    if token.seconds_left <= 0:
        raise TokenError(
            "InvalidJWTToken", f"Token has expired {int(-token.seconds_left)} seconds ago"
        )
