"""The protocol's arithmetic in human units: value of a trade, running costs, liquidation.

Every amount is a Decimal: USDC for collateral and fees, quote currency for prices, a multiple for
leverage, a fraction per block for rates. The profit of a trade is a percentage of its collateral, so a
pair quoted in yen still pays USDC, as if its quote currency were the dollar.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

MAX_PROFIT_PERCENT: Final = Decimal(900)
MAX_STOP_LOSS_PERCENT: Final = Decimal(85)
HILL_SLOPE: Final = Decimal("1.84")
HILL_HALF: Final = Decimal("0.16")
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class FundingState:
    """A pair's funding as of ``block``. ``long``/``short`` accumulate what one dollar of each side owes,
    ``rate`` is the last rate per block, open interests and ``cap`` are USD."""

    long: Decimal
    short: Decimal
    rate: Decimal
    block: int
    long_oi: Decimal
    short_oi: Decimal
    cap: Decimal
    max_rate: Decimal
    inflection: Decimal
    positive_scale: Decimal
    negative_scale: Decimal
    spring: Decimal
    up_scale: Decimal  # percent of the spring when the rate has to change its sign
    down_scale: Decimal  # percent of the spring when the rate has to shrink


def target_rate(state: FundingState) -> Decimal:
    """The rate per block that the pair's imbalance pulls towards (a Hill curve, clamped)."""
    widest = max(state.cap, state.long_oi, state.short_oi)
    imbalance = (state.long_oi - state.short_oi) / widest if widest else ZERO
    squared = (HILL_SLOPE * imbalance) ** 2
    hill = squared / (HILL_HALF + squared)
    scale = state.positive_scale if imbalance >= 0 else -state.negative_scale
    return state.max_rate * min(ONE, max(-ONE, state.inflection + scale * hill))


def accrue_funding(state: FundingState, block: int) -> tuple[Decimal, Decimal, Decimal]:
    """``(long, short, rate)`` at ``block``: the side that pays, and the other side's share per dollar."""
    blocks = Decimal(max(0, block - state.block))
    target = target_rate(state)
    spring = _spring(state, target)
    decay = (-spring * blocks).exp() if spring > 0 else ONE
    drift = (ONE - decay) * (state.rate - target) / spring if spring > 0 else blocks * (state.rate - target)
    accrued = target * blocks + drift
    rate = target + (state.rate - target) * decay
    long, short = state.long, state.short
    if accrued > 0 and state.long_oi > 0:
        long += accrued
        short -= accrued * state.long_oi / state.short_oi if state.short_oi > 0 else ZERO
    elif accrued < 0 and state.short_oi > 0:
        short -= accrued
        long += accrued * state.short_oi / state.long_oi if state.long_oi > 0 else ZERO
    return long, short, rate


def _spring(state: FundingState, target: Decimal) -> Decimal:
    if state.rate * target < 0:
        return state.spring * state.up_scale / HUNDRED
    if abs(target) > abs(state.rate):
        return state.spring
    return state.spring * state.down_scale / HUNDRED


def accrue_rollover(accumulated: Decimal, per_block: Decimal, since_block: int, block: int) -> Decimal:
    """The rollover accumulator at ``block``."""
    return accumulated + per_block * max(0, block - since_block)


def carry(at_open: Decimal, now: Decimal, collateral: Decimal, leverage: Decimal) -> Decimal:
    """What a trade owes (negative: is owed) on one accumulator, USDC."""
    return (now - at_open) * collateral * leverage


def profit_percent(
    open_price: Decimal, price: Decimal, *, is_long: bool, leverage: Decimal, highest_leverage: Decimal
) -> Decimal:
    """Profit in percent of the collateral; capped at 900 % of what the highest leverage ever earned."""
    highest = max(leverage, highest_leverage)
    change = (price - open_price) / open_price * HUNDRED
    profit = min(MAX_PROFIT_PERCENT, (change if is_long else -change) * highest)
    return profit * leverage / highest


def liquidation_margin(
    collateral: Decimal, leverage: Decimal, max_leverage: Decimal, threshold_percent: Decimal
) -> Decimal:
    """A trade worth this much or less (USDC) is liquidated."""
    return collateral * threshold_percent * leverage / max_leverage / HUNDRED


def liquidation_price(
    open_price: Decimal,
    *,
    is_long: bool,
    collateral: Decimal,
    leverage: Decimal,
    running_costs: Decimal,
    margin: Decimal,
) -> Decimal:
    """The price at which the trade's value falls to ``margin``; never below 0."""
    distance = open_price * (collateral - margin - running_costs) / collateral / leverage
    return max(ZERO, open_price - distance if is_long else open_price + distance)


def default_take_profit(open_price: Decimal, leverage: Decimal, *, is_long: bool) -> Decimal:
    """The price of a 900 % gain, which the contract fills in where the trader named none."""
    distance = open_price * MAX_PROFIT_PERCENT / HUNDRED / leverage
    return open_price + distance if is_long else max(ZERO, open_price - distance)


def widest_stop_loss(open_price: Decimal, leverage: Decimal, *, is_long: bool) -> Decimal:
    """The furthest stop-loss price the contract allows (a loss of 85 %)."""
    distance = open_price * MAX_STOP_LOSS_PERCENT / HUNDRED / leverage
    return max(ZERO, open_price - distance) if is_long else open_price + distance
