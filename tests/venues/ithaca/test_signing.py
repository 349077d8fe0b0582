"""Signatures equal those of the venue's official SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import RSA
from hypothesis import given
from hypothesis import strategies as st

from venues.ithaca import signing

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "vectors.json").read_text())
LOGIN: dict[str, Any] = VECTORS["login"]
KEY: str = VECTORS["private_key"]
ORDERS = [
    *VECTORS["orders"],
    {"name": "batch", "http_json_body": VECTORS["batch_order_tif"]["http_json_body"][0]},
]


def rsa_pem() -> str:
    """The vectors' throw-away RSA key."""
    numbers = VECTORS["rsa_login"]["rsa_test_numbers"]
    n, d, p, q = (int(numbers[name], 16) for name in ("n", "d", "p", "q"))
    return RSA.construct((n, numbers["e"], d, p, q)).export_key(pkcs=8).decode()


def test_login_equals_the_vector() -> None:
    message = signing.login_message(LOGIN["nonce"])
    assert message == LOGIN["typed_data"]
    assert "0x" + signing.digest(message).hex() == LOGIN["eip712_digest_hex"]
    assert signing.sign(KEY, message) == LOGIN["signature_wire_python_lowercase"]
    assert signing.address_of(KEY) == VECTORS["address_checksum"]


@pytest.mark.parametrize("case", ["signature_wire_python_lowercase", "signature_wire_ts_uppercase"])
def test_recovery_takes_either_case(case: str) -> None:
    message = signing.login_message(LOGIN["nonce"])
    assert signing.recover(message, LOGIN[case]) == VECTORS["address_lower"]
    assert signing.recover(signing.login_message("other"), LOGIN[case]) != VECTORS["address_lower"]


@pytest.mark.parametrize("vector", ORDERS, ids=lambda vector: vector["name"])
def test_orders_equal_the_vectors(vector: dict[str, Any]) -> None:
    body = vector["http_json_body"]
    message = signing.order_message(body)
    if "typed_data" in vector:
        assert message == vector["typed_data"]
    assert signing.sign(KEY, message) == body["signature"]
    assert signing.recover(message, body["signature"]) == VECTORS["address_lower"]


def test_rsa_login_equals_the_vector() -> None:
    vector = VECTORS["rsa_login"]
    message = signing.login_message(vector["nonce"])
    assert signing.sign_rsa(rsa_pem(), message) == vector["signature_wire"]
    assert signing.verify_rsa(vector["rsa_public_key_der_b64"], message, vector["signature_wire"])
    assert not signing.verify_rsa(
        vector["rsa_public_key_der_b64"], signing.login_message("other"), vector["signature_wire"]
    )


@given(signature=st.one_of(st.text(max_size=30), st.from_regex(r"\A[0-9a-f]{2}(\.[0-9a-f]{64}){2}\Z")))
def test_no_text_breaks_the_recovery(signature: str) -> None:
    found = signing.recover(signing.login_message("n"), signature)
    assert found is None or found.startswith("0x")
    assert not signing.verify_rsa("AAAA", signing.login_message("n"), signature)


def test_bad_keys_are_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="not 32 bytes of hex") as raised:
        signing.address_of("0xsecret")
    assert "secret" not in str(raised.value)
    with pytest.raises(ValueError, match="not in PEM form") as raised:
        signing.sign_rsa("-----BEGIN secret-----", signing.login_message("n"))
    assert "secret" not in str(raised.value)
