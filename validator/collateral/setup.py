"""Making the collateral service from the settings."""

from __future__ import annotations

from pathlib import Path

from runtime.clock import Clock
from runtime.settings import CollateralSettings, Settings
from validator.collateral import metadata
from validator.collateral.accounts import Accounts
from validator.collateral.backend import CollateralBackend
from validator.collateral.extrinsic import Chain, version_of
from validator.collateral.local import LocalBackend, Vault
from validator.collateral.owners import Owners
from validator.collateral.rules import Limits, rao_of
from validator.collateral.scale import ScaleError
from validator.collateral.service import Collateral, Drawdown
from validator.nonces import Nonces
from validator.registry import Registry
from validator.signing import Address, AddressError, address_of


class SetupError(ValueError):
    """A setting of collateral cannot be used; the text names it."""


def open_collateral(settings: Settings, registry: Registry, clock: Clock, drawdown: Drawdown) -> Collateral:
    """Make the service with the backend that the settings name. Raises SetupError."""
    chosen = settings.collateral
    limits = Limits(rao_of(chosen.balance_max), chosen.usd_per_theta)
    accounts = Accounts(registry, limits, clock)
    backend = _local(settings, accounts, clock)
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
