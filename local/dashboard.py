"""The dashboard before a stack, and the operator who signs in at it."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.api import Api
from local.process import Child, StartError

SERVED = re.compile(r"at (http://\S+)")
EMAIL = "me@agency.example"
PASSWORD = "correct horse"


@contextmanager
def dashboard(api: Api, logs: Path) -> Iterator[str]:
    """`chunkwise dashboard` before an API; its address. Raises StartError."""
    log = logs / "dashboard.log"
    log.write_text("")
    child = Child.start(
        "dashboard",
        [sys.executable, "-m", "chunkwise", "dashboard", "--listen", "127.0.0.1:0"],
        log,
        environment={
            "PATH": "/usr/bin:/bin",
            "SUPABASE_URL": api.url,
            "SUPABASE_PUBLISHABLE_KEY": api.publishable_key,
        },
    )
    try:
        child.wait_until(lambda: SERVED.search(log.read_text()) is not None)
        found = SERVED.search(log.read_text())
        if found is None:
            raise StartError("the dashboard says no address")
        yield found[1]
    finally:
        child.stop()


def add_operator(run: Callable[..., object]) -> None:
    """As `chunkwise operators add` does, without its start."""
    run(
        "insert into auth.users (id, aud, role, email, encrypted_password, raw_app_meta_data,"
        " email_confirmed_at) values (gen_random_uuid(), 'authenticated', 'authenticated', :email,"
        " extensions.crypt(:password, extensions.gen_salt('bf', 4)),"
        """ '{"provider": "email", "chunkwise": "operator"}', now())""",
        email=EMAIL,
        password=PASSWORD,
    )
