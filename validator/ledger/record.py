"""A ledger's bodies in the journal: one entry per hotkey and span, and one that says how far all are done.

Rule 1: everything a reader must see together (the portfolio and its pairs) is one entry.
Rule 2: a hotkey's keys are a ring: the span of ``slot`` is written over when the window has gone round, so
that a State holds one window of checkpoints and no more.
Rule 3: void spans have no entry; up to ``perf_through`` their absence means that nothing happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from journal.entry import LEDGER, Draft
from validator.ledger.checkpoint import HOUR_MS, Checkpoint
from validator.ledger.curve import NOTHING, Totals
from validator.ledger.running import Standing
from validator.ledger.span import Finished, Stand

THROUGH_KEY: Final = "perf_through"
PREFIX: Final = "perf|"
SPARE_SLOTS: Final = 4  # beyond the window, so that nothing is written over while it is still looked at


class LedgerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ledger's checkpoint, and what is needed to go on after it.

    ``settled``: return, realised P&L, fees, spread and carry multipliers of positions that are not looked at
    one by one any more.
    """

    checkpoint: Checkpoint
    initialization_time_ms: int
    max_return: float = 1.0
    settled: Totals = NOTHING


class PerfCheckpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A hotkey's ledgers in one span that ended at ``end_ms``.

    ``ledgers``: the portfolio's and those of pairs that were open in the span, or of which more is settled
    than before. ``retired`` pairs have no ledger any more. ``settled_ms``: positions that closed earlier are
    in ``settled`` of their pair, or of the portfolio where the pair is retired.
    """

    hotkey: str
    end_ms: int
    target_cp_duration_ms: int
    target_ledger_window_ms: int
    ledgers: dict[str, LedgerRecord]
    settled_ms: int = 0
    retired: tuple[str, ...] = ()
    last_known_prices: dict[str, tuple[float, int]] = {}


class PerfCheckpointMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``ledger`` entry with key ``perf|<hotkey>|<hours>h|<slot>``."""

    perf_checkpoint: PerfCheckpoint


class PerfThrough(msgspec.Struct, frozen=True, kw_only=True):
    """Every hotkey's spans up to ``end_ms`` are written, from positions up to that sequence."""

    end_ms: int
    target_cp_duration_ms: int
    positions: int


class PerfThroughMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the ``ledger`` entry with key ``perf_through``."""

    perf_through: PerfThrough


_encode: Final = msgspec.json.Encoder().encode
_checkpoint: Final = msgspec.json.Decoder(PerfCheckpointMessage)
_through: Final = msgspec.json.Decoder(PerfThroughMessage)


def slots(span_ms: int, window_ms: int) -> int:
    """How many keys a hotkey's ring has."""
    return -(-window_ms // span_ms) + SPARE_SLOTS


def key_of(hotkey: str, end_ms: int, span_ms: int, window_ms: int) -> str:
    """The key of a hotkey's span that ends at ``end_ms``."""
    slot = (end_ms // span_ms) % slots(span_ms, window_ms)
    return f"{PREFIX}{hotkey}|{span_ms // HOUR_MS}h|{slot}"


def record_of(hotkey: str, finished: Finished, span_ms: int, window_ms: int) -> PerfCheckpoint:
    """The record of a finished span."""
    standings = finished.stand.ledgers
    return PerfCheckpoint(
        hotkey=hotkey,
        end_ms=finished.stand.end_ms,
        target_cp_duration_ms=span_ms,
        target_ledger_window_ms=window_ms,
        ledgers={
            name: LedgerRecord(
                checkpoint=checkpoint,
                initialization_time_ms=standings[name].initialization_time_ms,
                max_return=standings[name].max_return,
                settled=standings[name].settled,
            )
            for name, checkpoint in finished.checkpoints.items()
        },
        settled_ms=finished.stand.settled_ms,
        retired=finished.retired,
        last_known_prices=dict(finished.last_known_prices),
    )


def draft_of(record: PerfCheckpoint) -> Draft:
    """The record as a journal entry to be."""
    span_ms, window_ms = record.target_cp_duration_ms, record.target_ledger_window_ms
    key = key_of(record.hotkey, record.end_ms, span_ms, window_ms)
    return Draft(LEDGER, key, _encode(PerfCheckpointMessage(perf_checkpoint=record)))


def through_draft(end_ms: int, span_ms: int, positions: int) -> Draft:
    """The entry that says how far every hotkey's ledger is done."""
    through = PerfThrough(end_ms=end_ms, target_cp_duration_ms=span_ms, positions=positions)
    return Draft(LEDGER, THROUGH_KEY, _encode(PerfThroughMessage(perf_through=through)))


def read_checkpoint(body: bytes) -> PerfCheckpoint:
    """Read a hotkey's entry. Raises msgspec.ValidationError with the field path."""
    return _checkpoint.decode(body).perf_checkpoint


def read_through(body: bytes) -> PerfThrough:
    """Read the ``perf_through`` entry. Raises msgspec.ValidationError with the field path."""
    return _through.decode(body).perf_through


def stand_after(before: Stand | None, record: PerfCheckpoint) -> Stand:
    """Where a hotkey stands after a record, given where it stood before it."""
    ledgers: Mapping[str, Standing] = {} if before is None else before.ledgers
    kept = {name: standing for name, standing in ledgers.items() if name not in record.retired}
    return Stand(
        end_ms=record.end_ms,
        settled_ms=record.settled_ms,
        ledgers=kept | {name: _standing(one) for name, one in record.ledgers.items()},
    )


def _standing(record: LedgerRecord) -> Standing:
    checkpoint = record.checkpoint
    return Standing(
        initialization_time_ms=record.initialization_time_ms,
        max_return=record.max_return,
        totals=Totals(
            checkpoint.prev_portfolio_ret,
            checkpoint.prev_portfolio_realized_pnl,
            checkpoint.cumulative_fees_usd,
            checkpoint.prev_portfolio_spread_fee,
            checkpoint.prev_portfolio_carry_fee,
        ),
        unrealized=checkpoint.prev_portfolio_unrealized_pnl,
        equity_ret=checkpoint.equity_ret,
        settled=record.settled,
    )
