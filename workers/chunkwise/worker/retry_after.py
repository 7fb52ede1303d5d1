"""How long an API asks to wait: the header Retry-After, or `retry_after` in a JSON body.

Both are text of somebody else's: what cannot be read as a wait names none.
"""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

# A date or a number; a longer one costs more to read than it is worth.
MOST_CHARACTERS: Final = 100


def retry_after_seconds(response: httpx.Response, body: bytes) -> float | None:
    header = response.headers.get("Retry-After", "").strip()
    seconds = _number(header)
    if seconds is None and header:
        seconds = _until(header, response.headers.get("Date", ""))
    if seconds is None and response.status_code == 429:
        seconds = _in_body(body)
    return seconds


def _number(text: str) -> float | None:
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return None
    return _wait(seconds)


def _until(date: str, server_now: str) -> float | None:
    """Against the server's own clock where it tells it."""
    until = _parse_date(date)
    if until is None:
        return None
    now = _parse_date(server_now) or datetime.now(UTC)
    try:
        return _wait((until - now).total_seconds())
    except OverflowError:  # the first or last day there is, in a zone that lies beyond it
        return None


def _parse_date(text: str) -> datetime | None:
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        date = parsedate_to_datetime(text)
    except Exception:  # noqa: BLE001  # the parser is lenient, and fails in many ways
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _in_body(body: bytes) -> float | None:
    try:
        answer = json.loads(body)
        seconds = answer.get("retry_after") if isinstance(answer, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return None
        return _wait(float(seconds))
    except (ValueError, OverflowError, RecursionError):
        return None


def _wait(seconds: float) -> float | None:
    return max(0.0, seconds) if math.isfinite(seconds) else None
