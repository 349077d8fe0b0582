"""Owner ids are derived from keys exactly as the venue's own tools derive them."""

from __future__ import annotations

import json
from pathlib import Path

from venues.o2.signing import evm_address, fuel_address

VECTORS = json.loads((Path(__file__).parent / "data" / "vectors.json").read_text(encoding="utf-8"))


def test_addresses_equal_the_vectors() -> None:
    wallets = VECTORS["wallets"]

    assert wallets
    for wallet in wallets:
        key = bytes.fromhex(wallet["private_key"][2:])
        if "fuel_b256_address" in wallet:
            assert fuel_address(key) == wallet["fuel_b256_address"]
        if "evm_b256_address" in wallet:
            assert evm_address(key) == wallet["evm_b256_address"]
