"""Ledgers and journals for tests of debt."""

from __future__ import annotations

from collections.abc import Sequence

from journal.entry import Draft, Journal
from tests.validator.make import HOUR
from validator.ledger.checkpoint import PORTFOLIO, SPAN_MS, WINDOW_MS, Bundle, Checkpoint, Ledger
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of, through_draft

DAY = 24 * HOUR
T0 = 1_770_076_800_000  # 2026-02-03 00:00 UTC


def cp(end_ms: int, **fields: float) -> Checkpoint:
    """A whole span."""
    named = {"accum_ms": SPAN_MS, "mpv": 1.0, **fields}
    return Checkpoint(last_update_ms=end_ms, **named)  # type: ignore[arg-type]


def run(count: int, since_ms: int = T0, **fields: float) -> list[Checkpoint]:
    """Spans that follow each other, the first ending one span after ``since_ms``."""
    return [cp(since_ms + (n + 1) * SPAN_MS, **fields) for n in range(count)]


def bundle(cps: Sequence[Checkpoint], **pairs: Sequence[Checkpoint]) -> Bundle:
    """A portfolio's ledger and those of pairs."""
    ledgers = {PORTFOLIO: Ledger(cps=tuple(cps))}
    return ledgers | {pair: Ledger(cps=tuple(one)) for pair, one in pairs.items()}


def perf_draft(hotkey: str, one: Checkpoint, *pairs: str) -> Draft:
    """A finished span as the ledger keeper writes it."""
    record = LedgerRecord(checkpoint=one, initialization_time_ms=0, max_return=1.0)
    return draft_of(
        PerfCheckpoint(
            hotkey=hotkey,
            end_ms=one.last_update_ms,
            target_cp_duration_ms=SPAN_MS,
            target_ledger_window_ms=WINDOW_MS,
            ledgers=dict.fromkeys((PORTFOLIO, *pairs), record),
        )
    )


def pass_boundary(journal: Journal, end_ms: int) -> None:
    """Everybody's spans up to a boundary are written."""
    journal.append([through_draft(end_ms, SPAN_MS, 0)])
