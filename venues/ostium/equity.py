"""What an account is worth: wallet, locked collateral, and open trades at the price they would close at."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.numbers import scaled
from venues.ostium import fills, formulae, reading
from venues.ostium.formulae import FundingState
from venues.ostium.reading import Account
from venues.ostium.schemas import Tick, Trade, TradePair

ZERO: Final = Decimal(0)
RATE_DECIMALS: Final = 18


def equity(account: Account) -> Decimal | None:
    """USDC; None when a price, the wallet or the chain's height is not known."""
    if account.balance is None or account.block is None:
        return None
    total = account.balance
    for trade in account.trades:
        tick = account.ticks.get(reading.instrument(trade.pair))
        if tick is None:
            return None
        total += trade_value(trade, tick, account.block)
    total += sum((reading.usdc(limit.collateral) for limit in account.limits), ZERO)
    waiting = (o.collateral for o in account.pending if fills.action_of(o) == "open" and o.limit_id is None)
    return total + sum((reading.usdc(collateral) for collateral in waiting), ZERO)


def trade_value(trade: Trade, tick: Tick, block: int) -> Decimal:
    """What closing the trade now would pay, USDC, never below 0."""
    collateral, leverage = reading.usdc(trade.collateral), scaled(trade.leverage, 2)
    entry = reading.price(trade.open_price, f"trades[{trade.trade_id}].openPrice")
    if entry is None or leverage <= 0:
        return collateral
    percent = formulae.profit_percent(
        entry,
        (tick.bid if trade.is_buy else tick.ask) or tick.mid,
        is_long=trade.is_buy,
        leverage=leverage,
        highest_leverage=scaled(trade.highest_leverage or 0, 2),
    )
    costs = running_costs(trade, tick.mid, block)
    return max(ZERO, collateral + collateral * percent / 100 - costs)


def running_costs(trade: Trade, mid: Decimal, block: int) -> Decimal:
    """Rollover and funding owed since the trade was opened, USDC; negative when it is owed to the trader."""
    collateral, leverage = reading.usdc(trade.collateral), scaled(trade.leverage, 2)
    pair, total = trade.pair, ZERO
    if pair.acc_rollover is not None and trade.rollover is not None:
        now = formulae.accrue_rollover(
            scaled(pair.acc_rollover, RATE_DECIMALS),
            scaled(pair.rollover_fee_per_block or 0, RATE_DECIMALS),
            int(pair.last_rollover_block or block),
            block,
        )
        total += formulae.carry(scaled(trade.rollover, RATE_DECIMALS), now, collateral, leverage)
    state = funding_state(pair, mid)
    if state is not None and trade.funding is not None:
        long, short, _ = formulae.accrue_funding(state, block)
        at_open = scaled(trade.funding, RATE_DECIMALS)
        total += formulae.carry(at_open, long if trade.is_buy else short, collateral, leverage)
    return total


def funding_state(pair: TradePair, mid: Decimal) -> FundingState | None:
    """The pair's funding in human units; None when the subgraph left something out. Open interest is kept
    in base units and becomes dollars at the pair's last trade price (the mid price when that is unknown).
    """
    if pair.acc_funding_long is None or pair.acc_funding_short is None or pair.last_funding_block is None:
        return None
    at = reading.price(pair.last_trade_price, "pair.lastTradePrice") or mid
    return FundingState(
        long=scaled(pair.acc_funding_long, RATE_DECIMALS),
        short=scaled(pair.acc_funding_short, RATE_DECIMALS),
        rate=scaled(pair.last_funding_rate or 0, RATE_DECIMALS),
        block=int(pair.last_funding_block),
        long_oi=scaled(pair.long_oi or 0, 18) * at,
        short_oi=scaled(pair.short_oi or 0, 18) * at,
        cap=reading.usdc(pair.max_oi),
        max_rate=scaled(pair.max_funding_fee_per_block or 0, RATE_DECIMALS),
        inflection=scaled(pair.hill_inflection_point or 0, RATE_DECIMALS),
        positive_scale=scaled(pair.hill_pos_scale or 0, 2),
        negative_scale=scaled(pair.hill_neg_scale or 0, 2),
        spring=scaled(pair.spring_factor or 0, RATE_DECIMALS),
        up_scale=scaled(pair.s_factor_up_scale_p or 0, 2),
        down_scale=scaled(pair.s_factor_down_scale_p or 0, 2),
    )
