"""Which addresses a request may go to. A lease says how far it reaches; this module knows networks,
the same as `sync.reach_of_address()` in the database, which only sees how a host is written."""

import ipaddress
from functools import lru_cache
from typing import Final, Literal

from chunkwise.gateway.protocol import Reach

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_PRIVATE: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    # Tunnels into any address, and documentation.
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
_PUBLIC_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")


@lru_cache(maxsize=1024)
def kind_of(text: str) -> Literal["public", "loopback", "private"]:
    """Of an address as the resolver writes it."""
    return _kind_of(ipaddress.ip_address(text))


def is_within(reach: Reach, text: str) -> bool:
    return reach in ("any", kind_of(text))


def _kind_of(address: _Address) -> Literal["public", "loopback", "private"]:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _kind_of(address.ipv4_mapped)
        if address in _TRANSLATED:
            behind = _kind_of(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
            return "public" if behind == "public" else "private"
    if _is_in(_LOOPBACK, address):
        return "loopback"
    if _is_in(_PRIVATE, address) or (address.version == 6 and address not in _PUBLIC_IPV6):
        return "private"
    return "public"


def _is_in(networks: tuple[str, ...], address: _Address) -> bool:
    return any(address in ipaddress.ip_network(network) for network in networks)
