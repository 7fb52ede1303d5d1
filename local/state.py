"""What a stack remembers between starts."""

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Literal

from local.folders import StackFolder
from local.keys import Keys

Grants = Literal["new", "old"]


@dataclass(frozen=True, slots=True, repr=False)
class State:
    """Kept in a file that only the stack's owner can read; has no readable repr on purpose."""

    built_from: str
    port: int
    api_port: int
    superuser_password: str
    authenticator_password: str
    keys: Keys

    @classmethod
    def generate(cls, built_from: str) -> "State":
        return cls(
            built_from=built_from,
            port=0,
            api_port=0,
            superuser_password=secrets.token_urlsafe(24),
            authenticator_password=secrets.token_urlsafe(24),
            keys=Keys.generate(),
        )

    @classmethod
    def read(cls, folder: StackFolder) -> "State | None":
        try:
            values = json.loads(folder.state.read_text())
        except FileNotFoundError:
            return None
        return cls(**{**values, "keys": Keys(**values["keys"])})

    def write(self, folder: StackFolder) -> None:
        draft = folder.state.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(self)))
        draft.rename(folder.state)
