"""O2 identities. Reading needs no signature; an owner's id is derived from its key."""

from __future__ import annotations

import hashlib

from coincurve import PrivateKey
from Crypto.Hash import keccak


def fuel_address(private_key: bytes) -> str:
    """B256 address of a Fuel wallet: SHA-256 of the uncompressed public key without its tag byte."""
    return "0x" + hashlib.sha256(_public_key(private_key)).hexdigest()


def evm_address(private_key: bytes) -> str:
    """B256 form of an EVM wallet's address: 12 zero bytes and the last 20 of the key's Keccak-256."""
    digest = keccak.new(digest_bits=256, data=_public_key(private_key)).hexdigest()
    return "0x" + "00" * 12 + str(digest)[-40:]


def _public_key(private_key: bytes) -> bytes:
    return bytes(PrivateKey(private_key).public_key.format(compressed=False)[1:])
