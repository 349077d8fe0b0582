"""Addresses, signatures and signed bytes, checked against the wallet that clients use."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from bittensor_wallet import Keypair
from hypothesis import given
from hypothesis import strategies as st

from validator.signing import (
    AddressError,
    SigningError,
    address_from_key,
    address_of,
    encode_address,
    is_signed,
    signature_of,
    signed_bytes,
    verify,
)

ALICE = Keypair.create_from_uri("//Alice")
ALICE_ADDRESS = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_KEY = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"
ALICE_ON_POLKADOT = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"
NAMES = ("amount", "miner_coldkey", "miner_hotkey", "nonce", "timestamp")


def test_alice_is_read_and_written() -> None:
    alice = address_of(ALICE_ADDRESS)

    assert alice.public_key.hex() == ALICE_KEY
    assert alice.h160.hex() == ALICE_KEY[:40]
    assert address_from_key(bytes.fromhex(ALICE_KEY)) == alice


@given(st.binary(min_size=32, max_size=32))
def test_addresses_are_those_of_the_wallet(key: bytes) -> None:
    text = encode_address(key)

    assert text == Keypair(public_key=key.hex()).ss58_address
    assert address_of(text).public_key == key


@given(st.binary(min_size=32, max_size=32), st.integers(0, 16383), st.integers(0, 16383))
def test_an_address_of_another_network_is_refused(key: bytes, mine: int, other: int) -> None:
    text = encode_address(key, other)
    if mine == other:
        assert address_of(text, mine).public_key == key
    else:
        with pytest.raises(AddressError):
            address_of(text, mine)


def test_a_known_address_of_another_network_is_refused_unless_asked_for() -> None:
    with pytest.raises(AddressError):
        address_of(ALICE_ON_POLKADOT)
    assert address_of(ALICE_ON_POLKADOT, 0).public_key.hex() == ALICE_KEY


@given(st.one_of(st.text(max_size=60), st.none(), st.integers(), st.lists(st.text(max_size=2), max_size=2)))
def test_what_is_no_address_is_refused_in_one_way(text: object) -> None:
    with pytest.raises(AddressError):
        address_of(text)


@given(st.integers(0, 47), st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"))
def test_an_address_with_one_wrong_character_is_refused(place: int, character: str) -> None:
    text = ALICE_ADDRESS[:place] + character + ALICE_ADDRESS[place + 1 :]
    if text != ALICE_ADDRESS:
        with pytest.raises(AddressError):
            address_of(text)


@pytest.mark.parametrize(
    "text", ["1" + ALICE_ADDRESS, ALICE_ADDRESS + "1", f" {ALICE_ADDRESS}", "", "1" * 48]
)
def test_an_address_with_something_around_it_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        address_of(text)


def test_a_prefix_that_does_not_exist_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="prefix"):
        encode_address(bytes(32), 16384)


def test_a_signature_is_accepted_bare_and_wrapped() -> None:
    alice = address_of(ALICE_ADDRESS)
    for signed in (b"hello", b"<Bytes>hello</Bytes>"):
        assert verify(alice, b"hello", ALICE.sign(signed))
    assert not verify(alice, b"hello", ALICE.sign(b"<Bytes>hello<Bytes>"))
    assert not verify(alice, b"hello!", ALICE.sign(b"hello"))
    assert not verify(alice, b"hello", ALICE.sign(b"hello")[:63])


def test_nobody_signs_nothing() -> None:
    """R = s = 0 with the schnorrkel mark fits the all-zero key and every message."""
    forged = bytes(63) + b"\x80"
    nobody = address_from_key(bytes(32))

    assert nobody.text == "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"
    assert Keypair(public_key=bytes(32).hex()).verify(b"any message", forged)  # the library believes it
    assert not verify(nobody, b"any message", forged)


@pytest.mark.parametrize("prefix", ["", "0x", "0X"])
def test_a_signature_may_have_a_prefix_and_either_case(prefix: str) -> None:
    signature = ALICE.sign(b"hello")
    for text in (signature.hex(), signature.hex().upper()):
        assert signature_of(prefix + text) == signature


NO_SIGNATURES = ("", "0x", "0x" + "ab" * 63, "ab" * 65, "zz" * 64, "ab " * 64, "0x0x" + "ab" * 64)


@pytest.mark.parametrize("text", [*NO_SIGNATURES, "ab" * 64 + "\n", None, 5, b"ab" * 64, ["ab" * 64]])
def test_what_is_no_signature_is_refused(text: object) -> None:
    with pytest.raises(SigningError):
        signature_of(text)


def test_signed_bytes_are_those_of_the_command_line_client() -> None:
    text = (
        '{"version": "3.0.3", "amount": 5.0, "timestamp": 1751409821967, "nonce": "abc",'
        ' "miner_hotkey": "5Fr...", "miner_coldkey": "5HE...", "signature": "00"}'
    )
    assert signed_bytes(json.loads(text), NAMES) == (
        b'{"amount": 5.0, "miner_coldkey": "5HE...", "miner_hotkey": "5Fr...", "nonce": "abc",'
        b' "timestamp": 1751409821967}'
    )


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("5", "5"),
        ("5.0", "5.0"),
        ("5.00", "5.0"),
        ("1e3", "1000.0"),
        ("0.00001", "1e-05"),
        ("1e22", "1e+22"),
        ("-0.0", "-0.0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ('"\\u00e9\\"\\n"', '"\\u00e9\\"\\n"'),
        ('"é"', '"\\u00e9"'),
    ],
)
def test_values_are_signed_as_they_were_received(sent: str, signed: str) -> None:
    assert signed_bytes({"amount": json.loads(sent)}, ["amount"]) == f'{{"amount": {signed}}}'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, None, [], {}, ["a"]])
def test_what_nobody_could_have_signed_is_refused(value: Any) -> None:
    with pytest.raises(SigningError):
        signed_bytes({"amount": value}, ["amount"])


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.one_of(st.text(max_size=20), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=6,
    )
)
def test_signed_bytes_are_pythons_own_and_survive_the_wire(body: dict[str, Any]) -> None:
    received = json.loads(json.dumps(body))

    assert signed_bytes(received, list(body)) == json.dumps(body, sort_keys=True).encode()


def test_a_body_is_signed_only_by_the_named_signer_over_all_fields() -> None:
    body: dict[str, Any] = {"who": ALICE_ADDRESS, "what": "forex"}
    body["signature"] = ALICE.sign(signed_bytes(body, ["who", "what"])).hex()

    assert is_signed(body, ["who", "what"], "who")
    assert not is_signed({**body, "what": "crypto"}, ["who", "what"], "who")
    assert not is_signed(body, ["who"], "who")
    for change in (
        {"who": "x"},
        {"signature": None},
        {"what": True},
        {"who": None},
        {"who": ALICE_ON_POLKADOT},
    ):
        assert not is_signed({**body, **change}, ["who", "what"], "who")
