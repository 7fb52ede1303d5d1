"""Database and worker mean the same by a private address."""

import ipaddress
import random
from collections.abc import Iterator

from chunkwise.worker.addresses import kind_of
from tests.support.db import Db

# Every range that a registry of IANA sets apart, and ways in which IPv6 carries IPv4.
RANGES = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("2000::/3", "2001::/23", "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20"),
    *("5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
]


def test_they_agree_at_the_edges_of_every_range_and_anywhere_within(db: Db) -> None:
    addresses = sorted({str(address) for text in RANGES for address in some_of(text)})
    rows = db.run(
        "select host(a) as address, sync.reach_of_address(a) as kind"
        " from unnest(cast(:addresses as inet[])) as a",
        addresses=addresses,
    )
    differing = {
        row["address"]: (row["kind"], kind_of(row["address"]))
        for row in rows
        if row["kind"] != kind_of(row["address"])
    }

    assert len(rows) == len(addresses) > 500
    assert differing == {}
    assert {row["kind"] for row in rows} == {"public", "private", "loopback"}


def some_of(text: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """First and last address, their neighbors, ten within; IPv4 also as IPv6 carries it."""
    network = ipaddress.ip_network(text)
    address = type(network.network_address)
    first, last = int(network.network_address), int(network.broadcast_address)
    chance = random.Random(text)  # the same ones each time
    within = [chance.randint(first, last) for _ in range(10)]
    for number in (first - 1, first, first + 1, *within, last - 1, last, last + 1):
        if 0 <= number < 2**network.max_prefixlen:
            yield address(number)
            if network.version == 4:
                yield ipaddress.IPv6Address(int(ipaddress.IPv6Address("::ffff:0:0")) + number)
                yield ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + number)
