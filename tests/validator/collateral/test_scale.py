"""SCALE and metadata: our reader against another one, and against rubbish."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scalecodec.base import ScaleBytes
from scalecodec.types import CompactU32

from tests.validator.collateral.people import runtime, runtime_metadata
from tests.validator.collateral.runtime import SPEC_VERSION, TRANSACTION_VERSION, Runtime, oracle
from validator.collateral.extrinsic import version_of
from validator.collateral.metadata import from_text, load, parse, storage_prefix
from validator.collateral.scale import Choice, Cursor, Field, ScaleError, Type, Variant, compact, decode

PRIMITIVES = {0: Type("primitive", primitive="u8"), 1: Type("primitive", primitive="u32")}


@given(st.integers(0, 2**536 - 1))
def test_compact_numbers_are_read_back(number: int) -> None:
    cursor = Cursor(compact(number))

    assert cursor.compact() == number
    cursor.end()


@given(st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 63, 64, 16383, 16384, 2**30 - 1, 2**30])))
def test_compact_numbers_are_those_of_another_encoder(number: int) -> None:
    other: Any = CompactU32(ScaleBytes(b""))

    assert compact(number) == bytes(other.encode(number).data)


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        (Type("primitive", primitive="bool"), b"\1", True),
        (Type("primitive", primitive="i16"), b"\xfe\xff", -2),
        (Type("primitive", primitive="u128"), b"\1" + bytes(15), 1),
        (Type("primitive", primitive="str"), b"\x08h\xc3\xa9"[:1] + b"hi", "hi"),
        (Type("primitive", primitive="char"), b"a\0\0\0", 97),
        (Type("sequence", items=(0,)), b"\x08ab", b"ab"),
        (Type("sequence", items=(1,)), b"\x08" + b"\1\0\0\0" + b"\2\0\0\0", [1, 2]),
        (Type("array", items=(0,), length=3), b"abc", b"abc"),
        (Type("tuple", items=(0, 0)), b"\1\2", (1, 2)),
        (Type("tuple", items=()), b"", None),
        (Type("compact", items=(1,)), b"\x04", 1),
        (Type("composite", fields=(Field("a", 0), Field("b", 0))), b"\1\2", {"a": 1, "b": 2}),
        (Type("composite", fields=(Field(None, 0),)), b"\7", 7),
        (Type("variant", variants=(Variant("No", 4, ()),)), b"\4", Choice("No")),
        (Type("variant", variants=(Variant("Yes", 9, (Field(None, 0),)),)), b"\x09\5", Choice("Yes", 5)),
    ],
)
def test_values_of_every_kind_are_read(kind: Type, data: bytes, value: object) -> None:
    cursor = Cursor(data)

    assert decode({**PRIMITIVES, 2: kind}, 2, cursor) == value
    cursor.end()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Type("primitive", primitive="bool"), b"\2"),
        (Type("primitive", primitive="str"), b"\x04\xff"),
        (Type("sequence", items=(1,)), compact(2**60)),
        (Type("sequence", items=(1,)), b"\x08\1\0\0\0\2"),
        (Type("array", items=(1,), length=2**32 - 1), b"\1"),
        (Type("array", items=(3,), length=2**32 - 1), b"\1"),
        (Type("variant"), b"\0"),
        (Type("composite", fields=(Field(None, 99),)), b"\0"),
        (Type("composite", fields=(Field(None, 2),)), b"\0"),
        (Type("bits", items=(0, 0)), b"\0"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_way(kind: Type, data: bytes) -> None:
    with pytest.raises(ScaleError):
        decode({**PRIMITIVES, 2: kind, 3: Type("tuple")}, 2, Cursor(data))


def test_metadata_says_where_calls_and_constants_are() -> None:
    metadata = runtime_metadata()
    transfer = metadata.call("SubtensorModule", "transfer_stake")

    assert (transfer.prefix, transfer.arguments[-1].name) == (bytes([7, 86]), "alpha_amount")
    assert metadata.call_name(bytes([0, 0])) == "System.remark"
    assert version_of(metadata) == (SPEC_VERSION, TRANSACTION_VERSION)
    assert metadata.storage("SubtensorModule", "Owner").hashers == (2,)


@pytest.mark.parametrize(
    ("what", "name"),
    [("call", "System.nothing"), ("constant", "System.Nothing"), ("storage", "System.Nothing")]
    + [(what, "Nothing.at_all") for what in ("call", "constant", "storage")],
)  # fmt: skip
def test_what_a_runtime_does_not_have_is_named(what: str, name: str) -> None:
    with pytest.raises(ScaleError, match=r"Nothing|nothing"):
        getattr(runtime_metadata(), what)(*name.split("."))


def test_another_reader_understands_the_same_metadata() -> None:
    _, read = oracle(runtime().metadata)
    pallets = {pallet.value["name"]: pallet for pallet in read.pallets}

    assert list(pallets) == list(runtime_metadata().pallets)
    assert [one["identifier"] for one in read.value[1]["V14"]["extrinsic"]["signed_extensions"]] == [
        one.name for one in runtime_metadata().extensions
    ]


@pytest.mark.parametrize(
    ("pallet", "name", "known"),
    [
        ("System", "Events", "26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7"),
        ("System", "Account", "26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"),
    ],
)
def test_storage_keys_are_the_known_ones(pallet: str, name: str, known: str) -> None:
    assert storage_prefix(pallet, name).hex() == known


def test_a_metadata_file_may_hold_bytes_hex_or_the_nodes_answer(tmp_path: Path) -> None:
    data = runtime().metadata
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x" + data.hex()})
    for content in (data, data.hex().encode(), b"0x" + data.hex().encode() + b"\n", answer.encode()):
        path = tmp_path / "metadata"
        path.write_bytes(content)
        assert load(path) == runtime_metadata()


@pytest.mark.parametrize("text", ["", "xyz", "{", "{}", '{"result": 5}', '{"error": {}}', "0x1"])
def test_text_that_is_no_metadata_is_refused(text: str) -> None:
    with pytest.raises(ScaleError):
        parse(from_text(text))


def test_other_versions_are_refused() -> None:
    with pytest.raises(ScaleError, match="version 15"):
        parse(b"meta\x0f")


def test_metadata_cut_anywhere_is_refused() -> None:
    data = runtime().metadata
    for end in range(0, len(data), 41):
        with pytest.raises(ScaleError):
            parse(data[:end])
    with pytest.raises(ScaleError):
        parse(data + b"\0")


def test_altered_metadata_is_read_or_refused_but_never_breaks_the_reader() -> None:
    generator, data = random.Random(20251120), runtime().metadata
    for _ in range(200):
        altered = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            altered[generator.randrange(len(altered))] = generator.randrange(256)
        try:
            metadata = parse(bytes(altered))
            version_of(metadata)
            metadata.call("SubtensorModule", "transfer_stake")
        except ScaleError:
            continue


def test_a_runtime_without_the_parts_of_a_transaction_is_refused() -> None:
    data = Runtime().metadata.replace(b"\x1cAddress", b"\x1cAdXress")
    with pytest.raises(ScaleError, match="signed"):
        parse(data)
