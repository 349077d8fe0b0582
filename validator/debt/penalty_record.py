"""Penalties in the journal: an entry wherever one changed.

Rule 1: a record holds from its end on until the next one of the hotkey; at least every ``RENEW_MS`` there is
one, so that reading never needs what is older than the window by more than that.
Rule 2: a hotkey's keys are a ring that is longer than what a reader needs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from journal.entry import LEDGER, Draft
from validator.debt.penalty import Values
from validator.ledger.checkpoint import DAY_MS, HOUR_MS
from validator.ledger.record import slots

PREFIX: Final = "penalty|"  # <hotkey>|<hours>h|<slot>
THROUGH_KEY: Final = "penalty_through"
RENEW_MS: Final = 30 * DAY_MS


class PenaltyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A hotkey's penalties from the span that ended at ``end_ms`` on."""

    hotkey: str
    end_ms: int
    span_ms: int
    values: Values


class PenaltyMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``ledger`` entry with key ``penalty|<hotkey>|<hours>h|<slot>``."""

    penalty: PenaltyRecord


class Through(msgspec.Struct, frozen=True, kw_only=True):
    """Every hotkey's penalties up to ``end_ms`` are written."""

    end_ms: int
    span_ms: int


class ThroughMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the ``ledger`` entry with key ``penalty_through``."""

    penalty_through: Through


_encode: Final = msgspec.json.Encoder().encode
_penalty: Final = msgspec.json.Decoder(PenaltyMessage)
_through: Final = msgspec.json.Decoder(ThroughMessage)


def read_penalty(body: bytes) -> PenaltyRecord:
    """Read a ``penalty|`` entry. Raises msgspec.ValidationError."""
    return _penalty.decode(body).penalty


def read_through(body: bytes) -> Through:
    """Read the ``penalty_through`` entry. Raises msgspec.ValidationError."""
    return _through.decode(body).penalty_through


def draft_of(record: PenaltyRecord, window_ms: int) -> Draft:
    """The record as a journal entry to be."""
    ring = slots(record.span_ms, window_ms + RENEW_MS)
    slot = (record.end_ms // record.span_ms) % ring
    key = f"{PREFIX}{record.hotkey}|{record.span_ms // HOUR_MS}h|{slot}"
    return Draft(LEDGER, key, _encode(PenaltyMessage(penalty=record)))


def through_draft(end_ms: int, span_ms: int) -> Draft:
    """The entry that says how far everybody's penalties are done."""
    through = Through(end_ms=end_ms, span_ms=span_ms)
    return Draft(LEDGER, THROUGH_KEY, _encode(ThroughMessage(penalty_through=through)))


class History:
    """One hotkey's records, by end."""

    def __init__(self, records: Iterable[PenaltyRecord] = ()) -> None:
        self._by_end = {one.end_ms: one for one in records}
        self._ends = sorted(self._by_end)

    def put(self, record: PenaltyRecord) -> None:
        """Add a record, or replace the one with the same end."""
        if record.end_ms not in self._by_end:
            self._ends.insert(bisect_right(self._ends, record.end_ms), record.end_ms)
        self._by_end[record.end_ms] = record

    def at(self, end_ms: int) -> PenaltyRecord | None:
        """The record that holds at the end of a span; None before the first."""
        index = bisect_right(self._ends, end_ms)
        return self._by_end[self._ends[index - 1]] if index else None

    @property
    def first_ms(self) -> int | None:
        """The end of the oldest record."""
        return self._ends[0] if self._ends else None

    def copy(self) -> History:
        """The same records, to go on with apart."""
        return History(self._by_end.values())

    def before(self, before_ms: int) -> History:
        """Only the records that ended before a moment."""
        return History(one for one in self._by_end.values() if one.end_ms < before_ms)


def needed(history: History, end_ms: int, span_ms: int, values: Values, hotkey: str) -> PenaltyRecord | None:
    """The record to write so that these values hold at ``end_ms``; None when they do already."""
    known = history.at(end_ms)
    is_fresh = known is not None and end_ms - known.end_ms < RENEW_MS and known.span_ms == span_ms
    if known is not None and is_fresh and known.values == values:
        return None
    return PenaltyRecord(hotkey=hotkey, end_ms=end_ms, span_ms=span_ms, values=values)


def penalty_ledger(hotkey: str, ends: Sequence[int], history: History) -> dict[str, Any]:
    """``/penalty-ledger/<id>``: a checkpoint for the end of every span that has penalties."""
    rows = [_row(end_ms, record.values) for end_ms in ends if (record := history.at(end_ms)) is not None]
    return {"hotkey": hotkey, "total_checkpoints": len(rows), "checkpoints": rows}


def _row(end_ms: int, values: Values) -> dict[str, Any]:
    return {
        "last_processed_ms": end_ms,
        "drawdown_penalty": values.drawdown,
        "risk_profile_penalty": values.risk_profile,
        "min_collateral_penalty": values.min_collateral,
        "risk_adjusted_performance_penalty": values.risk_adjusted_performance,
        "total_penalty": values.total,
        "challenge_period_status": values.challenge_period_status,
    }
