"""How long an API asks to wait."""

import httpx
import pytest

from chunkwise.worker.retry_after import retry_after_seconds


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {"Retry-After": "12"}, b"", 12),
        (429, {"Retry-After": " 1.5 "}, b"", 1.5),
        (503, {"Retry-After": "3"}, b"", 3),
        (429, {"Retry-After": "-4"}, b"", 0),
        (429, {"Retry-After": "nan"}, b"", None),
        (429, {"Retry-After": "soon"}, b"", None),
        (429, {}, b'{"retry_after": 9}', 9),
        (429, {}, b'{"retry_after": 0.25}', 0.25),
        (429, {"Retry-After": "2"}, b'{"retry_after": 9}', 2),
        (429, {}, b'{"retry_after": "9"}', None),
        (429, {}, b'{"retry_after": true}', None),
        (429, {}, b'{"retry_after": Infinity}', None),
        (429, {}, b"[9]", None),
        (429, {}, b"not json", None),
        (503, {}, b'{"retry_after": 9}', None),
        (429, {}, b"", None),
    ],
)
def test_seconds(status: int, headers: dict[str, str], body: bytes, seconds: float | None) -> None:
    assert retry_after_seconds(httpx.Response(status, headers=headers), body) == seconds


def test_a_date_counts_from_the_servers_own_clock() -> None:
    headers = {
        "Date": "Sun, 22 Nov 2026 08:00:00 GMT",
        "Retry-After": "Sun, 22 Nov 2026 08:01:30 GMT",
    }
    assert retry_after_seconds(httpx.Response(429, headers=headers), b"") == 90


def test_a_date_that_has_passed_means_now() -> None:
    headers = {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert retry_after_seconds(httpx.Response(429, headers=headers), b"") == 0
