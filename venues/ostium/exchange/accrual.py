"""Funding and rollover as the contracts keep them: accumulators brought up to date when a pair is used."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.numbers import scaled, unscaled
from venues.ostium import formulae
from venues.ostium.exchange.state import PairState, Trade
from venues.ostium.formulae import FundingState

MAX_FUNDING_PER_BLOCK: Final = 3_000_000_000  # × 1e18: 0.09 % a day
SPRING: Final = 4_000_000_000_000
HILL_SCALE: Final = 100
UP_SCALE: Final = 10_000
DOWN_SCALE: Final = 7_000
LIQUIDATION_THRESHOLD: Final = 25  # percent


def funding_state(state: PairState) -> FundingState:
    """The pair's funding in human units."""
    at = scaled(state.last_trade_price, 18)
    return FundingState(
        long=scaled(state.acc_funding_long, 18),
        short=scaled(state.acc_funding_short, 18),
        rate=scaled(state.last_funding_rate, 18),
        block=state.last_funding_block,
        long_oi=scaled(state.long_oi, 18) * at,
        short_oi=scaled(state.short_oi, 18) * at,
        cap=scaled(state.max_oi, 6),
        max_rate=scaled(MAX_FUNDING_PER_BLOCK, 18),
        inflection=Decimal(0),
        positive_scale=scaled(HILL_SCALE, 2),
        negative_scale=scaled(HILL_SCALE, 2),
        spring=scaled(SPRING, 18),
        up_scale=scaled(UP_SCALE, 2),
        down_scale=scaled(DOWN_SCALE, 2),
    )


def accrue(state: PairState, block: int) -> None:
    """Bring the pair's accumulators to ``block``."""
    if block > state.last_funding_block:
        long, short, rate = formulae.accrue_funding(funding_state(state), block)
        state.acc_funding_long, state.acc_funding_short = unscaled(long, 18), unscaled(short, 18)
        state.last_funding_rate, state.last_funding_block = unscaled(rate, 18), block
    if block > state.last_rollover_block:
        per_block = state.pair.terms.rollover_per_block
        state.acc_rollover += per_block * (block - state.last_rollover_block)
        state.last_rollover_block = block


def costs(trade: Trade, collateral: int) -> tuple[int, int]:
    """``(rollover, funding)`` that ``collateral`` of the trade owes, USDC × 1e6, signed; the pair must be
    up to date."""
    state = trade.pair
    funding_now = state.acc_funding_long if trade.is_buy else state.acc_funding_short
    weight = collateral * trade.leverage
    return (
        weight * (state.acc_rollover - trade.rollover) // 10**20,
        weight * (funding_now - trade.funding) // 10**20,
    )


def profit_percent(trade: Trade, price: int) -> Decimal:
    """Profit in percent of the collateral at a price × 1e18."""
    return formulae.profit_percent(
        Decimal(trade.open_price),
        Decimal(price),
        is_long=trade.is_buy,
        leverage=scaled(trade.leverage, 2),
        highest_leverage=scaled(trade.highest_leverage, 2),
    )


def liquidation_margin(trade: Trade) -> int:
    """Worth this much or less (USDC × 1e6), the whole trade is liquidated."""
    highest = trade.pair.pair.terms.max_leverage
    return trade.collateral * LIQUIDATION_THRESHOLD * trade.leverage // highest // 100


def liquidation_price(trade: Trade) -> int:
    """The price × 1e18 at which the trade, with the costs it owes now, would be liquidated."""
    found = formulae.liquidation_price(
        Decimal(trade.open_price),
        is_long=trade.is_buy,
        collateral=Decimal(trade.collateral),
        leverage=scaled(trade.leverage, 2),
        running_costs=Decimal(sum(costs(trade, trade.collateral))),
        margin=Decimal(liquidation_margin(trade)),
    )
    return int(found)
