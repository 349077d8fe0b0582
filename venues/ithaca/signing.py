"""Signatures: EIP-712 typed data under one small domain, by an Ethereum key or an RSA key.

The domain is only ``{name: "Ithaca", version: "0.1"}``: a signature is valid on every deployment of the
venue, so a login nonce must never be signed twice. The wire form of an Ethereum signature is
``v.r.s`` in hex without ``0x``, ``v`` first; an RSA signature is ``RSA_SIGN:`` and base64.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from venues.ethereum import Account, SignableMessage, encode_typed_data

DOMAIN: Final = {"name": "Ithaca", "version": "0.1"}
DOMAIN_TYPE: Final = [{"name": "name", "type": "string"}, {"name": "version", "type": "string"}]
LEG_TYPE: Final = [
    {"name": "contractId", "type": "uint32"},
    {"name": "side", "type": "string"},
    {"name": "quantity", "type": "string"},
]
ORDER_TYPE: Final = [
    {"name": "orderType", "type": "string"},
    {"name": "orderId", "type": "uint64"},
    {"name": "price", "type": "string"},
    {"name": "timeInForce", "type": "string"},
    {"name": "address", "type": "string"},
    {"name": "singlePrice", "type": "bool"},
]
RSA_PREFIX: Final = "RSA_SIGN:"


def login_message(nonce: str) -> dict[str, Any]:
    """Typed data of a login (also of linking a key or a wallet)."""
    return {
        "types": {"EIP712Domain": DOMAIN_TYPE, "AuthMessage": [{"name": "content", "type": "string"}]},
        "primaryType": "AuthMessage",
        "domain": DOMAIN,
        "message": {"content": nonce},
    }


def order_message(order: Mapping[str, Any]) -> dict[str, Any]:
    """Typed data of an order's body as it is posted: ``clientOrderId``, ``totalNetPrice``, ``legs``, ...

    Legs are sorted by contract and become the fields ``leg0``, ``leg1``, ...; ``iocAuctionTime`` is
    signed only when the body has it as a number. Raises KeyError for a body without these fields.
    """
    legs: Sequence[Mapping[str, Any]] = sorted(order["legs"], key=lambda leg: int(leg["contractId"]))
    fields = list(ORDER_TYPE)
    message: dict[str, Any] = {
        "orderType": order["orderType"],
        "orderId": order["clientOrderId"],
        "price": order["totalNetPrice"],
        "timeInForce": order["timeInForce"],
        "address": str(order["clientEthAddress"]).lower(),
        "singlePrice": order.get("requestSinglePrice", True),
    }
    if isinstance(order.get("iocAuctionTime"), int):
        fields.append({"name": "iocAuctionTime", "type": "uint64"})
        message["iocAuctionTime"] = order["iocAuctionTime"]
    for index, leg in enumerate(legs):
        fields.append({"name": f"leg{index}", "type": "Leg"})
        message[f"leg{index}"] = {name: leg[name] for name in ("contractId", "side", "quantity")}
    types = {"EIP712Domain": DOMAIN_TYPE, "ConditionalOrder": fields, "Leg": LEG_TYPE}
    return {"types": types, "primaryType": "ConditionalOrder", "domain": DOMAIN, "message": message}


def digest(message: Mapping[str, Any]) -> bytes:
    """The 32 bytes that are signed: ``keccak(0x19 01 domain-separator struct-hash)``."""
    signable = _signable(message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def address_of(private_key: str) -> str:
    """Checksummed address of a hex private key. Raises ValueError without repeating the key."""
    try:
        return str(Account.from_key(private_key).address)
    except (ValueError, TypeError):
        raise ValueError("the private key is not 32 bytes of hex") from None


def sign(private_key: str, message: Mapping[str, Any]) -> str:
    """``v.r.s`` in lower-case hex, zero padded."""
    signature = Account.sign_message(_signable(message), private_key)
    return f"{signature.v:02x}.{signature.r:064x}.{signature.s:064x}"


def recover(message: Mapping[str, Any], signature: str) -> str | None:
    """Lower-case address that made a ``v.r.s`` signature (either case); None when it is not one."""
    numbers = signature.split(".")
    try:
        v, r, s = (int(number, 16) for number in numbers)
        return str(Account.recover_message(_signable(message), vrs=(v, r, s))).lower()
    except (ValueError, TypeError, OverflowError, BadSignature, ValidationError):
        return None


def sign_rsa(private_key_pem: str, message: Mapping[str, Any]) -> str:
    """PKCS#1 v1.5 with SHA-256 over the digest, as ``RSA_SIGN:<base64>``. Raises ValueError for a bad key."""
    try:
        key = RSA.import_key(private_key_pem)
    except (ValueError, IndexError, TypeError):
        raise ValueError("the RSA private key is not in PEM form") from None
    signature = pkcs1_15.new(key).sign(SHA256.new(digest(message)))
    return RSA_PREFIX + base64.b64encode(signature).decode()


def verify_rsa(public_key: str, message: Mapping[str, Any], signature: str) -> bool:
    """True when ``signature`` was made by the key whose base64 DER form is ``public_key``."""
    try:
        key = RSA.import_key(base64.b64decode(public_key, validate=True))
        raw = base64.b64decode(signature.removeprefix(RSA_PREFIX), validate=True)
        pkcs1_15.new(key).verify(SHA256.new(digest(message)), raw)
    except (ValueError, IndexError, TypeError):
        return False
    return True


def _signable(message: Mapping[str, Any]) -> SignableMessage:
    return encode_typed_data(full_message=dict(message))
