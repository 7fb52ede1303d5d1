"""What the API says of one workspace's key, asked at once, whether a worker is there or not."""

import asyncio
from typing import Final

from chunkwise.cli.output import Row
from chunkwise.errors import DatabaseError
from chunkwise.operator.client import Operator
from chunkwise.settings import Settings
from chunkwise.worker.one_chunk import fetch_chunk

STREAM: Final = "connection"
ASK_SECONDS: Final = 25.0
LOOK_SECONDS: Final = 0.2
LIVE: Final = "running"
# No such stream at all, or none of this workspace's source.
TELLS_NO_OWNER: Final = ("SY003", "SY005")
BAD: Final = ("refused", "other_workspace")


async def ask_about_key(settings: Settings, operator: Operator, workspace: str) -> Row:
    """`verdict`: accepted, refused, other_workspace; unchecked if the API gave no answer, or its
    source tells no owner. `key_owner` says whose it is, `error_message` what is wrong."""
    try:
        started = await operator.gateway.start_sync_job(
            f"key of {workspace}", [STREAM], [workspace]
        )
    except DatabaseError as error:
        if error.code not in TELLS_NO_OWNER:
            raise
        return _unchecked("its source does not tell whose a key is")
    if started["status"] != "accepted":
        return _unchecked("another job is asking about it")
    job_id = str(started["job_id"])
    try:
        async with asyncio.timeout(ASK_SECONDS):
            said = await _ask(settings, operator, job_id)
    except TimeoutError:
        said = "the API did not answer in time"
    if await _is_live(operator, job_id):
        await operator.cancel_sync_job(job_id)
    (key,) = (await operator.get_key_check(job_id))["keys"]
    if key["is_accepted"]:
        return {**key, "verdict": "accepted"}
    if key["key_status"] in BAD:
        return {**key, "verdict": key["key_status"]}
    return _unchecked(said or str(key["error_message"] or "no answer"))


async def _ask(settings: Settings, operator: Operator, job_id: str) -> str | None:
    """Returns: why there is no answer, if there is none."""
    chunks = await operator.gateway.select(
        "chunk_processing_queue", "id", order="id", parent_sync_job_id=job_id
    )
    for chunk in chunks:
        outcome = await fetch_chunk(settings, operator.gateway, chunk["id"])
        if outcome is not None:
            return None if outcome.outcome in ("completed", "failed") else outcome.message
    # A worker was faster.
    while True:
        if not await _is_live(operator, job_id):
            return None
        await asyncio.sleep(LOOK_SECONDS)


async def _is_live(operator: Operator, job_id: str) -> bool:
    progress = await operator.gateway.get_sync_job_progress(job_id)
    return bool(progress["status"] == LIVE)


def _unchecked(why: str) -> Row:
    return {"verdict": "unchecked", "key_owner": None, "error_message": why}
