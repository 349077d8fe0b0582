"""Emissions: the format of the source, the bodies in the journal, and the ledger on the wire.

The source is JSON. Either an object ``{hotkey: ledger}`` or a list of ledgers, where a ledger is what
``/emissions-ledger/<id>`` answers: ``{"hotkey", "coldkey", "checkpoints": [chunk, ...]}`` (``hotkey`` may be
left out of an object's values, ``coldkey`` anywhere). A chunk needs ``chunk_start_ms`` and ``chunk_end_ms``;
each of its other fields may be absent or null, which means that it is not known:

- ``chunk_emissions`` (alpha), ``chunk_emissions_tao``, ``chunk_emissions_usd``
- ``avg_alpha_to_tao_rate``, ``avg_tao_to_usd_rate``
- ``num_blocks``, ``block_start``, ``block_end``
- ``tao_balance_snapshot``, ``alpha_balance_snapshot`` at the chunk's end

All chunks of a hotkey are equally long (12 h at Vanta) and end at multiples of their length. Other fields are
ignored.

Rule: what the source does not say stays null; nothing is worked out from anything else but sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from journal.entry import LEDGER, Draft
from validator.ledger.record import slots

PREFIX: Final = "emissions|"  # <hotkey>|<minutes>m|<slot>
MINUTE_MS: Final = 60_000


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a hotkey was paid between two moments; None: not known."""

    chunk_start_ms: int
    chunk_end_ms: int
    chunk_emissions: float | None = None
    chunk_emissions_tao: float | None = None
    chunk_emissions_usd: float | None = None
    avg_alpha_to_tao_rate: float | None = None
    avg_tao_to_usd_rate: float | None = None
    num_blocks: int | None = None
    block_start: int | None = None
    block_end: int | None = None
    tao_balance_snapshot: float | None = None
    alpha_balance_snapshot: float | None = None

    @property
    def length_ms(self) -> int:
        return self.chunk_end_ms - self.chunk_start_ms


class SourceLedger(msgspec.Struct, frozen=True):
    """A hotkey in the source."""

    checkpoints: list[Chunk]
    hotkey: str | None = None
    coldkey: str | None = None


class EmissionsRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One chunk of one hotkey."""

    hotkey: str
    coldkey: str | None = None
    chunk: Chunk


class EmissionsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``ledger`` entry with key ``emissions|<hotkey>|<minutes>m|<slot>``."""

    emissions: EmissionsRecord


class SourceError(ValueError):
    """The source says something that cannot be; the text names where."""


_encode: Final = msgspec.json.Encoder().encode
_record: Final = msgspec.json.Decoder(EmissionsMessage)
_source: Final = msgspec.json.Decoder(dict[str, SourceLedger] | list[SourceLedger])
_NUMBERS: Final = tuple(name for name in Chunk.__struct_fields__ if not name.endswith("_ms"))


def read_source(content: bytes) -> list[EmissionsRecord]:
    """Read the source's JSON: its chunks by hotkey and time. Raises SourceError."""
    try:
        found = _source.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"emissions: {error}") from None
    ledgers = found.items() if isinstance(found, dict) else ((one.hotkey, one) for one in found)
    records: list[EmissionsRecord] = []
    seen: set[str] = set()
    for hotkey, ledger in ledgers:
        if not hotkey or hotkey in seen or ledger.hotkey not in (None, hotkey):
            raise SourceError(f"emissions: hotkey {hotkey!r} is missing, twice there or contradicted")
        seen.add(hotkey)
        records += [
            EmissionsRecord(hotkey=hotkey, coldkey=ledger.coldkey, chunk=chunk)
            for chunk in _in_order(hotkey, ledger.checkpoints)
        ]
    return records


def read_record(body: bytes) -> EmissionsRecord:
    """Read an ``emissions|`` entry. Raises msgspec.ValidationError."""
    return _record.decode(body).emissions


def draft_of(record: EmissionsRecord, window_ms: int) -> Draft:
    """The record as a journal entry to be."""
    length_ms = record.chunk.length_ms
    slot = (record.chunk.chunk_end_ms // length_ms) % slots(length_ms, window_ms)
    key = f"{PREFIX}{record.hotkey}|{length_ms // MINUTE_MS}m|{slot}"
    return Draft(LEDGER, key, _encode(EmissionsMessage(emissions=record)))


def emissions_ledger(hotkey: str, records: Sequence[EmissionsRecord]) -> dict[str, Any]:
    """``/emissions-ledger/<id>``, from a hotkey's records by time."""
    chunks = [one.chunk for one in records]
    return {
        "hotkey": hotkey,
        "coldkey": records[-1].coldkey if records else None,
        "total_checkpoints": len(chunks),
        "cumulative_emissions": total(one.chunk_emissions for one in chunks),
        "cumulative_emissions_tao": total(one.chunk_emissions_tao for one in chunks),
        "cumulative_emissions_usd": total(one.chunk_emissions_usd for one in chunks),
        "checkpoints": [_row(one) for one in chunks],
    }


def total(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def utc(ms: int) -> str:
    """A time as ISO text with its offset."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def newest_of(records: Iterable[EmissionsRecord]) -> list[EmissionsRecord]:
    """The records by time; where chunks of different lengths overlap, those that the newest has."""
    ordered = sorted(records, key=lambda one: one.chunk.chunk_end_ms)
    if not ordered:
        return []
    length_ms = ordered[-1].chunk.length_ms
    return [one for one in ordered if one.chunk.length_ms == length_ms]


def _row(chunk: Chunk) -> dict[str, Any]:
    row: dict[str, Any] = {"chunk_start_ms": chunk.chunk_start_ms, "chunk_end_ms": chunk.chunk_end_ms}
    row["chunk_start_utc"], row["chunk_end_utc"] = utc(chunk.chunk_start_ms), utc(chunk.chunk_end_ms)
    return row | {name: getattr(chunk, name) for name in _NUMBERS}


def _in_order(hotkey: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks by time, checked. Raises SourceError."""
    ordered = sorted(chunks, key=lambda one: one.chunk_end_ms)
    ends = [one.chunk_end_ms for one in ordered]
    if len(set(ends)) < len(ends):
        raise SourceError(f"emissions: {hotkey}: two chunks end at the same time")
    if len({one.length_ms for one in ordered}) > 1:
        raise SourceError(f"emissions: {hotkey}: chunks are not equally long")
    for one in ordered:
        _check(hotkey, one)
    return ordered


def _check(hotkey: str, chunk: Chunk) -> None:
    where = f"emissions: {hotkey}: chunk that ends at {chunk.chunk_end_ms}"
    length_ms = chunk.length_ms
    if chunk.chunk_start_ms < 0 or length_ms < MINUTE_MS or length_ms % MINUTE_MS:
        raise SourceError(f"{where}: it must begin before it ends, whole minutes apart")
    if chunk.chunk_end_ms % length_ms:
        raise SourceError(f"{where}: the end is no multiple of its length")
    for name in _NUMBERS:
        value = getattr(chunk, name)
        if value is not None and not math.isfinite(value):
            raise SourceError(f"{where}: {name} is not a finite number")
