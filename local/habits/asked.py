"""A request as a list reads it, and values at keys of a body."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from local.habits.habit import Keys


class WrongRequestError(Exception):
    """Refused with this status; the text is the API's message."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """`said`: the query, or the body of a POST. `url`: as it came, without the query."""

    url: str
    said: Mapping[str, Any]

    @classmethod
    def of(cls, request: Request, body: bytes) -> "Asked":
        url = str(request.url.replace(query=""))
        if request.method == "GET":
            return cls(url, dict(request.query_params))
        try:
            said = json.loads(body or b"{}")
        except ValueError:
            raise WrongRequestError(400, "The body is no JSON.") from None
        if not isinstance(said, dict):
            raise WrongRequestError(400, "The body is no object.")
        return cls(url, said)

    def at(self, keys: Keys) -> Any:  # noqa: ANN401  # JSON
        return value_at(self.said, keys)

    def number(self, keys: Keys, default: int) -> int:
        """What is no number is refused, as what is negative."""
        value = self.at(keys)
        if value is None:
            return default
        if isinstance(value, bool) or not str(value).isdigit():
            raise WrongRequestError(400, f"{keys[-1]} is no number.")
        return int(value)


def value_at(value: Any, keys: Keys) -> Any:  # noqa: ANN401  # JSON
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(str(key))
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def put(body: dict[str, Any], keys: Keys, value: Any) -> None:  # noqa: ANN401  # JSON
    """Objects on the way are made."""
    *way, last = keys
    for key in way:
        body = body.setdefault(str(key), {})
    body[str(last)] = value


def sealed(value: object) -> str:
    """A cursor that nobody should read."""
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsealed(text: object) -> dict[str, Any]:
    try:
        opened = json.loads(urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4)))
    except ValueError:
        opened = None
    if not isinstance(opened, dict):
        raise WrongRequestError(400, "The cursor is not one of ours.")
    return opened
