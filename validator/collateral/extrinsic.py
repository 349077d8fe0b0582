"""Signed transactions of a Substrate chain: read, checked and made.

Rule 1: only what is understood is believed: a transaction that signs something unknown to us (another
extension, the hash of a block or of metadata that we do not have) is refused, never half checked.
Rule 2: the call is told apart by its first two bytes before anything of it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from validator.collateral.metadata import Extension, Metadata
from validator.collateral.scale import Choice, Cursor, ScaleError, compact, decode, is_empty, unsigned
from validator.signing import Address, address_from_key, verify

SIGNED: Final = 0x80  # the bit that marks a signed transaction
HASHED_FROM: Final = 256  # bytes; a longer payload is signed as its hash
IMMORTAL: Final = Choice("Immortal")
ERA: Final = ("CheckMortality", "CheckEra")
NONCE: Final = "CheckNonce"
METADATA_HASH: Final = "CheckMetadataHash"
NONE: Final = b"\0"  # a missing optional value, a zero, the first case of an enum

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Chain:
    """What every transaction of a chain signs: where it belongs, and in which version."""

    genesis: bytes
    spec_version: int
    transaction_version: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction, not yet believed. ``call`` are its bytes; ``nonce`` counts the signer's."""

    signer: bytes
    signature: bytes
    explicit: bytes
    nonce: int
    is_immortal: bool
    has_metadata_hash: bool
    call: bytes


@dataclass(frozen=True, slots=True)
class StakeTransfer:
    """The arguments of ``SubtensorModule.transfer_stake``; the amount in rao."""

    destination_coldkey: Address
    hotkey: Address
    origin_netuid: int
    destination_netuid: int
    rao: int


def version_of(metadata: Metadata) -> tuple[int, int]:
    """The runtime's own (spec version, transaction version). Raises ScaleError."""
    version = metadata.constant("System", "Version")
    try:
        return int(version["spec_version"]), int(version["transaction_version"])
    except (TypeError, KeyError):
        raise ScaleError("the runtime does not say its version") from None


def read(metadata: Metadata, data: bytes) -> Signed:
    """Take a signed transaction apart. Raises ScaleError."""
    cursor = Cursor(data)
    if cursor.compact() != cursor.left:
        raise ScaleError("its length is not the one it says")
    if (version := cursor.unsigned(1)) != SIGNED | metadata.transaction:
        raise ScaleError(f"not a signed transaction of version {metadata.transaction} ({version:#04x})")
    signer = _account(decode(metadata.types, metadata.address, cursor))
    signature = _sr25519(decode(metadata.types, metadata.signature, cursor))
    start = cursor.at
    carried = {one.name: decode(metadata.types, one.explicit, cursor) for one in metadata.extensions}
    explicit, call = data[start : cursor.at], data[cursor.at :]
    return Signed(
        signer=signer,
        signature=signature,
        explicit=explicit,
        nonce=_number(carried.get(NONCE)),
        is_immortal=all(carried[name] == IMMORTAL for name in ERA if name in carried),
        has_metadata_hash=_signs_metadata(carried.get(METADATA_HASH)),
        call=call,
    )


def check_signature(metadata: Metadata, chain: Chain, transaction: Signed) -> None:
    """Raise ScaleError unless the signer signed exactly this, for this chain and runtime."""
    if not transaction.is_immortal:
        raise ScaleError("a transaction that expires cannot be checked without a node")
    if transaction.has_metadata_hash:
        raise ScaleError("a transaction bound to a metadata hash cannot be checked")
    payload = transaction.call + transaction.explicit + implicit(metadata, chain)
    if not verify(address_from_key(transaction.signer), _signed(payload), transaction.signature):
        raise ScaleError("its signature is wrong")


def implicit(metadata: Metadata, chain: Chain) -> bytes:
    """What is signed without being carried. Raises ScaleError for an extension we do not know."""
    known = {
        "CheckSpecVersion": unsigned(chain.spec_version, 4),
        "CheckTxVersion": unsigned(chain.transaction_version, 4),
        "CheckGenesis": chain.genesis,
        **dict.fromkeys(ERA, chain.genesis),
        METADATA_HASH: NONE,
    }
    return b"".join(
        b"" if is_empty(metadata.types, one.implicit) else _known(known, one) for one in metadata.extensions
    )


def make(metadata: Metadata, chain: Chain, call: bytes, signer: bytes, nonce: int, sign: Sign) -> bytes:
    """Make a signed transaction that never expires and gives no tip. Raises ScaleError."""
    known = {
        **dict.fromkeys(ERA, NONE),
        NONCE: compact(nonce),
        METADATA_HASH: NONE,
        "ChargeTransactionPayment": NONE,
        "ChargeTransactionPaymentWrapper": NONE,
    }
    explicit = b"".join(
        b"" if is_empty(metadata.types, one.explicit) else _known(known, one) for one in metadata.extensions
    )
    signature = sign(_signed(call + explicit + implicit(metadata, chain)))
    head = bytes([SIGNED | metadata.transaction]) + _address(metadata, signer)
    body = head + _variant_index(metadata, metadata.signature, "Sr25519") + signature + explicit + call
    return compact(len(body)) + body


def stake_transfer(metadata: Metadata, call: bytes, prefix: int) -> StakeTransfer:
    """Read the arguments of ``transfer_stake``. Raises ScaleError when it is another call."""
    expected = metadata.call("SubtensorModule", "transfer_stake")
    if call[:2] != expected.prefix:
        name = metadata.call_name(call[:2]) if len(call) >= 2 else "nothing"
        raise ScaleError(f"expected 'SubtensorModule.transfer_stake', got '{name}'")
    cursor = Cursor(call[2:])
    found = {one.name: decode(metadata.types, one.type, cursor) for one in expected.arguments}
    cursor.end()
    return StakeTransfer(
        address_from_key(_account(found.get("destination_coldkey")), prefix),
        address_from_key(_account(found.get("hotkey")), prefix),
        _number(found.get("origin_netuid")),
        _number(found.get("destination_netuid")),
        _number(found.get("alpha_amount")),
    )


def call(metadata: Metadata, pallet: str, name: str, **arguments: bytes) -> bytes:
    """Make a call from its encoded arguments. Raises ScaleError when the runtime wants others."""
    found = metadata.call(pallet, name)
    if (wanted := [one.name for one in found.arguments]) != [*arguments]:
        raise ScaleError(f"{pallet}.{name} takes {wanted}")
    return found.prefix + b"".join(arguments.values())


def hash_of(data: bytes) -> bytes:
    """The 32-byte hash that names a transaction."""
    return blake2b(data, digest_size=32).digest()


def _signed(payload: bytes) -> bytes:
    return hash_of(payload) if len(payload) > HASHED_FROM else payload


def _known(known: dict[str, bytes], extension: Extension) -> bytes:
    if extension.name not in known:
        raise ScaleError(f"transactions of this runtime carry {extension.name}, which is not known here")
    return known[extension.name]


def _account(value: Any) -> bytes:
    if isinstance(value, Choice):
        if value.name != "Id":
            raise ScaleError(f"an account given as {value.name}")
        value = value.value
    if not isinstance(value, bytes) or len(value) != 32:
        raise ScaleError("not an account")
    return value


def _address(metadata: Metadata, account: bytes) -> bytes:
    if metadata.types[metadata.address].shape != "variant":
        return account
    return _variant_index(metadata, metadata.address, "Id") + account


def _variant_index(metadata: Metadata, number: int, name: str) -> bytes:
    for variant in metadata.types[number].variants:
        if variant.name == name:
            return bytes([variant.index])
    raise ScaleError(f"this runtime knows no {name}")


def _sr25519(value: Any) -> bytes:
    if not isinstance(value, Choice) or value.name != "Sr25519" or not isinstance(value.value, bytes):
        raise ScaleError("not an sr25519 signature")
    return value.value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ScaleError("a number is missing")
    return value


def _signs_metadata(value: Any) -> bool:
    """Whether a metadata hash is signed; ``value`` is its extension (None: the runtime has none)."""
    mode = value.get("mode") if isinstance(value, dict) else value
    return mode not in (None, 0, Choice("Disabled"))
