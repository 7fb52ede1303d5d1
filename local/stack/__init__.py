"""A Supabase of one's own without Docker: PostgreSQL, PostgREST and a gateway.

    with Stack.start("mine") as stack:                 # grants="old": the old default grants
        stack.dsn()                                    # the live database, as `postgres`
        stack.dsn("supabase_admin", "some_database")   # any login role, any database
        database = stack.create_database("t1")         # a copy with all migrations
        empty = stack.create_bare_database("t2")       # a copy without any
        api = stack.serve(database)                    # PostgREST, Realtime, gateway for it
        api.url, api.secret_key, api.publishable_key, api.user_token(), api.operator_token()
        stack.deliver(database)                        # pg_net's process for it
        stack.stop_postgres(immediate=True)
        stack.start_postgres()
        api.stop()
        database.drop()

A stack is a cluster. Its live database is `postgres`: migrations are pushed there with the Supabase
CLI, and only there pg_cron runs. Copies carry cron's tables without its clock. A data folder is
kept between starts and built anew when the migrations, `local/sql` or the options change.

`Stack.attach(name)` uses a stack that another process runs; it can do all but stop and start
PostgreSQL. Everything started ends with the thread that started it, even if that is killed.

    python -m local.stack up|down|env|sql [--name NAME]
"""

import itertools
import os
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import quote

from local.api import Api, DatabaseLogin
from local.cluster import SUPERUSER, Cluster, run_psql, stop_left_behind
from local.folders import StackError, StackFolder, StackInUseError, stack_folders
from local.net import Deliverer
from local.project import Project, fingerprint
from local.state import Grants, State

LIVE_DATABASE = "postgres"
TEMPLATE_DATABASE = "chunkwise_template"
# A hosted project as it is before anything is pushed.
BARE_DATABASE = "chunkwise_bare"


class NotRunningError(StackError):
    """No process runs the stack of this name."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a stack."""

    name: str
    stack: "Stack"

    @property
    def dsn(self) -> str:
        return self.stack.dsn(database=self.name)

    def drop(self) -> None:
        """Remove it, whoever is connected."""
        self.stack.psql("-c", f'drop database if exists "{self.name}" with (force)')


@dataclass(slots=True)
class Stack:
    """See the module. `_cluster` is None if another process runs it."""

    folder: StackFolder
    state: State
    _cluster: Cluster | None = None
    _lock: int | None = None
    _apis: list[Api] = field(default_factory=list)
    _deliverers: list[Deliverer] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, *, grants: Grants = "new", fsync: bool = False) -> Self:
        """Build it if needed and run it. Raises StackInUseError, StartError, PushError."""
        folder = StackFolder.of(name)
        lock = folder.lock()
        try:
            stop_left_behind(folder)
            stop_others_left_behind()
            state = State.read(folder)
            if state is None or state.built_from != fingerprint(grants):
                state, cluster = _build(folder, grants, fsync=fsync)
            else:
                cluster = Cluster(folder, state.port, state.superuser_password, fsync)
                cluster.start()
        except BaseException:
            os.close(lock)
            raise
        state = replace(state, port=cluster.port)
        state.write(folder)
        return cls(folder, state, cluster, lock)

    @classmethod
    def start_free(cls, name: str, *, grants: Grants = "new", fsync: bool = False) -> Self:
        """The first of name, name-2, name-3 … that nobody runs."""
        for number in itertools.count(1):
            try:
                free = name if number == 1 else f"{name}-{number}"
                return cls.start(free, grants=grants, fsync=fsync)
            except StackInUseError:
                continue
        raise AssertionError("unreachable")

    @classmethod
    def attach(cls, name: str) -> Self:
        """Use a stack that another process runs. Raises NotRunningError."""
        folder = StackFolder.of(name)
        state = State.read(folder)
        if state is None or not folder.is_running():
            raise NotRunningError(f"no stack {name!r} is running")
        return cls(folder, state)

    @property
    def project(self) -> Project:
        """The Supabase CLI, pointed at this stack."""
        return Project(self.folder.project)

    def dsn(self, user: str = "postgres", database: str = LIVE_DATABASE) -> str:
        """A connection URL over TCP; users: postgres, supabase_admin, authenticator."""
        passwords = {
            "postgres": "postgres",
            SUPERUSER: self.state.superuser_password,
            "authenticator": self.state.authenticator_password,
        }
        login = f"{user}:{quote(passwords[user])}"
        return f"postgresql://{login}@127.0.0.1:{self.state.port}/{database}"

    def psql(self, *arguments: str, database: str = LIVE_DATABASE) -> str:
        """Run psql as superuser. Raises DatabaseError."""
        return run_psql(
            self.folder.sockets, self.state.port, self.state.superuser_password, database, arguments
        )

    def live_database(self) -> Database:
        return Database(LIVE_DATABASE, self)

    def create_database(self, name: str) -> Database:
        """A fresh copy of the pushed schema, in place of one of that name, in about 0.1 s."""
        return self.copy(TEMPLATE_DATABASE, name)

    def create_bare_database(self, name: str) -> Database:
        """What a project on supabase.com is at first: nothing is pushed to it yet."""
        return self.copy(BARE_DATABASE, name)

    def copy(self, template: str, name: str) -> Database:
        """Of a database that nobody is connected to, in place of one of that name."""
        database = Database(name, self)
        database.drop()
        self.psql("-c", f'create database "{name}" template {template} owner postgres')
        return database

    def serve(self, database: Database | None = None) -> Api:
        """Start PostgREST and gateway for a database; they end with this process."""
        name = LIVE_DATABASE if database is None else database.name
        login = DatabaseLogin(
            self.folder.sockets,
            self.state.port,
            name,
            self.state.authenticator_password,
            realtime_dsn=self.dsn(SUPERUSER, name),
        )
        preferred_port = self.state.api_port if name == LIVE_DATABASE else 0
        api = Api.start(self.state.keys, login, self.folder.logs, preferred_port)
        if name == LIVE_DATABASE:
            self.state = replace(self.state, api_port=api.port)
            self.state.write(self.folder)
        self._apis.append(api)
        return api

    def deliver(self, database: Database | None = None) -> Deliverer:
        """Send what net.http_post() and its like queue in a database; ends with this process."""
        name = LIVE_DATABASE if database is None else database.name
        log = self.folder.logs / f"pg_net-{name}.log"
        deliverer = Deliverer(self.dsn(SUPERUSER, name), log)
        deliverer.start()
        self._deliverers.append(deliverer)
        return deliverer

    def stop_postgres(self, *, immediate: bool = False) -> None:
        """Fast, or immediate: as a crash, with recovery at the next start."""
        self._own_cluster().stop(immediate=immediate)

    def start_postgres(self) -> None:
        """Start it again, on the same port."""
        self._own_cluster().start()

    def stop(self) -> None:
        """Stop all that this object started."""
        for api in self._apis:
            api.stop()
        self._apis.clear()
        for deliverer in self._deliverers:
            deliverer.stop()
        self._deliverers.clear()
        if self._cluster is not None:
            self._cluster.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _own_cluster(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("another process runs this stack's PostgreSQL")
        return self._cluster


def _build(folder: StackFolder, grants: Grants, *, fsync: bool) -> tuple[State, Cluster]:
    folder.erase()
    state = State.generate(fingerprint(grants))
    cluster = Cluster(folder, state.port, state.superuser_password, fsync)
    try:
        cluster.initialise(state.authenticator_password, grants)
        _keep(cluster, BARE_DATABASE)
        project = Project(folder.project)
        project.point_at(cluster.port)
        project.push()
        _keep(cluster, TEMPLATE_DATABASE)
        # pg_cron's scheduler was disconnected for the copy, and comes back only with the server.
        cluster.stop()
        cluster.start()
    except BaseException:
        cluster.stop(immediate=True)
        raise
    return state, cluster


def _keep(cluster: Cluster, name: str) -> None:
    """Copy the live database while nobody, pg_cron's clock included, is connected to it."""
    cluster.psql(
        "-c", f"alter database {LIVE_DATABASE} with allow_connections false",
        "-c", "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        f"where datname = '{LIVE_DATABASE}'",
        "-c", f"create database {name} template {LIVE_DATABASE} owner postgres",
        "-c", f"alter database {name} with allow_connections false is_template true",
        "-c", f"alter database {LIVE_DATABASE} with allow_connections true",
        database="template1",
    )  # fmt: skip


def stop_others_left_behind() -> None:
    """Stop servers of this checkout's other stacks whose owners were killed."""
    for folder in stack_folders():
        if folder.is_running():
            continue
        try:
            lock = folder.lock()
        except StackInUseError:
            continue
        try:
            stop_left_behind(folder)
        finally:
            os.close(lock)
