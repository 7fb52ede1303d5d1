"""`chunkwise streams try FILE`: what is told of streams that cannot be tried yet."""

from typing import Any

import pytest

from chunkwise.cli import stream_try
from chunkwise.cli.stream_try import try_answers
from chunkwise.errors import DatabaseError

DONE = {"status": "done", "complaints": [], "stream": "goods"}


class Operator:
    """Of a database whose workspace has no goods yet, so that their moves cannot be tried."""

    async def try_stream(self, declaration: object, workspace: str, stream: str | None) -> Any:  # noqa: ANN401, ARG002
        if stream == "moves":
            raise DatabaseError("stream 'moves' is read of each record of 'goods'", code="SY005")
        if stream == "wrong":
            raise DatabaseError("page_size is 0", code="SY006")
        return {"try_id": 1}

    async def get_stream_try(self, try_id: int) -> Any:  # noqa: ANN401, ARG002
        return DONE


async def test_a_child_without_parents_does_not_keep_its_parents_from_being_tried() -> None:
    goods, moves = await try_answers(Operator(), {}, "acme", ["goods", "moves"])

    assert goods == DONE
    assert moves["status"] == "not tried"
    told = "\n".join(stream_try.lines_of(moves))
    assert "of each record of 'goods'" in told
    assert "after a sync" in told


@pytest.mark.parametrize("names", [["moves"], ["goods", "wrong"]])
async def test_what_is_refused_otherwise_is_an_error(names: list[str]) -> None:
    with pytest.raises(DatabaseError):
        await try_answers(Operator(), {}, "acme", names)
