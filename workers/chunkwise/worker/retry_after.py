"""How long an API asks to wait: the header Retry-After, or `retry_after` in a JSON body."""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx


def retry_after_seconds(response: httpx.Response, body: bytes) -> float | None:
    header = response.headers.get("Retry-After", "").strip()
    seconds = _number(header)
    if seconds is None and header:
        seconds = _until(header, response.headers.get("Date", ""))
    if seconds is None and response.status_code == 429:
        seconds = _in_body(body)
    return seconds


def _number(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str, server_now: str) -> float | None:
    """Against the server's own clock where it tells it."""
    until = _parse_date(date)
    if until is None:
        return None
    now = _parse_date(server_now) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _in_body(body: bytes) -> float | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    seconds = answer.get("retry_after") if isinstance(answer, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return max(0.0, float(seconds)) if math.isfinite(seconds) else None
