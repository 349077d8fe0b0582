"""Who the sandbox's accounts are: an owner key, its Fuel address, and the trade account it owns."""

from __future__ import annotations

import hashlib

from venues.o2.sandbox.engine import Account
from venues.o2.sandbox.listing import identifier
from venues.o2.signing import fuel_address


def owner_key(seed: int, index: int) -> bytes:
    """The private key of the index-th owner; worth nothing outside of this sandbox."""
    return hashlib.sha256(f"o2-sandbox/{seed}/owner/{index}".encode()).digest()


def trade_account(key: bytes, opened_ms: int) -> Account:
    """The trade account of that owner, empty."""
    owner = fuel_address(key)
    return Account(id=identifier("o2-sandbox", "trade-account", owner), owner=owner, modified_ms=opened_ms)
