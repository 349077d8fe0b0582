"""The rules of a checkpoint: how gain, loss, drawdown and the rest follow from values at ticks.

Rule 1: a tick whose value equals the one before changes nothing, so ticks without news may be left out.
Rule 2: everything that only depends on where a span begins and ends (P&L, fees) is computed at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log

import msgspec

from validator.ledger.checkpoint import LEAST, MOST, Checkpoint
from validator.ledger.curve import NOTHING, Totals

Point = tuple[int, float]
"""Tick and the value from then on."""


def clamped(value: float) -> float:
    """The value, kept where its logarithm is finite."""
    if LEAST < value < MOST:
        return value
    return MOST if value > 1.0 else LEAST


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one ledger stands at the end of a span: all that the next span needs to go on.

    ``totals`` and ``unrealized`` at that moment. ``settled``: what closed positions that are older than the
    window add up to; they are not looked at one by one any more. For the portfolio: what retired pairs, all
    of whose positions are settled, returned.
    """

    initialization_time_ms: int
    max_return: float = 1.0
    totals: Totals = NOTHING
    unrealized: float = 0.0
    equity_ret: float | None = None
    settled: Totals = NOTHING


class Running:
    """A checkpoint in the making."""

    __slots__ = ("before", "gain", "loss", "max_return", "mdd", "mpv", "n_updates", "ret")

    def __init__(self, before: Standing) -> None:
        """Begin a span where the one before it ended."""
        self.before = before
        self.ret = before.totals.ret
        self.max_return = before.max_return
        self.gain = self.loss = 0.0
        self.n_updates = 0
        self.mdd = self.ret / self.max_return
        self.mpv = self.ret

    @property
    def drawdown(self) -> float:
        """The present value over the largest so far: 1.0 is none."""
        return self.ret / self.max_return

    def follow(self, points: Iterable[Point]) -> None:
        """Take over values at later and later ticks."""
        for _, found in points:
            value = found if LEAST < found < MOST else clamped(found)
            if value == self.ret:
                continue
            change = log(value / self.ret)
            if change > 0:
                self.gain += change
            else:
                self.loss += change
            self.n_updates += 1
            self.ret = value
            if value > self.max_return:
                self.max_return = value
            if value > self.mpv:
                self.mpv = value
            drawdown = value / self.max_return
            if drawdown < self.mdd:
                self.mdd = drawdown

    def standing(
        self, totals: Totals, unrealized: float, equity_ret: float | None, settled: Totals
    ) -> Standing:
        """Where the ledger stands now."""
        return Standing(
            initialization_time_ms=self.before.initialization_time_ms,
            max_return=self.max_return,
            totals=totals._replace(ret=self.ret),
            unrealized=unrealized,
            equity_ret=equity_ret,
            settled=settled,
        )

    def checkpoint(self, now: Standing, tick_ms: int, accum_ms: int, open_ms: int) -> Checkpoint:
        """The checkpoint as of a tick."""
        before, totals = self.before.totals, now.totals
        return Checkpoint(
            last_update_ms=tick_ms,
            accum_ms=accum_ms,
            prev_portfolio_ret=self.ret,
            prev_portfolio_realized_pnl=totals.realized,
            prev_portfolio_unrealized_pnl=now.unrealized,
            prev_portfolio_spread_fee=totals.spread,
            prev_portfolio_carry_fee=totals.carry,
            open_ms=open_ms,
            n_updates=self.n_updates,
            gain=self.gain,
            loss=self.loss,
            spread_fee_loss=log(totals.spread / before.spread),
            carry_fee_loss=log(totals.carry / before.carry),
            mdd=self.mdd,
            mpv=self.mpv,
            realized_pnl=totals.realized - before.realized,
            unrealized_pnl=now.unrealized,
            cumulative_fees_usd=totals.fees_usd,
            equity_ret=now.equity_ret,
        )
