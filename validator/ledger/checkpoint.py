"""A ledger's nouns: checkpoints of one span each, and the ledger they make up.

Rule: a span in which nothing happened has a void checkpoint, which follows from the one before it. So voids
are never stored; whoever reads a ledger fills them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

PORTFOLIO: Final = "portfolio"  # key of the whole portfolio's ledger among those of its trade pairs
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
SPAN_MS: Final = 6 * HOUR_MS
WINDOW_MS: Final = 120 * DAY_MS
LEAST: Final = 1e-9  # what a portfolio that lost everything is worth, so that its logarithm stays finite
MOST: Final = 1e12  # what no portfolio is worth; keeps nonsense prices from reaching infinity


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened in one span. Returns and fees are multipliers, P&L is USD, times are ms.

    ``gain`` and ``loss`` (negative) are sums of logarithms over the span's ticks. ``mdd`` is the smallest
    value over the largest so far (1.0: never below it), ``mpv`` the largest value in the span.
    ``realized_pnl`` is what was realised in the span, ``unrealized_pnl`` what is open at its end;
    ``prev_...`` are totals at its end. ``cumulative_fees_usd`` and ``equity_ret``: fees that venues charged
    so far, and the equity after them over the account size (None where that is unknown).
    """

    last_update_ms: int
    accum_ms: int = 0
    prev_portfolio_ret: float = 1.0
    prev_portfolio_realized_pnl: float = 0.0
    prev_portfolio_unrealized_pnl: float = 0.0
    prev_portfolio_spread_fee: float = 1.0
    prev_portfolio_carry_fee: float = 1.0
    open_ms: int = 0
    n_updates: int = 0
    gain: float = 0.0
    loss: float = 0.0
    spread_fee_loss: float = 0.0
    carry_fee_loss: float = 0.0
    mdd: float = 1.0
    mpv: float = 0.0
    realized_pnl: float = 0.0
    unrealized_pnl: float = 0.0
    cumulative_fees_usd: float = 0.0
    equity_ret: float | None = None
    extra: dict[str, Any] = {}

    @property
    def start_ms(self) -> int:
        """When the span began (for a ledger's first checkpoint: the boundary before its first order)."""
        return self.last_update_ms - self.accum_ms


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """A portfolio's or trade pair's checkpoints, oldest first.

    ``last_known_prices``: trade pair id → price and its time, of what was open at the end.
    """

    initialization_time_ms: int = 0
    max_return: float = 1.0
    target_cp_duration_ms: int = SPAN_MS
    target_ledger_window_ms: int = WINDOW_MS
    cps: tuple[Checkpoint, ...] = ()
    last_known_prices: dict[str, tuple[float, int]] = {}


Bundle = Mapping[str, Ledger]
"""``portfolio`` and each trade pair id → its ledger."""


def void_after(before: Checkpoint, max_return: float, span_ms: int) -> Checkpoint:
    """The checkpoint of the span after ``before``, when nothing happened in it."""
    return msgspec.structs.replace(
        before,
        last_update_ms=before.last_update_ms + span_ms,
        accum_ms=span_ms,
        open_ms=0,
        n_updates=0,
        gain=0.0,
        loss=0.0,
        spread_fee_loss=0.0,
        carry_fee_loss=0.0,
        mdd=before.prev_portfolio_ret / max_return,
        mpv=before.prev_portfolio_ret,
        realized_pnl=0.0,
        unrealized_pnl=before.prev_portfolio_unrealized_pnl,
        extra={},
    )


def highest(checkpoints: Iterable[Checkpoint]) -> float:
    """The largest value in any of them, at least 1.0: what drawdowns are measured from."""
    return max(1.0, max((one.mpv for one in checkpoints), default=1.0))


def within_window(ledger: Ledger) -> Ledger:
    """The ledger without its oldest checkpoints beyond the window."""
    spare_ms = sum(one.accum_ms for one in ledger.cps) - ledger.target_ledger_window_ms
    first = 0
    while first < len(ledger.cps) and spare_ms > 0:
        spare_ms -= ledger.cps[first].accum_ms
        first += 1
    return msgspec.structs.replace(ledger, cps=ledger.cps[first:]) if first else ledger


def trimmed(ledger: Ledger, cut_ms: int) -> Ledger:
    """The ledger without the checkpoints whose span ends at ``cut_ms`` or later.

    ``max_return`` is then what the kept ones know.
    """
    kept = tuple(one for one in ledger.cps if one.start_ms + ledger.target_cp_duration_ms < cut_ms)
    if len(kept) == len(ledger.cps):
        return ledger
    return msgspec.structs.replace(ledger, cps=kept, max_return=highest(kept))
