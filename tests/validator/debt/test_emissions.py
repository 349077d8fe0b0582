"""The source of emissions: what is read, what is refused, and that nothing is made up."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.debt.emissions import (
    Chunk,
    EmissionsRecord,
    SourceError,
    draft_of,
    emissions_ledger,
    newest_of,
    read_record,
    read_source,
)
from validator.ledger.checkpoint import WINDOW_MS

HALF_DAY = 43_200_000
T0 = 1_770_076_800_000


def chunk(n: int, **fields: Any) -> dict[str, Any]:
    return {"chunk_start_ms": T0 + n * HALF_DAY, "chunk_end_ms": T0 + (n + 1) * HALF_DAY, **fields}


def source(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_both_forms_of_the_source_are_read() -> None:
    chunks = [chunk(1, chunk_emissions=2.5), chunk(0, chunk_emissions=1.0, unknown_field="x")]
    as_object = read_source(source({"a": {"coldkey": "c", "checkpoints": chunks}}))
    as_list = read_source(source([{"hotkey": "a", "coldkey": "c", "checkpoints": chunks}]))

    assert as_object == as_list
    assert [one.chunk.chunk_emissions for one in as_object] == [1.0, 2.5]
    assert {one.coldkey for one in as_object} == {"c"}


def test_our_own_answers_can_be_a_source() -> None:
    records = read_source(
        source({"a": {"coldkey": "c", "checkpoints": [chunk(n, chunk_emissions=1.0) for n in range(3)]}})
    )
    answer = emissions_ledger("a", records)

    assert read_source(source([answer])) == records


def test_what_is_not_known_stays_null() -> None:
    records = read_source(source({"a": {"checkpoints": [chunk(0, chunk_emissions=1.5), chunk(1)]}}))
    ledger = emissions_ledger("a", records)

    assert ledger["cumulative_emissions"] == 1.5
    assert ledger["cumulative_emissions_tao"] is None
    assert ledger["cumulative_emissions_usd"] is None
    assert ledger["coldkey"] is None
    row = ledger["checkpoints"][1]
    known = {"chunk_start_ms", "chunk_end_ms", "chunk_start_utc", "chunk_end_utc"}
    assert {name for name, value in row.items() if value is not None} == known
    assert row["chunk_end_utc"] == "2026-02-04T00:00:00+00:00"
    assert emissions_ledger("nobody", [])["cumulative_emissions"] is None


def test_a_ledger_has_vantas_fields() -> None:
    ledger = emissions_ledger("a", read_source(source({"a": {"checkpoints": [chunk(0)]}})))
    assert set(ledger) == {
        "hotkey",
        "coldkey",
        "total_checkpoints",
        "cumulative_emissions",
        "cumulative_emissions_tao",
        "cumulative_emissions_usd",
        "checkpoints",
    }
    assert list(ledger["checkpoints"][0]) == [
        "chunk_start_ms",
        "chunk_end_ms",
        "chunk_start_utc",
        "chunk_end_utc",
        "chunk_emissions",
        "chunk_emissions_tao",
        "chunk_emissions_usd",
        "avg_alpha_to_tao_rate",
        "avg_tao_to_usd_rate",
        "num_blocks",
        "block_start",
        "block_end",
        "tao_balance_snapshot",
        "alpha_balance_snapshot",
    ]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "emissions: "),
        (b"nonsense", "emissions: "),
        (b"[[[[", "emissions: "),
        (b"5", "emissions: Expected"),
        (source({"a": {}}), "`checkpoints`"),
        (source([{"checkpoints": []}]), "missing"),
        (source([{"hotkey": "a", "checkpoints": []}] * 2), "twice"),
        (source({"a": {"hotkey": "b", "checkpoints": []}}), "contradicted"),
        (source({"a": {"checkpoints": [{"chunk_start_ms": 1}]}}), "`chunk_end_ms`"),
        (source({"a": {"checkpoints": [chunk(0, chunk_emissions="1")]}}), "chunk_emissions"),
        (source({"a": {"checkpoints": [chunk(0, num_blocks=1.5)]}}), "num_blocks"),
        (source({"a": {"checkpoints": [chunk(0), chunk(0)]}}), "same time"),
        (source({"a": {"checkpoints": [{"chunk_start_ms": T0, "chunk_end_ms": T0}]}}), "before it ends"),
        (source({"a": {"checkpoints": [{"chunk_start_ms": T0, "chunk_end_ms": T0 + 5}]}}), "whole minutes"),
        (
            source({"a": {"checkpoints": [{"chunk_start_ms": T0 + 60_000, "chunk_end_ms": T0 + 180_000}]}}),
            "no multiple",
        ),
        (
            source({"a": {"checkpoints": [chunk(0), {**chunk(3), "chunk_start_ms": T0 + 2 * HALF_DAY}]}}),
            "equally long",
        ),
        (
            b'{"a":{"checkpoints":[{"chunk_start_ms":0,"chunk_end_ms":60000,"num_blocks":1e999}]}}',
            "emissions: ",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(content: bytes, part: str) -> None:
    with pytest.raises(SourceError) as error:
        read_source(content)
    assert part in str(error.value)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,01ea', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        records = read_source(content)
    except SourceError:
        return
    assert all(isinstance(one, EmissionsRecord) for one in records)


amounts = st.none() | st.floats(0, 1e12)
chunks = st.builds(
    lambda n, alpha, tao, blocks: Chunk(
        chunk_start_ms=n * HALF_DAY,
        chunk_end_ms=(n + 1) * HALF_DAY,
        chunk_emissions=alpha,
        chunk_emissions_tao=tao,
        num_blocks=blocks,
    ),
    st.integers(0, 10_000),
    amounts,
    amounts,
    st.none() | st.integers(0, 10_000),
)


@given(chunks, st.none() | st.text(max_size=5))
def test_a_chunk_survives_the_journal(one: Chunk, coldkey: str | None) -> None:
    record = EmissionsRecord(hotkey="a|b", coldkey=coldkey, chunk=one)
    draft = draft_of(record, WINDOW_MS)

    assert read_record(draft.body) == record
    assert draft.key.startswith("emissions|a|b|720m|")


def test_a_ring_of_keys_holds_a_window() -> None:
    keys = {
        draft_of(
            EmissionsRecord(
                hotkey="a", chunk=Chunk(chunk_start_ms=n * HALF_DAY, chunk_end_ms=(n + 1) * HALF_DAY)
            ),
            WINDOW_MS,
        ).key
        for n in range(1000)
    }
    assert math.ceil(WINDOW_MS / HALF_DAY) <= len(keys) <= math.ceil(WINDOW_MS / HALF_DAY) + 10


def test_where_lengths_differ_the_newest_counts() -> None:
    old = [Chunk(chunk_start_ms=n * 2 * HALF_DAY, chunk_end_ms=(n + 1) * 2 * HALF_DAY) for n in range(3)]
    new = [Chunk(chunk_start_ms=n * HALF_DAY, chunk_end_ms=(n + 1) * HALF_DAY) for n in range(5, 8)]
    records = [EmissionsRecord(hotkey="a", chunk=one) for one in [*new, *old]]

    assert [one.chunk for one in newest_of(records)] == new
    assert newest_of([]) == []
