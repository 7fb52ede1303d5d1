"""Children that cannot outlive the process that started them."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.folders import Account, StackError

STOP_TIMEOUT_SECONDS = 20.0
START_TIMEOUT_SECONDS = 120.0
LOOK_SECONDS = 0.01


class StartError(StackError):
    """A program did not start; the text ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A program in a process group of its own, so a Ctrl-C in the terminal reaches only us.

    The kernel sends it `death_signal` when the *thread* that started it ends: start children from
    a thread that lives as long as they should.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        death_signal: str = "KILL",
        inherited: Sequence[int] = (),
    ) -> "Child":
        guard = ["setpriv", "--pdeathsig", death_signal]
        if account is not None and account.uid != os.getuid():
            guard += ["--reuid", str(account.uid), "--regid", str(account.gid), "--init-groups"]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*guard, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if environment is None else dict(environment),
                cwd="/",
                pass_fds=tuple(inherited),
                process_group=0,
            )
        return cls(name, process, log)

    def wait_until(
        self, is_ready: Callable[[], bool], seconds: float = START_TIMEOUT_SECONDS
    ) -> None:
        """Return when ready; raise StartError if it ends first or takes too long."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self.process.poll() is not None:
                raise StartError(
                    f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
                )
            if time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise StartError(f"{self.name} is not ready:\n{self.tail()}")
            time.sleep(LOOK_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end; SIGKILL after a grace period."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def listening_socket(preferred_port: int = 0) -> socket.socket:
    """A listening loopback socket; on the preferred port if that is free, else on any."""
    for port in (preferred_port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it; without it every small answer waits 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        listener.listen(512)
        return listener
    raise StartError("no free port on the loopback address")
