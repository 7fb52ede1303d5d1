"""One PostgreSQL cluster: own folder, own port, hosted-like roles, schemas and extensions."""

import os
import secrets
import select
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.folders import CHECKOUT, Account, StackError, StackFolder
from local.process import STOP_TIMEOUT_SECONDS, Child, StartError, listening_socket

SQL_FOLDER = CHECKOUT / "local" / "sql"
SUPERUSER = "supabase_admin"
# Those that no package registry has: where the server has one, its stand-in steps aside.
REAL_WHERE_PROVIDED = ("pg_net", "supabase_vault")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "cron.database_name": "postgres",
    "cron.use_background_workers": "on",
    "cron.timezone": "GMT",
    "max_connections": "120",
    "max_worker_processes": "24",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_level": "logical",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "statement_timeout": "2min",
    "timezone": "UTC",
    "jit": "off",
}
WITHOUT_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class DatabaseError(StackError):
    """A statement of the set-up failed; the text is psql's."""


def binaries() -> Path:
    """The folder of PostgreSQL's programs, of the oldest version that is here from 15 to 17;
    `CHUNKWISE_PG_BIN` names another one's."""
    if named := os.environ.get("CHUNKWISE_PG_BIN"):
        return Path(named)
    here = [Path(f"/usr/lib/postgresql/{major}/bin") for major in (15, 16, 17)]
    return next((path for path in here if (path / "postgres").exists()), here[0])


def provided_extensions() -> list[str]:
    """Which of the originals of our stand-ins this server has."""
    share = subprocess.run(
        [binaries() / "pg_config", "--sharedir"], capture_output=True, text=True, check=True
    )
    folder = Path(share.stdout.strip()) / "extension"
    return [name for name in REAL_WHERE_PROVIDED if (folder / f"{name}.control").exists()]


@dataclass(slots=True)
class Cluster:
    """Started by `start`, which may be called again after `stop`; keeps its port."""

    folder: StackFolder
    port: int
    superuser_password: str
    fsync: bool
    account: Account = field(default_factory=Account.for_database)
    _server: Child | None = None

    def initialise(self, authenticator_password: str, grants: str) -> None:
        """Make the data folder, start, and bring roles, schemas and extensions in."""
        self.folder.create(self.account)
        self._initdb()
        self.start()
        variables = {"authenticator_password": authenticator_password, "grants": grants}
        for name in ("roles", "database", "auth", "vault", "realtime", "net"):
            self.psql("--single-transaction", "-f", str(SQL_FOLDER / f"{name}.sql"), **variables)

    def start(self) -> None:
        """Start the server; takes another port if somebody took ours."""
        for _ in range(5):
            with listening_socket(self.port) as free:
                self.port = int(free.getsockname()[1])
            try:
                self._start_server()
            except StartError as error:
                if "Address already in use" not in str(error):
                    raise
            else:
                return
        raise StartError("no free port for PostgreSQL after 5 tries")

    def stop(self, *, immediate: bool = False) -> None:
        """A fast shutdown, or an immediate one (as a crash: no checkpoint, recovery at start)."""
        if self._server is not None:
            self._server.stop(signal.SIGQUIT if immediate else signal.SIGINT)
            self._server = None

    def psql(self, *arguments: str, database: str = "postgres", **variables: str) -> str:
        """Run psql as superuser; returns its output, raises DatabaseError."""
        return run_psql(
            self.folder.sockets, self.port, self.superuser_password, database, arguments, variables
        )

    def _initdb(self) -> None:
        password_file = self.folder.sockets / "password"
        password_file.write_text(self.superuser_password)
        root_key = self.folder.data / "vault_root.key"
        command = [
            str(binaries() / "initdb"), "--pgdata", str(self.folder.data), "--username", SUPERUSER,
            "--auth", "scram-sha-256", "--pwfile", str(password_file), "--encoding", "UTF8",
            "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        try:
            self._hand_over(password_file)
            initdb = Child.start(
                "initdb", command, self.folder.logs / "initdb.log", account=self.account
            )
            if initdb.process.wait() != 0:
                raise StartError(f"initdb failed:\n{initdb.tail()}")
        finally:
            password_file.unlink()
        root_key.write_text(secrets.token_hex(32))
        self._hand_over(root_key)
        provided = provided_extensions()
        settings = SETTINGS | {"shared_preload_libraries": ",".join(["pg_cron", *provided])}
        if "supabase_vault" in provided:
            script = self.folder.data / "vault_getkey"
            script.write_text(f"#!/bin/sh\nexec cat '{root_key}'\n")
            self._hand_over(script, mode=0o700)
            settings["vault.getkey_script"] = str(script)
        lines = (f"{name} = '{value}'\n" for name, value in settings.items())
        (self.folder.data / "postgresql.conf").write_text("".join(lines))

    def _hand_over(self, path: Path, mode: int = 0o600) -> None:
        path.chmod(mode)
        os.chown(path, self.account.uid, self.account.gid)

    def _start_server(self) -> None:
        options = {"port": str(self.port), "unix_socket_directories": str(self.folder.sockets)}
        if not self.fsync:
            options |= WITHOUT_DURABILITY
        command = [str(binaries() / "postgres"), "-D", str(self.folder.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log = self.folder.logs / "postgres.log"
        log.write_bytes(b"")
        pid_file = self.folder.data / "postmaster.pid"
        server = Child.start("postgres", command, log, account=self.account, death_signal="INT")
        server.wait_until(lambda: _is_accepting(pid_file, server.process.pid))
        self._server = server


def run_psql(
    sockets: Path,
    port: int,
    password: str,
    database: str,
    arguments: tuple[str, ...],
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run psql as superuser over the stack's own socket."""
    command = [
        str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
        "-v", "ON_ERROR_STOP=1", "-h", str(sockets), "-p", str(port), "-U", SUPERUSER,
        "-d", database,
    ]  # fmt: skip
    for name, value in (variables or {}).items():
        command += ["-v", f"{name}={value}"]
    outcome = subprocess.run(
        [*command, *arguments],
        env={"PGPASSWORD": password, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        raise DatabaseError(outcome.stderr.strip())
    return outcome.stdout.strip()


def stop_left_behind(folder: StackFolder) -> None:
    """Stop a server whose owner was killed. The caller holds the stack's lock."""
    pid_file = folder.data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().splitlines()[0])
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        handle = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError):
        return
    try:
        if os.fsencode(folder.data) in command:
            signal.pidfd_send_signal(handle, signal.SIGQUIT)
            select.select([handle], [], [], STOP_TIMEOUT_SECONDS)
    finally:
        os.close(handle)


def _is_accepting(pid_file: Path, pid: int) -> bool:
    """The server writes its state into line 8 of its pid file, where pg_ctl looks too."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
