"""An account in figures: what it is worth, what it may still open, how far it is down. Pure.

Rule: every figure follows from the positions and checkpoints that are handed in; who may see less of them
gets the figures of what it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

import msgspec

from validator.fold import finite
from validator.ledger.checkpoint import DAY_MS, Checkpoint
from validator.venue_fold import amount, to_float
from vanta_api.records import Position

START: Final = 1.0  # an account's equity before its first trade


class AccountSizeData(msgspec.Struct, frozen=True, kw_only=True):
    """USD. ``balance``: size and realised P&L less fees. ``max_return``: highest value as a multiplier."""

    account_size: float
    total_realized_pnl: float
    capital_used: float
    balance: float
    buying_power: float
    max_return: float


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """Equities are multiples of the account size, ``..._pct`` per cent, thresholds shares.

    ``criteria`` is always ``trailing``: drawdowns are measured from the highest value. The figures of static
    rules are told as well, but nothing here acts on them.
    """

    current_equity: float
    current_balance: float
    daily_open_equity: float
    eod_hwm: float
    last_eod_equity: float
    intraday_drawdown_pct: float
    eod_drawdown_pct: float
    static_drawdown_pct: float
    static_eod_drawdown_pct: float
    current_return: float
    intraday_drawdown_threshold: float
    eod_drawdown_threshold: float
    static_drawdown_threshold: float
    static_eod_drawdown_threshold: float
    criteria: str = "trailing"


def account_size_data(
    held: Sequence[Position], account_size: float, multiple: float, max_return: float = START
) -> AccountSizeData:
    """The account's figures; ``multiple``: what it may hold over its balance."""
    realized = finite(sum(one.realized_pnl for one in held))
    used = finite(sum(abs(one.net_value) for one in held if not one.is_closed_position))
    balance = finite(account_size + realized - fees_of(held))
    return AccountSizeData(
        account_size=account_size,
        total_realized_pnl=realized,
        capital_used=used,
        balance=balance,
        buying_power=finite(balance * multiple - used),
        max_return=max(max_return, START),
    )


def drawdown(
    held: Sequence[Position],
    account: AccountSizeData,
    checkpoints: Sequence[Checkpoint],
    limit: float,
    at_ms: int,
) -> Drawdown:
    """How far the account is down at ``at_ms``; ``limit``: the share it may lose.

    ``checkpoints``: of the portfolio's ledger, oldest first. Days end at 00:00 UTC.
    """
    size = account.account_size
    unrealized = sum(one.unrealized_pnl for one in held if not one.is_closed_position)
    balance = _over(account.balance, size)
    equity = _over(account.balance + unrealized, size)
    evenings = [one for one in checkpoints if one.last_update_ms % DAY_MS == 0]
    by_end = {one.last_update_ms: equity_of(one, size) for one in evenings}
    last = by_end[evenings[-1].last_update_ms] if evenings else START
    highest = max(by_end.values(), default=START)
    morning = by_end.get(at_ms - at_ms % DAY_MS, last)
    return Drawdown(
        current_equity=equity,
        current_balance=balance,
        daily_open_equity=morning,
        eod_hwm=highest,
        last_eod_equity=last,
        intraday_drawdown_pct=_lost(morning, equity),
        eod_drawdown_pct=_lost(highest, last),
        static_drawdown_pct=max(0.0, _lost(START, equity)),
        static_eod_drawdown_pct=max(0.0, _lost(START, last)),
        current_return=min(equity, balance) - START,
        intraday_drawdown_threshold=limit,
        eod_drawdown_threshold=limit,
        static_drawdown_threshold=limit,
        static_eod_drawdown_threshold=limit,
    )


def equity_of(one: Checkpoint, account_size: float) -> float:
    """The equity at the end of a checkpoint, over the account size."""
    if one.equity_ret is not None and isfinite(one.equity_ret):
        return one.equity_ret
    pnl = one.prev_portfolio_realized_pnl + one.prev_portfolio_unrealized_pnl - one.cumulative_fees_usd
    return _over(account_size + pnl, account_size)


def fees_of(held: Sequence[Position]) -> float:
    """What venues charged for these positions (USD), as far as they said so in numbers."""
    found = 0.0
    for one in held:
        if one.venue is not None and one.venue.fees:
            try:
                found += to_float(amount(one.venue.fees, "fees"))
            except ValueError:
                continue  # the position shows the text as the venue gave it
    return finite(found)


def volume_of(held: Sequence[Position]) -> float:
    """USD that all executed orders were worth."""
    return finite(sum(abs(order.value or 0.0) for one in held for order in one.orders))


def _over(amount: float, size: float) -> float:
    return finite(amount / size, START) if size > 0 else START


def _lost(before: float, after: float) -> float:
    """Per cent lost (negative: gained)."""
    return finite(100.0 * (before - after) / before) if before > 0 else 0.0
