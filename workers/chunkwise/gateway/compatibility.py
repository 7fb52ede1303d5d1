"""Connecting to a project, and finding out at once, in one sentence, if that cannot work."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from chunkwise.errors import (
    RELOAD_HINT,
    SCHEMA_HINT,
    ChunkwiseError,
    KeyRefusedError,
    SchemaMissingError,
    SettingsError,
    UnavailableError,
    VersionMismatchError,
)
from chunkwise.gateway.backoff import Backoff
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Versions
from chunkwise.gateway.versions import check_versions
from chunkwise.settings import Settings

# A project that has just been started answers, but not yet with its schema.
STARTING_SECONDS: Final = 15.0


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway to a project whose schema and protocol this program knows."""
    async with Gateway.connect(settings.supabase_url, settings.supabase_secret_key) as gateway:
        check_versions(await _versions(gateway, settings.supabase_url))
        yield gateway


async def _versions(gateway: Gateway, url: str) -> Versions:
    backoff = Backoff()
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            return await gateway.chunkwise_version()
        except UnavailableError as error:
            if error.status is None or time.monotonic() > deadline:
                raise _unreachable(url, error) from None
        except KeyRefusedError as error:
            raise SettingsError(
                f"SUPABASE_SECRET_KEY is not accepted by {url}: {error.message}",
                "Copy the secret key (sb_secret_…) from this project's API settings.",
            ) from None
        except SchemaMissingError:
            raise VersionMismatchError(
                f"{url} has no Chunkwise schema, or its API has not read it yet",
                f"{SCHEMA_HINT} If they are pushed: {RELOAD_HINT}",
            ) from None
        except ChunkwiseError as error:
            raise SettingsError(
                f"SUPABASE_URL={url} does not answer like a Supabase project: {error.message}",
                "Set it to the project's URL, https://<ref>.supabase.co, without a path.",
            ) from None
        await backoff.wait()


def _unreachable(url: str, error: UnavailableError) -> SettingsError:
    return SettingsError(
        f"SUPABASE_URL={url} cannot be reached: {error.message}",
        "Check the setting, and that the project runs; `make stack` starts a local one.",
    )
