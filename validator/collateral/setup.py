"""Making the collateral service from the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bittensor_wallet import Keypair
from eth_utils.address import is_address

from runtime.clock import Clock
from runtime.settings import CollateralSettings, Settings, read_secret
from validator.collateral import metadata
from validator.collateral.accounts import Accounts
from validator.collateral.backend import CollateralBackend
from validator.collateral.chain import ChainBackend
from validator.collateral.contract import Contract, owner_from
from validator.collateral.extrinsic import Chain, Sign, version_of
from validator.collateral.local import LocalBackend, Vault
from validator.collateral.node import Node
from validator.collateral.owners import Owners
from validator.collateral.procedures import ChainVault
from validator.collateral.rpc import Rpc
from validator.collateral.rules import Limits, rao_of
from validator.collateral.scale import ScaleError
from validator.collateral.service import Collateral, Drawdown
from validator.nonces import Nonces
from validator.registry import Registry
from validator.signing import Address, AddressError, address_of

Key = TypeVar("Key")


class SetupError(ValueError):
    """A setting of collateral cannot be used; the text names it."""


def open_collateral(settings: Settings, registry: Registry, clock: Clock, drawdown: Drawdown) -> Collateral:
    """Make the service with the backend that the settings name. Raises SetupError."""
    chosen = settings.collateral
    limits = Limits(rao_of(chosen.balance_max), chosen.usd_per_theta)
    accounts = Accounts(registry, limits, clock)
    make = _chain if chosen.backend == "chain" else _local
    backend = make(settings, accounts, clock)
    return Collateral(backend, accounts, Nonces(registry, clock), drawdown, chosen.ss58_prefix)


def _local(settings: Settings, accounts: Accounts, clock: Clock) -> CollateralBackend:
    chosen = settings.collateral
    path = Path(chosen.owners_file) if chosen.owners_file else None
    owners = Owners(accounts.registry, path, clock)
    return LocalBackend(accounts, owners, _vault(settings) if chosen.metadata_file else None)


def _vault(settings: Settings) -> Vault:
    chosen = settings.collateral
    try:
        runtime = metadata.load(Path(chosen.metadata_file or ""))
        spec_version, transaction_version = version_of(runtime)
    except (OSError, ScaleError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SetupError(f"setting collateral.metadata_file: {reason}") from None
    chain = Chain(_hash(chosen.genesis_hash), spec_version, transaction_version)
    coldkey = address_setting(chosen, "vault_coldkey")
    return Vault(runtime, chain, coldkey, settings.netuid, chosen.ss58_prefix)


def _chain(settings: Settings, accounts: Accounts, clock: Clock) -> CollateralBackend:
    chosen = settings.collateral
    node, evm = (Rpc(url or "", chosen.timeout_s) for url in (chosen.node_url, chosen.evm_url))
    sign = _vault_signer(chosen)
    owner = _secret(chosen, "contract_secret", owner_from) if chosen.contract_secret else None
    contract = Contract(
        evm,
        _contract_address(chosen.contract),
        chosen.evm_chain_id or 0,
        owner,
        clock,
        inclusion_s=chosen.inclusion_s,
    )

    def close() -> None:
        node.close()
        evm.close()

    return ChainBackend(
        Node(node, clock, inclusion_s=chosen.inclusion_s, finalized=chosen.finalized),
        contract,
        ChainVault(
            address_setting(chosen, "vault_coldkey"),
            address_setting(chosen, "vault_hotkey"),
            settings.netuid,
            chosen.ss58_prefix,
            sign,
        ),
        accounts,
        operations=chosen.operations,
        balance_cache_s=chosen.balance_cache_s,
        on_close=close,
    )


def _vault_signer(settings: CollateralSettings) -> Sign | None:
    if settings.vault_secret is None:
        return None
    keypair = _secret(settings, "vault_secret", Keypair.create_from_uri)
    if keypair.public_key != address_setting(settings, "vault_coldkey").public_key:
        raise SetupError("setting collateral.vault_secret: it is not that of vault_coldkey")
    return lambda message: bytes(keypair.sign(message))


def _secret(settings: CollateralSettings, name: str, read: Callable[[str], Key]) -> Key:
    """Read the secret that a setting points to; what it is never gets into an error."""
    try:
        text = read_secret(getattr(settings, name))
    except ValueError as error:
        raise SetupError(f"setting collateral.{name}: {error}") from None
    try:
        return read(text)
    except ValueError:
        raise SetupError(f"setting collateral.{name}: what it points to is no key") from None


def _contract_address(text: str | None) -> bytes:
    if not is_address(text):
        raise SetupError(f"setting collateral.contract = {text!r}: expected an EVM address")
    return bytes.fromhex(str(text).removeprefix("0x"))


def _hash(text: str | None) -> bytes:
    try:
        found = bytes.fromhex((text or "").removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise SetupError(f"setting collateral.genesis_hash = {text!r}: expected 32 bytes as hex")
    return found


def address_setting(settings: CollateralSettings, name: str) -> Address:
    """The setting as an address. Raises SetupError."""
    text = getattr(settings, name)
    try:
        return address_of(text, settings.ss58_prefix)
    except AddressError as error:
        raise SetupError(f"setting collateral.{name} = {text!r}: {error}") from None
