"""Signed transactions: read, checked and made, against another implementation and against mutations."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from scalecodec.base import ScaleBytes

from tests.validator.collateral.people import (
    CHAIN,
    COLD,
    HOT,
    NETUID,
    OTHER,
    VAULT,
    deposit,
    runtime,
    runtime_metadata,
    signed,
    transfer_call,
)
from tests.validator.collateral.runtime import Runtime, oracle
from validator.collateral import extrinsic
from validator.collateral.metadata import parse
from validator.collateral.scale import ScaleError, compact, unsigned


@cache
def scalecodec_runtime() -> tuple[Any, Any]:
    return oracle(runtime().metadata)


def as_seen_by_scalecodec(data: bytes) -> dict[str, Any]:
    """The transaction as ``scalecodec`` reads it."""
    configuration, metadata = scalecodec_runtime()
    read = configuration.create_scale_object(
        "Extrinsic", data=ScaleBytes("0x" + data.hex()), metadata=metadata
    )
    read.decode()
    found: dict[str, Any] = read.value
    return found


def test_another_reader_understands_what_we_make() -> None:
    found = as_seen_by_scalecodec(deposit(5_000_000_000, nonce=3))
    arguments = {one["name"]: one["value"] for one in found["call"]["call_args"]}

    assert (found["call"]["call_module"], found["call"]["call_function"]) == (
        "SubtensorModule",
        "transfer_stake",
    )
    assert arguments == {
        "destination_coldkey": VAULT.ss58_address,
        "hotkey": HOT.ss58_address,
        "origin_netuid": NETUID,
        "destination_netuid": NETUID,
        "alpha_amount": 5_000_000_000,
    }
    assert (found["address"], found["nonce"], found["tip"], found["era"]) == (COLD.ss58_address, 3, 0, "00")


def test_we_understand_a_call_that_another_encoder_made() -> None:
    configuration, metadata = scalecodec_runtime()
    call = configuration.create_scale_object("Call", metadata=metadata)
    call.encode(
        {
            "call_module": "SubtensorModule",
            "call_function": "transfer_stake",
            "call_args": {
                "destination_coldkey": VAULT.ss58_address,
                "hotkey": HOT.ss58_address,
                "origin_netuid": 8,
                "destination_netuid": 9,
                "alpha_amount": 77,
            },
        }
    )
    found = extrinsic.stake_transfer(runtime_metadata(), bytes(call.data.data), 42)

    assert (found.destination_coldkey.text, found.hotkey.text) == (VAULT.ss58_address, HOT.ss58_address)
    assert (found.origin_netuid, found.destination_netuid, found.rao) == (8, 9, 77)


def test_what_is_made_is_read_back_and_its_signature_holds() -> None:
    metadata = runtime_metadata()
    found = extrinsic.read(metadata, deposit(7, nonce=70_000))
    extrinsic.check_signature(metadata, CHAIN, found)

    assert (found.signer, found.nonce, found.is_immortal) == (COLD.public_key, 70_000, True)
    assert found.call == transfer_call(7)


def test_a_long_payload_is_signed_as_its_hash() -> None:
    metadata = runtime_metadata()
    remark = extrinsic.call(metadata, "System", "remark", remark=compact(300) + bytes(300))
    extrinsic.check_signature(metadata, CHAIN, extrinsic.read(metadata, signed(remark)))


@pytest.mark.parametrize("change", [{"genesis": bytes(32)}, {"spec_version": 1}, {"transaction_version": 99}])
def test_a_signature_for_another_chain_or_version_does_not_hold(change: dict[str, Any]) -> None:
    metadata = runtime_metadata()
    found = extrinsic.read(metadata, signed(transfer_call(1), chain=replace(CHAIN, **change)))
    with pytest.raises(ScaleError, match="signature"):
        extrinsic.check_signature(metadata, CHAIN, found)


def with_explicit(before: bytes, after: bytes) -> bytes:
    """A deposit in which what is carried beside the call was exchanged."""
    data = deposit(1, nonce=5)
    assert data.count(before + transfer_call(1)[:2]) == 1
    body = data[2:].replace(before + transfer_call(1)[:2], after + transfer_call(1)[:2])
    return compact(len(body)) + body


def test_what_cannot_be_checked_without_a_node_is_refused() -> None:
    metadata, usual = runtime_metadata(), b"\0\x14\0\0"
    for after, word in ((b"\x15\x02\x14\0\0", "expires"), (b"\0\x14\0\1", "metadata hash")):
        found = extrinsic.read(metadata, with_explicit(usual, after))
        assert found.nonce == 5
        with pytest.raises(ScaleError, match=word):
            extrinsic.check_signature(metadata, CHAIN, found)


def test_an_extension_that_nobody_knows_is_refused() -> None:
    metadata = parse(Runtime(extra_extension="CheckWeather").metadata)
    with pytest.raises(ScaleError, match="CheckWeather"):
        extrinsic.make(metadata, CHAIN, transfer_call(1), COLD.public_key, 0, COLD.sign)


def test_another_call_is_named() -> None:
    metadata = runtime_metadata()
    remark = extrinsic.call(metadata, "System", "remark", remark=b"\0")
    for call, word in ((remark, r"System\.remark"), (b"\0", "nothing"), (b"\xff\0", "no pallet 255")):
        with pytest.raises(ScaleError, match=word):
            extrinsic.stake_transfer(metadata, call, 42)


def test_arguments_must_be_those_of_the_runtime() -> None:
    with pytest.raises(ScaleError, match="takes"):
        extrinsic.call(runtime_metadata(), "System", "remark", other=b"")


def refusals(data: bytes) -> str | None:
    """Why a deposit is refused; None when it is believed."""
    metadata = runtime_metadata()
    try:
        found = extrinsic.read(metadata, data)
        extrinsic.check_signature(metadata, CHAIN, found)
        extrinsic.stake_transfer(metadata, found.call, 42)
    except ScaleError as error:
        return str(error)
    return None


def test_every_single_changed_bit_is_noticed() -> None:
    data = deposit(5_000_000_000)
    assert refusals(data) is None
    for place in range(len(data) * 8):
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        assert refusals(bytes(altered)) is not None, place


def test_every_cut_is_noticed() -> None:
    data = deposit(5_000_000_000)
    for end in range(len(data)):
        assert refusals(data[:end]) is not None
    assert refusals(data + b"\0") is not None


def mutate(generator: random.Random, data: bytes) -> bytes:
    """Change, insert, remove or exchange bytes; mend the length half of the time."""
    body = bytearray(data[2:] if generator.random() < 0.5 else data)
    for _ in range(generator.randint(1, 6)):
        place = generator.randrange(len(body))
        match generator.randrange(4):
            case 0:
                body[place] = generator.randrange(256)
            case 1:
                body.insert(place, generator.randrange(256))
            case 2:
                del body[place : place + generator.randint(1, 8)]
            case _:
                body[place : place + 32] = generator.choice((OTHER, VAULT, HOT)).public_key
        if not body:
            break
    return compact(len(body)) + bytes(body) if len(body) < len(data) - 1 else bytes(body)


def check_mutations(count: int, seed: int = 20251120) -> None:
    generator, data = random.Random(seed), deposit(5_000_000_000)
    print(f"seed {seed}")
    for _ in range(count):
        altered = mutate(generator, data)
        if altered != data:
            assert refusals(altered) is not None, altered.hex()


def test_mutated_transactions_are_refused() -> None:
    check_mutations(600)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_mutated_transactions_are_refused() -> None:
    check_mutations(int(os.environ.get("VANTA_SOAK_MUTATIONS", "10000")))


def test_u64_amounts_are_whole() -> None:
    found = extrinsic.stake_transfer(runtime_metadata(), transfer_call(2**64 - 1), 42)

    assert found.rao == 2**64 - 1
    assert unsigned(found.rao, 8) == b"\xff" * 8
