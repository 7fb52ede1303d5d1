"""Doctor looks at every function of ours."""

from chunkwise.doctor.engine import TIMEOUTS
from chunkwise.doctor.platform import GRANTS
from tests.support.db import Db


def test_it_knows_every_function_of_ours(db: Db) -> None:
    """Somebody granted everything to everybody, or took every time limit away."""
    db.run("grant execute on all functions in schema public to anon")
    verbs = db.column(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace"
    )
    definers = db.column(
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace = 'public'::regnamespace and prosecdef"
    )
    for verb in verbs:
        db.run(f"alter function {verb} reset statement_timeout")

    granted = [row["subject"] for row in db.run(GRANTS)]
    unlimited = [row["subject"] for row in db.run(TIMEOUTS)]
    assert sorted(unlimited) == sorted(verbs)
    # Others run with the rights of whoever calls them.
    assert sorted(granted) == sorted(definers)
