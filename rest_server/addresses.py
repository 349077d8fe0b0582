"""Whose request is this: the client's address behind proxies that are trusted, and only those.

Rule: ``X-Forwarded-For`` is read from the right, and only as far as the addresses are trusted proxies. What
a client writes into it itself is therefore never believed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HOPS_MAX: Final = 20  # a longer chain of proxies is somebody playing


class Addresses:
    """Tells the client's address. Raises ValueError for a network that is none."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted: tuple[Network, ...] = tuple(
            ipaddress.ip_network(network, strict=False) for network in trusted_proxies
        )

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """The nearest address that is no trusted proxy; ``peer`` is who opened the connection."""
        address = peer
        hops = [hop.strip() for hop in (forwarded_for or "").split(",")][-HOPS_MAX:]
        while hops and self._is_trusted(address):
            candidate = _plain(hops.pop())
            if candidate is None:
                break
            address = candidate
        return address

    def _is_trusted(self, address: str) -> bool:
        if not self._trusted:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def _plain(hop: str) -> str | None:
    """The address of one hop (``[::1]:80`` → ``::1``, ``10.0.0.1:80`` → ``10.0.0.1``); None: not one."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ipaddress.ip_address(hop))
    except ValueError:
        return None


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def rate_unit(address: str) -> str:
    """What limits count as one client: an IPv4 address, or an IPv6 /64 (one household has 2^64 of them)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
