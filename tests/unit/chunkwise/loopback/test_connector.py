"""What a request connects to: only what its lease reaches, whatever a name resolves to.

No socket is opened: a backend of the test notes what it was asked to connect to.
"""

# ruff: noqa: ARG002, ASYNC109  # the signatures are httpcore's

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore
import pytest

from chunkwise.gateway.protocol import Failure, Page, Reach
from chunkwise.worker.connector import Connector, Exchange, exchange, resolve
from chunkwise.worker.fetch import Fetcher
from loopback.leases import claim_json, leased
from loopback.server import Server

NAME = "api.example"


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self) -> None:
        self.server_hostname: str | None = None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def start_tls(
        self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        self.server_hostname = server_hostname
        return self


@dataclass
class Backend(httpcore.AsyncNetworkBackend):
    """`dead`: addresses that nobody answers at."""

    dead: Sequence[str] = ()
    connected: list[str] = field(default_factory=list)
    stream: _Stream = field(default_factory=_Stream)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append(host)
        if host in self.dead:
            raise httpcore.ConnectError("nobody there")
        return self.stream


@dataclass
class Resolver:
    """Answers with each of `answers` in turn."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0)


async def connected(
    reach: Reach, *answers: list[str], dead: Sequence[str] = ()
) -> tuple[list[str], str | None]:
    """What was connected to, and the refusal."""
    backend = Backend(dead)
    exchange.set(Exchange(reach))
    try:
        await Connector(backend, Resolver(list(answers))).connect_tcp(NAME, 443, timeout=5)
    except httpcore.ConnectError as error:
        return backend.connected, str(error)
    return backend.connected, None


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "::1", "169.254.169.254", "10.1.2.3", "172.20.0.1", "0.0.0.0"),
        *("192.168.0.1", "100.64.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "fd00::1", "fe80::1", "fe80::1%1", "ff02::1", "::ffff:127.0.0.1"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::1", "2001::1", "2001:db8::1"),
    ],
)
async def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(address: str) -> None:
    tried, refusal = await connected("public", [address])

    assert tried == []
    assert refusal is not None
    assert NAME in refusal
    assert address in refusal


async def test_of_several_addresses_only_public_ones_are_tried() -> None:
    mixed = ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "64:ff9b::808:808"]
    public = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]

    assert await connected("public", mixed) == (public[:1], None)
    assert await connected("public", mixed, dead=public[:2]) == (public, None)
    assert await connected("public", mixed, dead=public) == (public, "nobody there")


async def test_a_host_that_is_this_machine_reaches_this_machine_only() -> None:
    assert await connected("loopback", ["::1"]) == (["::1"], None)
    for elsewhere in ("10.0.0.1", "169.254.169.254", "8.8.8.8"):
        tried, refusal = await connected("loopback", [elsewhere])
        assert (tried, refusal is None) == ([], False)


async def test_a_setting_of_the_engine_lets_any_address_be_reached() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8"):
        assert await connected("any", [address]) == ([address], None)


async def test_a_name_is_resolved_once_and_the_address_is_connected_to() -> None:
    """It may answer otherwise a moment later. TLS is told the name."""
    backend = Backend()
    resolver = Resolver([["8.8.8.8"], ["127.0.0.1"]])
    exchange.set(Exchange("public"))
    stream = await Connector(backend, resolver).connect_tcp(NAME, 443)
    await stream.start_tls(Any, NAME)  # type: ignore[arg-type]

    assert (resolver.asked, backend.connected) == ([NAME], ["8.8.8.8"])
    assert backend.stream.server_hostname == NAME


async def test_an_open_connection_is_not_used_for_what_reaches_less_far() -> None:
    """The setting was taken back while a connection was kept alive."""
    exchange.set(Exchange("any"))
    stream = await Connector(Backend(), Resolver([["10.0.0.1"]])).connect_tcp(NAME, 443)
    await stream.write(b"GET / HTTP/1.1")
    exchange.set(Exchange("public"))

    with pytest.raises(httpcore.WriteError):
        await stream.write(b"GET / HTTP/1.1")
    assert not exchange.get().found_connection_closed


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "127.1", "localhost"])
async def test_however_a_host_is_written_its_address_is_looked_at(spelling: str) -> None:
    """Resolvers know spellings that the database refuses."""
    assert set(await resolve(spelling, 80)) <= {"127.0.0.1", "::1"}


async def test_a_fetch_out_of_reach_is_that_chunks_failure_and_opens_no_connection(
    server: Server, fetcher: Fetcher
) -> None:
    """For a real server that listens on loopback, as of a name that was pointed there."""
    claim = claim_json(server.url)
    claim["leases"][0]["request"]["reach"] = "public"
    failure = await fetcher.send(leased(claim))

    assert isinstance(failure, Failure)
    assert failure.error_class == "transient"
    assert "allow_private_addresses" in failure.message
    assert server.connections == 0
    claim["leases"][0]["request"]["reach"] = "loopback"
    assert isinstance(await fetcher.send(leased(claim)), Page)
    assert server.connections == 1
