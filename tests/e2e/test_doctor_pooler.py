"""Doctor asks through a transaction pooler, and leaves the pool's sessions as they were."""

import pytest
from pg8000.exceptions import DatabaseError

from chunkwise.doctor.database import Database as Doctor
from chunkwise.secret import Secret
from local.stack import Database
from tests.support.db import Db
from tests.support.transaction_pooler import SESSIONS, transaction_pooler

ASKED = "select :what as what"
TIMEOUT = "select current_setting('statement_timeout') as timeout"


@pytest.mark.usefixtures("database")
def test_the_pooler_of_these_tests_is_as_bad_as_a_real_one(database: Database) -> None:
    with transaction_pooler(database.dsn) as dsn:
        db = Db.connect(dsn)
        with pytest.raises(DatabaseError, match="unnamed prepared statement does not exist"):
            db.run(ASKED, what="a prepared statement outside a transaction")
        db.run("set statement_timeout = '7s'")
        kept = {db.value(TIMEOUT) for _ in range(SESSIONS)}
        assert "7s" in kept
        assert len(kept) == SESSIONS
        db.close()


def test_each_question_has_its_time_limit_and_leaves_none(database: Database) -> None:
    with transaction_pooler(database.dsn) as dsn:
        doctor = Doctor.connect(Secret(dsn))
        asked = [doctor.rows(ASKED, what=f"it's {n}")[0]["what"] for n in range(2 * SESSIONS)]
        limited = {doctor.rows(TIMEOUT)[0]["timeout"] for _ in range(SESSIONS)}
        doctor.close()
        db = Db.connect(dsn)
        left = {db.value(TIMEOUT) for _ in range(SESSIONS)}
        db.close()
    assert asked == [f"it's {n}" for n in range(2 * SESSIONS)]
    assert limited == {"10s"}
    assert left == {"2min"}


def test_a_failed_question_leaves_no_transaction_behind(database: Database) -> None:
    with transaction_pooler(database.dsn) as dsn:
        doctor = Doctor.connect(Secret(dsn))
        for _ in range(SESSIONS):
            with pytest.raises(Exception, match="division by zero"):
                doctor.rows("select 1 / 0")
        assert doctor.rows("select pg_current_xact_id_if_assigned() as id") == [{"id": None}]
        doctor.close()


def test_it_writes_where_the_pool_kept_read_only(database: Database) -> None:
    with transaction_pooler(database.dsn) as dsn:
        db = Db.connect(dsn)
        for _ in range(SESSIONS):
            db.run("set default_transaction_read_only = on")
        db.close()
        doctor = Doctor.connect(Secret(dsn))
        assert doctor.rows("select nextval('sync.ready_seq') > 0 as is_written")[0]["is_written"]
        doctor.close()
