"""Asks all the questions. One that cannot be asked is listed as unchecked, never as well."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from chunkwise.doctor import engine, platform
from chunkwise.doctor.database import Database, QueryError
from chunkwise.doctor.findings import Finding, Report, Unchecked
from chunkwise.errors import ChunkwiseError, SchemaMissingError, VersionMismatchError
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Versions
from chunkwise.gateway.versions import check_versions
from chunkwise.settings import Settings

ANSWER_SECONDS: Final = 8.0
LOOK_SECONDS: Final = 0.05
CLOSED_SCHEMAS: Final = ("sync", "vault", "net", "cron")

PARTITION: Final = "realtime partition"
LOCKS: Final = "locks"
PG_NET: Final = "pg_net alive"
QUESTIONS: Final = (
    ("extensions", platform.EXTENSIONS),
    ("read only", platform.READ_ONLY),
    ("isolation", platform.ISOLATION),
    ("cron jobs", platform.CRON_JOBS),
    ("cron alive", platform.CRON_ALIVE),
    ("vault", platform.VAULT),
    ("statement log", platform.STATEMENT_LOG),
    ("realtime", platform.REALTIME),
    (PARTITION, platform.PARTITION),
    ("grants", platform.GRANTS),
    ("row security", platform.ROW_SECURITY),
    ("workers", engine.WORKERS),
    ("sweep", engine.SWEEP),
    ("health check", engine.HEALTH),
    ("alerts", engine.ALERTS),
    ("dead rows", engine.BLOAT),
    ("statement timeouts", engine.TIMEOUTS),
)


async def examine(settings: Settings, database: Database) -> Report:
    examination = Examination()
    examination.report.connection = database.security
    await asyncio.to_thread(examination.ask_database, database, settings)
    async with Gateway.connect(settings.supabase_url, settings.supabase_secret_key) as gateway:
        await examination.ask_api(gateway, database)
    return examination.report


class Examination:
    def __init__(self) -> None:
        self.report = Report()

    def cannot(self, check: str, reason: str) -> None:
        self.report.unchecked.append(Unchecked(check, reason))

    @contextmanager
    def of(self, check: str) -> Iterator[Callable[[str, str, str], None]]:
        """Gives a function that notes a finding: subject, message, mend."""

        def found(subject: str, message: str, mend: str) -> None:
            self.report.findings.append(Finding(check, subject, message, mend))

        try:
            yield found
        except ChunkwiseError as error:
            self.cannot(check, error.message)
        else:
            self.report.checked.append(check)

    def ask_database(self, database: Database, settings: Settings) -> None:
        # Nobody listens where Realtime is off, so that nobody makes partitions.
        questions = {
            check: question
            for check, question in QUESTIONS
            if settings.realtime or check != PARTITION
        }
        if not self._has_schema(database):
            for check in (*questions, LOCKS, PG_NET):
                self.cannot(check, "there is no Chunkwise schema to look at")
            return
        for check, question in questions.items():
            with self.of(check) as found:
                for row in database.rows(question):
                    found(str(row["subject"]), str(row["message"]), str(row["mend"]))
        self._ask_for_locks(database)
        self._ask_pg_net(database, settings.supabase_url)

    def _has_schema(self, database: Database) -> bool:
        with self.of("schema") as found:
            if not database.rows(engine.HAS_VERSION):
                found("schema", "is not there", "Push the migrations: supabase db push --remote.")
                return False
            try:
                check_versions(_versions_of(database))
            except VersionMismatchError as error:
                found("schema", error.message, str(error.hint))
        return True

    def _ask_for_locks(self, database: Database) -> None:
        with self.of(LOCKS) as found:
            if not database.rows(engine.SEES_OTHERS)[0]["sees"]:
                raise QueryError(
                    "this login may not see other sessions: it needs pg_read_all_stats"
                )
            for row in database.rows(engine.LOCKS):
                found(str(row["subject"]), str(row["message"]), str(row["mend"]))

    def _ask_pg_net(self, database: Database, api_url: str) -> None:
        """Sends a request to the project's own API; any answer, also a refusal, shows it lives."""
        with self.of(PG_NET) as found:
            if not database.rows(engine.CAN_PING):
                raise QueryError("function net.http_get is not there")
            (request,) = database.rows(engine.PING, url=f"{api_url}/rest/v1/")
            deadline = time.monotonic() + ANSWER_SECONDS
            while not database.rows(engine.PONG, request_id=request["request_id"]):
                if time.monotonic() > deadline:
                    found(
                        "pg_net",
                        f"sent nothing for {ANSWER_SECONDS:.0f} s: hints and alerts stay here",
                        "select net.worker_restart(); or restart the database in the dashboard.",
                    )
                    break
                time.sleep(LOOK_SECONDS)

    async def ask_api(self, gateway: Gateway, database: Database) -> None:
        with self.of("api") as found:
            try:
                theirs = (await gateway.chunkwise_version(), await _workspaces(gateway))
            except SchemaMissingError:
                found("api", "does not know Chunkwise", "notify pgrst, 'reload schema';")
                self.cannot("exposed schemas", "the API does not know Chunkwise")
                return
            except ChunkwiseError as error:
                mend = error.hint or "Check SUPABASE_URL and SUPABASE_SECRET_KEY."
                found("api", error.message, mend)
                self.cannot("exposed schemas", "the API does not answer as it should")
                return
            if theirs != (_versions_of(database), _workspaces_of(database)):
                found(
                    "api",
                    "answers for another database than DATABASE_URL names",
                    "Let SUPABASE_URL and DATABASE_URL name the same project.",
                )
        for schema in CLOSED_SCHEMAS:
            with self.of(f"schema {schema} closed") as found:
                if await gateway.exposes(schema):
                    mend = f"Take {schema} off the exposed schemas under Settings, Data API."
                    found(schema, "is exposed over the API", mend)


def _versions_of(database: Database) -> Versions:
    return Versions.model_validate(database.rows(engine.VERSION)[0]["version"])


async def _workspaces(gateway: Gateway) -> list[str]:
    return sorted(str(row["workspace_name"]) for row in await gateway.workspaces())


def _workspaces_of(database: Database) -> list[str]:
    return sorted(str(row["workspace_name"]) for row in database.rows(engine.WORKSPACES))
