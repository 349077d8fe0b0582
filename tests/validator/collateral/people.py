"""Who appears in tests of collateral, and what they sign."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from bittensor_wallet import Keypair

from runtime.settings import CollateralSettings
from tests.validator.collateral.runtime import GENESIS, SPEC_VERSION, TRANSACTION_VERSION, Runtime
from validator.collateral import extrinsic
from validator.collateral.extrinsic import Chain
from validator.collateral.metadata import Metadata, parse
from validator.collateral.scale import unsigned

COLD: Final = Keypair.create_from_uri("//Cold")
HOT: Final = Keypair.create_from_uri("//Hot")
OTHER: Final = Keypair.create_from_uri("//Other")
OTHER_HOT: Final = Keypair.create_from_uri("//OtherHot")
VAULT: Final = Keypair.create_from_uri("//Vault")
VAULT_HOT: Final = Keypair.create_from_uri("//VaultHot")
NETUID: Final = 8
THETA: Final = 10**9
CHAIN: Final = Chain(GENESIS, SPEC_VERSION, TRANSACTION_VERSION)


@cache
def runtime() -> Runtime:
    """The runtime of these tests."""
    return Runtime()


@cache
def runtime_metadata() -> Metadata:
    """Its metadata, read."""
    return parse(runtime().metadata)


def transfer_call(
    rao: int,
    *,
    hotkey: Keypair = HOT,
    destination: Keypair = VAULT,
    origin_netuid: int = NETUID,
    destination_netuid: int = NETUID,
) -> bytes:
    """The call that transfers stake."""
    return extrinsic.call(
        runtime_metadata(),
        "SubtensorModule",
        "transfer_stake",
        destination_coldkey=destination.public_key,
        hotkey=hotkey.public_key,
        origin_netuid=unsigned(origin_netuid, 2),
        destination_netuid=unsigned(destination_netuid, 2),
        alpha_amount=unsigned(rao, 8),
    )


def signed(call: bytes, *, signer: Keypair = COLD, nonce: int = 0, chain: Chain = CHAIN) -> bytes:
    """The signed transaction."""
    return extrinsic.make(runtime_metadata(), chain, call, signer.public_key, nonce, signer.sign)


def deposit(rao: int, *, signer: Keypair = COLD, nonce: int = 0, **arguments: Any) -> bytes:
    """A signed deposit."""
    return signed(transfer_call(rao, **arguments), signer=signer, nonce=nonce)


def collateral_settings(directory: Path, owners: Mapping[str, str] | None = None) -> CollateralSettings:
    """Settings of the local backend with the runtime's metadata and owners in files of the directory."""
    metadata, owners_file = directory / "metadata.scale", directory / "owners.json"
    metadata.write_bytes(runtime().metadata)
    owners_file.write_text(json.dumps(owners or {HOT.ss58_address: COLD.ss58_address}))
    return CollateralSettings(
        metadata_file=str(metadata),
        genesis_hash=GENESIS.hex(),
        vault_coldkey=VAULT.ss58_address,
        owners_file=str(owners_file),
    )


def signed_body(signer: Keypair, fields: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """A request body as the command-line client signs it."""
    message = json.dumps(dict(fields), sort_keys=True).encode()
    return {**fields, "signature": prefix + signer.sign(message).hex()}
