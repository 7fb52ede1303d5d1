"""Where stacks keep their data: outside the checkout, where the database's user reaches it."""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOCK_TRIES = 20
LOCK_PAUSE_SECONDS = 0.05
# Unix sockets allow 107 bytes of path, so names and the folder stay short.
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")


class StackError(Exception):
    """A stack cannot do what was asked; the text says why."""


class StackInUseError(StackError):
    """Another process runs the stack of this name."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system user that PostgreSQL runs as; it refuses to run as root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def for_database(cls) -> "Account":
        entry = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class StackFolder:
    """The files of one stack, keyed by checkout and name."""

    root: Path

    @classmethod
    def of(cls, name: str) -> "StackFolder":
        if not NAME_PATTERN.fullmatch(name):
            raise ValueError(f"a stack's name is lower-case letters, digits and dashes: {name!r}")
        return cls(checkout_folder() / name)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def sockets(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    def create(self, account: Account) -> None:
        """Make the folders; only the data folder and the sockets belong to the database's user."""
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        for owned in (self.data, self.sockets):
            owned.mkdir(mode=0o700, exist_ok=True)
            os.chown(owned, account.uid, account.gid)

    def erase(self) -> None:
        """Remove everything but the folder itself, whose lock the caller holds."""
        for entry in self.root.iterdir() if self.root.exists() else ():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def lock(self) -> int:
        """Take the stack for this process; held until the process ends or closes it."""
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        # Who only asks whether a stack runs holds the lock for a moment: try again.
        for _ in range(LOCK_TRIES):
            if _flock(descriptor, fcntl.LOCK_EX):
                return descriptor
            time.sleep(LOCK_PAUSE_SECONDS)
        os.close(descriptor)
        raise StackInUseError(f"the stack {self.root.name!r} is already running")

    def is_running(self) -> bool:
        """Whether a process holds the stack."""
        if not self.root.exists():
            return False
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other process is starting or stopping this stack by name."""
        gate = self.root.with_name(f".{self.root.name}.gate")
        gate.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        with gate.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def checkout_folder() -> Path:
    """The folder of this checkout's stacks; refuses one that another user has put there."""
    base = Path(f"/var/tmp/chunkwise-{os.getuid()}")
    base.mkdir(mode=0o711, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        raise PermissionError(f"{base} belongs to somebody else; remove it")
    key = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    folder = base / key
    folder.mkdir(mode=0o711, exist_ok=True)
    return folder


def stack_folders() -> list[StackFolder]:
    """Every stack of this checkout."""
    return [StackFolder(path) for path in sorted(checkout_folder().iterdir()) if path.is_dir()]
