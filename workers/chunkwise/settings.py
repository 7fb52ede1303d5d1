"""Settings of the worker and the commands, read once: from the environment, `.env.local`, `.env`.

The first of them that has a value counts. SUPABASE_URL and SUPABASE_SECRET_KEY always come from the
same one: a key must not be sent to another project.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from chunkwise.errors import SettingsError
from chunkwise.secret import Secret

FILES: Final = (".env.local", ".env")
PROJECT: Final = ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_PUBLISHABLE_KEY")
MAX_CONCURRENCY: Final = 1000
SHORTEST_WAKE_TOKEN: Final = 16


def ahead_of(concurrency: int) -> int:
    return max(1, concurrency // 4)


def _new_worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"


def _project_url(text: str) -> str:
    """In the one spelling that all clients take: scheme and host in lower case, no slash behind."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as connecting will: `a..co` is no name
    except ValueError:
        raise _no_project_url() from None
    is_plain = text.isprintable() and not any(each.isspace() for each in text)
    is_http = parts.scheme in ("http", "https") and host != "" and port != 0
    if not is_plain or not is_http or any(mark in text for mark in "@?#"):
        raise _no_project_url()
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            "SUPABASE_URL is not https",
            "The key would travel in plain text: write https://. Only to this machine itself,"
            " 127.0.0.1 or localhost, http will do.",
        )
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine itself, as sync.reach_of() tells it."""
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _no_project_url() -> SettingsError:
    """Not with the value: a URL may hold a password."""
    return SettingsError(
        "SUPABASE_URL is not a URL of a Supabase project",
        "It looks like https://<ref>.supabase.co, or http://127.0.0.1:54321 locally.",
    )


def _secret_key(key: str) -> Secret:
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


def _wake_token(token: str) -> Secret:
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


def _on_or_off(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise ValueError
    return text.lower() == "on"


def _in_a_writable_folder(path: Path) -> Path:
    if not os.access(path.parent, os.W_OK):
        raise ValueError
    return path


def _readable_file(path: Path) -> Path:
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError
    return path


def _number(smallest: float, largest: float, what: str) -> FieldInfo:
    way_out = f"Set it to {what} from {smallest:g} to {largest:g}."
    return FieldInfo(ge=smallest, le=largest, description=way_out)


def _whole_number(smallest: int, largest: int) -> FieldInfo:
    return _number(smallest, largest, "a whole number")


def _seconds(smallest: float, largest: float) -> FieldInfo:
    return _number(smallest, largest, "seconds")


class Settings(BaseSettings):
    """`concurrency` requests are in flight at most; `claim_ahead` more leases may wait for their
    turn, so that no request waits for a claim. A POST waits `answer_seconds` for its claim.

    A field's description is the way out if its value is missing or wrong."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=True, validate_default=False
    )

    supabase_url: Annotated[str, AfterValidator(_project_url)] = Field(
        validation_alias="SUPABASE_URL",
        description="Set it to the project's URL, https://<ref>.supabase.co, where its key is set;"
        " or run `make stack`, which writes both to .env.local.",
    )
    supabase_secret_key: Annotated[Secret, PlainValidator(_secret_key)] = Field(
        validation_alias="SUPABASE_SECRET_KEY",
        description="Copy the secret key (sb_secret_…) from the project's API settings to where"
        " SUPABASE_URL is set.",
    )
    publishable_key: str | None = Field(None, validation_alias="SUPABASE_PUBLISHABLE_KEY")
    database_url: Annotated[Secret, PlainValidator(Secret)] | None = Field(
        None, validation_alias="DATABASE_URL"
    )
    database_certificate: Annotated[Path, AfterValidator(_readable_file)] | None = Field(
        None,
        validation_alias="CHUNKWISE_DATABASE_CERTIFICATE",
        description="Name the file of the root certificate that the dashboard offers under"
        " Database, SSL Configuration.",
    )
    worker_id: str = Field(validation_alias="CHUNKWISE_WORKER_ID", default_factory=_new_worker_id)
    concurrency: Annotated[int, _whole_number(1, MAX_CONCURRENCY)] = Field(
        16, validation_alias="CHUNKWISE_CONCURRENCY"
    )
    claim_ahead: Annotated[int, _whole_number(0, MAX_CONCURRENCY)] = Field(
        validation_alias="CHUNKWISE_CLAIM_AHEAD",
        default_factory=lambda others: ahead_of(others["concurrency"]),
    )
    idle_seconds: Annotated[float, _seconds(0.05, 5)] = Field(
        5, validation_alias="CHUNKWISE_IDLE_SECONDS"
    )
    stop_seconds: Annotated[float, _seconds(0, 600)] = Field(
        8, validation_alias="CHUNKWISE_STOP_SECONDS"
    )
    realtime: Annotated[bool, PlainValidator(_on_or_off)] = Field(
        True, validation_alias="CHUNKWISE_REALTIME", description="Set it to on or off."
    )
    # The server ends a connection after 24 h.
    realtime_renew_seconds: Annotated[float, _seconds(1, 86_000)] = Field(
        82_800, validation_alias="CHUNKWISE_REALTIME_RENEW_SECONDS"
    )
    # The database gives a push up after 2 s.
    answer_seconds: Annotated[float, _seconds(0.01, 1.5)] = Field(
        0.15, validation_alias="CHUNKWISE_ANSWER_SECONDS"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)
    ] = Field(
        "info",
        validation_alias="CHUNKWISE_LOG_LEVEL",
        description="Set it to debug, info, warning or error.",
    )
    wake_token: Annotated[Secret, PlainValidator(_wake_token)] | None = Field(
        None, validation_alias="CHUNKWISE_WAKE_TOKEN"
    )
    pulse_file: Annotated[Path, AfterValidator(_in_a_writable_folder)] | None = Field(
        None,
        validation_alias="CHUNKWISE_PULSE_FILE",
        description="Name a file in a folder that the worker may write to.",
    )
    metrics_listen: str | None = Field(None, validation_alias="CHUNKWISE_METRICS_LISTEN")

    @classmethod
    def read(cls, **given: str) -> Self:
        """What is given, by a setting's name, counts before all sources. Raises SettingsError."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _in_words(error) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """One in place of these four: each by itself, they would mix URL and key."""
        found = _merged({"given": init_settings()} | _sources())
        values = {name: value for name, (value, _) in found.items()}
        return (InitSettingsSource(settings_cls, values),)

    def with_concurrency(self, concurrency: int) -> Self:
        update = {"concurrency": concurrency, "claim_ahead": ahead_of(concurrency)}
        return self.model_copy(update=update)

    def required_wake_token(self) -> Secret:
        """Raises SettingsError if there is none."""
        if self.wake_token is None:
            raise SettingsError(
                "CHUNKWISE_WAKE_TOKEN is not set",
                "With --listen it is what register_worker_endpoint() was given for this worker.",
            )
        return self.wake_token


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the dashboard is served with; nothing of it is secret."""

    supabase_url: str
    publishable_key: str

    @classmethod
    def read(cls) -> Self:
        """Raises SettingsError."""
        found = {name: value for name, (value, _) in _merged(_sources()).items()}
        if "SUPABASE_URL" not in found:
            raise SettingsError("SUPABASE_URL is not set", _WAYS_OUT["SUPABASE_URL"])
        key = found.get("SUPABASE_PUBLISHABLE_KEY", "")
        if not key:
            raise SettingsError(
                "SUPABASE_PUBLISHABLE_KEY is not set",
                "Copy the publishable key (sb_publishable_…) from the project's API settings to"
                " where SUPABASE_URL is set.",
            )
        if key.startswith("sb_secret_"):
            raise SettingsError(
                "SUPABASE_PUBLISHABLE_KEY holds a secret key",
                "The page hands it to anyone: copy the publishable key (sb_publishable_…).",
            )
        return cls(_project_url(found["SUPABASE_URL"]), key)


def _in_file(name: str) -> Mapping[str, str | None]:
    try:
        return DotEnvSettingsSource(Settings, env_file=name).env_vars
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"{name} cannot be read: {error}", "Let it be text, with NAME=value on a line."
        ) from None


def found_settings() -> list[tuple[str, str, str, bool]]:
    """What is set: its name, its value, where it was found, and whether it is a secret."""
    return [
        (name, value, source, name in _SECRETS)
        for name, (value, source) in sorted(_merged(_sources()).items())
    ]


def _sources() -> dict[str, Mapping[str, str | None]]:
    return {"environment": os.environ} | {name: _in_file(name) for name in FILES}


def _merged(sources: Mapping[str, Mapping[str, str | None]]) -> dict[str, tuple[str, str]]:
    """Value and source by name: the first that has a value counts, and who has one of PROJECT for
    both. Empty is not set."""
    merged: dict[str, tuple[str, str]] = {}
    for source, values in sources.items():
        known = {name: (values.get(name) or "").strip() for name in _NAMES}
        present = {name: (value, source) for name, value in known.items() if value}
        if not merged.keys().isdisjoint(PROJECT):
            present = {name: found for name, found in present.items() if name not in PROJECT}
        merged = present | merged
    return merged


def _in_words(error: ValidationError) -> SettingsError:
    """The first that is wrong. No secret comes here: its own check finds the words."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return SettingsError(f"{name} is not set", _WAYS_OUT[name])
    return SettingsError(f"{name} is {first['input']!r}", _WAYS_OUT[name])


_WAYS_OUT: Final = {
    str(field.validation_alias): field.description for field in Settings.model_fields.values()
}
_NAMES: Final = _WAYS_OUT.keys()
# A URL may hold a password.
_SECRETS: Final = ("SUPABASE_SECRET_KEY", "DATABASE_URL", "CHUNKWISE_WAKE_TOKEN")
