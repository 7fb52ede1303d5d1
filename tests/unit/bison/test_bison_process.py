"""The fake as a process of its own, and its socket."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from local.bison import Hold, running_bison, spawned_bison
from local.bison.reader import plain_client
from local.bison.server import REPOSITORY
from local.serving import listener


def test_connections_have_no_nagle_delay() -> None:
    with listener(0) as sock, socket.create_connection(sock.getsockname()):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_process_serves_the_fleet_it_was_given_with_its_latency() -> None:
    async with spawned_bison({"Müller & Söhne": 16, "zen": 0}, latency_ms=30) as bison:
        first = (await bison.workspaces())[0]
        async with plain_client(bison.api_url) as http:
            key = {"authorization": f"Bearer {first.key}"}
            page = (await http.get("/sender-emails?page=2", headers=key)).json()

        assert (first.name, page["meta"]["total"]) == ("Müller & Söhne", 16)
        (seen,) = (await bison.traffic()).select("Müller & Söhne", page=2, status=200)
        assert seen.answered_ms is not None
        assert seen.answered_ms - seen.arrived_ms > 25


async def test_process_and_thread_with_one_seed_serve_the_same_accounts() -> None:
    sizes = {"acme": 20}
    async with spawned_bison(sizes, seed=3) as one, running_bison(sizes, seed=3) as other:
        assert await one.accounts("acme") == await other.accounts("acme")


async def test_two_instances_run_side_by_side() -> None:
    async with running_bison({"acme": 1}) as one, running_bison({"acme": 2}) as other:
        await one.fault(Hold(), times=None)

        assert one.base_url != other.base_url
        assert await other.rules() == []
        assert (await other.workspace("acme")).total == 2


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_process_ends_quietly_when_told(stop: signal.Signals) -> None:
    with started("--fleet", '{"acme": 1}') as process:
        assert process.stdout is not None
        assert b"control_token" in process.stdout.readline()
        os.kill(process.pid, stop)
        _, complaints = process.communicate(timeout=30)

    assert process.returncode == -stop
    assert complaints == b""


@pytest.mark.parametrize("fleet", ["{", '{"acme": "many"}', "unknown", "[]", '{"acme": -1}'])
def test_fleet_that_makes_no_sense_is_refused(fleet: str) -> None:
    with started("--fleet", fleet) as process:
        output, complaints = process.communicate(timeout=30)

    assert (process.returncode, output) == (2, b"")
    assert b"error:" in complaints
    assert b"Traceback" not in complaints


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        (sys.executable, "-m", "local.bison", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
    )
