"""Who signed what: SS58 addresses, sr25519 signatures, and the bytes that clients sign.

Rule 1: what is verified is made from the values as they were received: ``5`` is signed as ``5`` and ``5.0``
as ``5.0``. Only strings and finite numbers can be signed.
Rule 2: nothing a client sends makes anything here fail in another way than with ``SigningError``.
Rule 3: the all-zero key signs nothing: anybody can make a signature that fits it, and a chain answers it for
"no owner".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from typing import Any, Final

from bittensor_wallet import Keypair

PREFIX: Final = 42  # the address format of Bittensor and of Substrate in general
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {character: value for value, character in enumerate(_ALPHABET)}
_CHECKSUM_BYTES: Final = 2
_LONGEST: Final = 50  # characters of the longest address
_PREFIX_MAX: Final = 16_383
_SIGNATURE: Final = re.compile(r"(?:0x)?([0-9a-f]{128})", re.IGNORECASE | re.ASCII)
_WRAPPED: Final = (b"<Bytes>", b"</Bytes>")  # browser wallets never sign bare bytes


class SigningError(ValueError):
    """What was sent cannot be an address or a signature, or cannot be signed."""


class AddressError(SigningError):
    """Not an SS58 address of this network."""


@dataclass(frozen=True, slots=True)
class Address:
    """An account: its address as text and its 32-byte public key."""

    text: str
    public_key: bytes

    @property
    def h160(self) -> bytes:
        """The 20 bytes that stand for the account in the collateral contract."""
        return self.public_key[:20]

    @property
    def is_nobody(self) -> bool:
        """Whether this is the all-zero account."""
        return not any(self.public_key)


def address_of(text: object, prefix: int = PREFIX) -> Address:
    """Read an SS58 address. Raises AddressError when it is none, or one of another network."""
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST or not _DIGITS.keys() >= set(text):
        raise AddressError("not an SS58 address")
    number = 0
    for character in text:
        number = number * 58 + _DIGITS[character]
    key = number.to_bytes(_LONGEST, "big")[-KEY_BYTES - _CHECKSUM_BYTES : -_CHECKSUM_BYTES]
    if encode_address(key, prefix) != text:  # prefix, checksum and form in one look
        raise AddressError("not an SS58 address of this network")
    return Address(text, key)


def encode_address(public_key: bytes, prefix: int = PREFIX) -> str:
    """Return the SS58 address of a 32-byte public key."""
    payload = _prefix_bytes(prefix) + public_key
    payload += blake2b(b"SS58PRE" + payload).digest()[:_CHECKSUM_BYTES]
    number, text = int.from_bytes(payload, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    zeros = len(payload) - len(payload.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + text


def address_from_key(public_key: bytes, prefix: int = PREFIX) -> Address:
    """Return the address of a public key."""
    return Address(encode_address(public_key, prefix), public_key)


def signature_of(text: object) -> bytes:
    """Read a signature: 64 bytes as hex, with or without ``0x``. Raises SigningError."""
    found = _SIGNATURE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise SigningError(f"a signature is {SIGNATURE_BYTES} bytes as hex")
    return bytes.fromhex(found.group(1))


def signed_bytes(body: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """Return what a client signs for these fields of its body. Raises SigningError, KeyError.

    The JSON object of exactly these fields with sorted keys, ``", "`` and ``": "`` between them, ASCII only,
    and numbers as Python writes them.
    """
    for name in names:
        value = body[name]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not isinstance(value, str) and not (is_number and isfinite(value)):
            raise SigningError(f"{name} cannot be signed")
    return json.dumps({name: body[name] for name in names}, sort_keys=True, allow_nan=False).encode()


def verify(signer: Address, message: bytes, signature: bytes) -> bool:
    """Whether the sr25519 signature over the message is the signer's, bare or wrapped in ``<Bytes>``."""
    if signer.is_nobody or len(signature) != SIGNATURE_BYTES:
        return False
    keypair = Keypair(public_key=signer.public_key.hex())
    before, after = _WRAPPED
    return any(keypair.verify(one, signature) for one in (message, before + message + after))


def is_signed(body: Mapping[str, Any], names: Sequence[str], signer: str, prefix: int = PREFIX) -> bool:
    """Whether ``body["signature"]`` over the named fields is that of the address in ``body[signer]``.

    Whatever is malformed is not signed: an address, a signature, a value that nobody could have signed.
    """
    try:
        address = address_of(body[signer], prefix)
        return verify(address, signed_bytes(body, names), signature_of(body["signature"]))
    except SigningError:
        return False


def _prefix_bytes(prefix: int) -> bytes:
    if not 0 <= prefix <= _PREFIX_MAX:
        raise ValueError(f"an SS58 prefix is 0 to {_PREFIX_MAX}, not {prefix}")
    if prefix < 64:
        return bytes([prefix])
    return bytes([((prefix & 0xFC) >> 2) | 0x40, (prefix >> 8) | ((prefix & 3) << 6)])
