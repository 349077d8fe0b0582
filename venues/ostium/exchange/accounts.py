"""The sandbox's accounts: wallets whose keys follow from the seed, so that SDKs can sign for them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from venues.ethereum import Account


@dataclass(frozen=True, slots=True)
class Wallet:
    """A trader's address, lower-case, and its private key (0x and 64 hex digits)."""

    address: str
    private_key: str


def wallets(seed: int, count: int) -> tuple[Wallet, ...]:
    """The first ``count`` accounts of a seed."""
    return tuple(_wallet(seed, number) for number in range(count))


def write_key(wallet: Wallet, secrets_dir: Path) -> str:
    """Put the key into a file only its owner can read; returns the reference to it."""
    path = secrets_dir / f"ostium-{wallet.address}.key"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(wallet.private_key + "\n")
    return f"file:{path}"


def _wallet(seed: int, number: int) -> Wallet:
    key = "0x" + hashlib.blake2b(f"ostium/{seed}/{number}".encode(), digest_size=32).hexdigest()
    return Wallet(address=Account.from_key(key).address.lower(), private_key=key)
