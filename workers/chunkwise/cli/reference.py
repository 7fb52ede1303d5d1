"""What a person types for a job: its id, the first characters of it, or `last`."""

import re
from typing import Final

from chunkwise.errors import ChunkwiseError
from chunkwise.operator.client import Operator

HELP: Final = "Its id, the first four or more characters of it, or `last`."
LAST: Final = "last"
DIGITS: Final = 32
FEWEST_DIGITS: Final = 4
PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]*")


async def job_id(operator: Operator, typed: str) -> str:
    """The whole id. Raises ChunkwiseError if it means no job, or several."""
    if typed == LAST:
        return await newest_job_id(operator)
    digits = typed.lower().replace("-", "")
    if not PREFIX.fullmatch(typed.lower()) or not FEWEST_DIGITS <= len(digits) <= DIGITS:
        raise ChunkwiseError(
            f"{typed} is no job's id",
            "It is an id as `chunkwise status` shows it, its first four or more characters, or"
            " `last`.",
        )
    if len(digits) == DIGITS:
        return typed
    found = await operator.jobs_between(digits.ljust(DIGITS, "0"), digits.ljust(DIGITS, "f"))
    if not found:
        raise ChunkwiseError(f"there is no job {typed}…", "`chunkwise status` lists the newest.")
    if len(found) > 1:
        raise ChunkwiseError(
            f"{typed} is the beginning of several jobs' ids", f"Say more: {', '.join(found)}."
        )
    return found[0]


async def newest_job_id(operator: Operator) -> str:
    jobs = await operator.gateway.latest_jobs(1)
    if not jobs:
        raise ChunkwiseError("there is no job yet", "Start one with `chunkwise sync`.")
    return str(jobs[0]["id"])
