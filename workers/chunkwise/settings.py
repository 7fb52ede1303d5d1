"""Settings of the worker and the commands: environment variables, read once."""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from chunkwise.errors import SettingsError
from chunkwise.secret import Secret

MAX_CONCURRENCY = 1000
SHORTEST_WAKE_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """`concurrency` requests are in flight at most; `claim_ahead` more leases may wait for their
    turn, so that no request waits for a claim. A POST waits `answer_seconds` for its claim."""

    supabase_url: str
    supabase_secret_key: Secret
    worker_id: str
    concurrency: int
    claim_ahead: int
    idle_seconds: float
    stop_seconds: float
    realtime: bool
    realtime_renew_seconds: float
    answer_seconds: float
    log_level: str
    wake_token: Secret | None
    pulse_file: Path | None
    metrics_listen: str | None

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        env = os.environ if env is None else env
        concurrency = _whole_number(env, "CHUNKWISE_CONCURRENCY", 16, 1, MAX_CONCURRENCY)
        ahead = ahead_of(concurrency)
        return cls(
            supabase_url=_url(env),
            supabase_secret_key=_key(env),
            worker_id=env.get("CHUNKWISE_WORKER_ID", "").strip() or _new_worker_id(),
            concurrency=concurrency,
            claim_ahead=_whole_number(env, "CHUNKWISE_CLAIM_AHEAD", ahead, 0, MAX_CONCURRENCY),
            idle_seconds=_seconds(env, "CHUNKWISE_IDLE_SECONDS", 5, 0.05, 5),
            stop_seconds=_seconds(env, "CHUNKWISE_STOP_SECONDS", 8, 0, 600),
            realtime=_on_or_off(env, "CHUNKWISE_REALTIME"),
            # The server ends a connection after 24 h.
            realtime_renew_seconds=_seconds(
                env, "CHUNKWISE_REALTIME_RENEW_SECONDS", 82_800, 1, 86_000
            ),
            # The database gives a push up after 2 s.
            answer_seconds=_seconds(env, "CHUNKWISE_ANSWER_SECONDS", 0.15, 0.01, 1.5),
            log_level=_log_level(env),
            wake_token=_wake_token(env),
            pulse_file=_pulse_file(env),
            metrics_listen=env.get("CHUNKWISE_METRICS_LISTEN", "").strip() or None,
        )

    def required_wake_token(self) -> Secret:
        """Raises SettingsError if there is none."""
        if self.wake_token is None:
            raise SettingsError(
                "CHUNKWISE_WAKE_TOKEN is not set",
                "With --listen it is what register_worker_endpoint() was given for this worker.",
            )
        return self.wake_token


def ahead_of(concurrency: int) -> int:
    return max(1, concurrency // 4)


def _new_worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"


def _url(env: Mapping[str, str]) -> str:
    url = env.get("SUPABASE_URL", "").strip().rstrip("/")
    if not url:
        raise SettingsError(
            "SUPABASE_URL is not set",
            "Set it to the project's URL, https://<ref>.supabase.co, or run `make stack`, which"
            " writes it to .env.local.",
        )
    if not _is_project_url(url):
        raise SettingsError(
            "SUPABASE_URL is not a URL of a Supabase project",
            "It looks like https://<ref>.supabase.co, or http://127.0.0.1:54321 locally.",
        )
    return url


def _is_project_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_none_or_a_number = parts.port is None or parts.port > 0
        (parts.hostname or "").encode("idna")  # as connecting will: `a..co` is no name
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_http and port_is_none_or_a_number and not parts.username


def _key(env: Mapping[str, str]) -> Secret:
    key = env.get("SUPABASE_SECRET_KEY", "").strip()
    if not key:
        raise SettingsError(
            "SUPABASE_SECRET_KEY is not set",
            "Copy the secret key (sb_secret_…) from the project's API settings.",
        )
    if key.startswith("sb_publishable_"):
        raise SettingsError(
            "SUPABASE_SECRET_KEY holds a publishable key",
            "A worker needs the secret key (sb_secret_…) from the project's API settings.",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            "SUPABASE_SECRET_KEY holds characters that no key has",
            "Copy the secret key (sb_secret_…) again, without spaces or line breaks.",
        )
    return Secret(key)


def _whole_number(
    env: Mapping[str, str], name: str, default: int, smallest: int, largest: int
) -> int:
    text = env.get(name, "").strip()
    try:
        number = int(text) if text else default
    except ValueError:
        number = smallest - 1
    if not smallest <= number <= largest:
        raise SettingsError(
            f"{name} is {text!r}", f"Set it to a whole number from {smallest} to {largest}."
        )
    return number


def _seconds(
    env: Mapping[str, str], name: str, default: float, smallest: float, largest: float
) -> float:
    text = env.get(name, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = smallest - 1
    if not smallest <= number <= largest:
        raise SettingsError(
            f"{name} is {text!r}", f"Set it to seconds from {smallest:g} to {largest:g}."
        )
    return number


def _on_or_off(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip().lower() or "on"
    if text not in ("on", "off"):
        raise SettingsError(f"{name} is {text!r}", "Set it to on or off.")
    return text == "on"


def _log_level(env: Mapping[str, str]) -> str:
    level = env.get("CHUNKWISE_LOG_LEVEL", "").strip().lower() or "info"
    if level not in ("debug", "info", "warning", "error"):
        raise SettingsError(
            f"CHUNKWISE_LOG_LEVEL is {level!r}", "Set it to debug, info, warning or error."
        )
    return level


def _wake_token(env: Mapping[str, str]) -> Secret | None:
    token = env.get("CHUNKWISE_WAKE_TOKEN", "").strip()
    if not token:
        return None
    if len(token) < SHORTEST_WAKE_TOKEN or not token.isascii() or not token.isprintable():
        raise SettingsError(
            "CHUNKWISE_WAKE_TOKEN is no wake token",
            f"It has at least {SHORTEST_WAKE_TOKEN} characters of ASCII: `openssl rand -hex 24`.",
        )
    if token.startswith("sb_secret_"):
        raise SettingsError(
            "CHUNKWISE_WAKE_TOKEN holds a secret key",
            "Make a token of its own: every login of the database can read it in pg_net's tables.",
        )
    return Secret(token)


def _pulse_file(env: Mapping[str, str]) -> Path | None:
    path = env.get("CHUNKWISE_PULSE_FILE", "").strip()
    if not path:
        return None
    if not os.access(Path(path).parent, os.W_OK):
        raise SettingsError(
            f"CHUNKWISE_PULSE_FILE is {path!r}",
            "Name a file in a folder that the worker may write to.",
        )
    return Path(path)
