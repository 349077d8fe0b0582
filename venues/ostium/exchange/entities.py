"""The subgraph's rows: integers as decimal strings, addresses lower-case, ``null`` for what never was."""

from __future__ import annotations

from typing import Any

from venues.ostium.exchange import accrual
from venues.ostium.exchange.engine import MIN_SIZE
from venues.ostium.exchange.market import GROUPS, GroupName
from venues.ostium.exchange.state import Limit, Order, PairState, Trade

Row = dict[str, Any]

MAKER_MAX_LEVERAGE = "2000"
BILLION = 10**9


def group(name: GroupName, states: list[PairState]) -> Row:
    """A group of pairs; its leverage bound stands in for the pair's own where it is not 0."""
    terms = GROUPS[name]
    return {
        "id": str(terms.id),
        "name": name,
        "minLeverage": "100",
        "maxLeverage": "0" if name == "stocks" else str(terms.max_leverage),
        "maxCollateralP": "7500",
        "longCollateral": str(sum(s.long_oi * s.last_trade_price // 10**30 for s in states) // 20),
        "shortCollateral": str(sum(s.short_oi * s.last_trade_price // 10**30 for s in states) // 20),
    }


def pair(state: PairState, group_row: Row) -> Row:
    """A pair, as of the last time somebody traded it."""
    listed, terms = state.pair, state.pair.terms
    rate = state.last_funding_rate
    return {
        "id": str(listed.id),
        "from": listed.base,
        "to": listed.quote,
        "feed": listed.feed,
        "group": group_row,
        "fee": {"id": group_row["id"], "minLevPos": str(MIN_SIZE), "oracleFee": "100000", "liqFeeP": "0"},
        "maxLeverage": str(terms.max_leverage),
        "minLeverage": "100",
        "overnightMaxLeverage": str(terms.overnight_max_leverage),
        "longOI": str(state.long_oi),
        "shortOI": str(state.short_oi),
        "maxOI": str(state.max_oi),
        "makerFeeP": str(terms.maker_fee_p),
        "takerFeeP": str(terms.taker_fee_p),
        "makerMaxLeverage": MAKER_MAX_LEVERAGE,
        "spreadP": str(int(terms.spread * 10**12)),
        "lastTradePrice": str(state.last_trade_price),
        "totalOpenTrades": str(state.total_open_trades),
        "totalOpenLimitOrders": str(state.total_open_limits),
        "accFundingLong": str(state.acc_funding_long),
        "accFundingShort": str(state.acc_funding_short),
        "curFundingLong": str(rate // BILLION),
        "curFundingShort": str(-rate * state.long_oi // max(1, state.short_oi) // BILLION),
        "lastFundingRate": str(rate),
        "lastFundingBlock": str(state.last_funding_block),
        "maxFundingFeePerBlock": str(accrual.MAX_FUNDING_PER_BLOCK),
        "hillInflectionPoint": "0",
        "hillPosScale": str(accrual.HILL_SCALE),
        "hillNegScale": str(accrual.HILL_SCALE),
        "springFactor": str(accrual.SPRING),
        "sFactorUpScaleP": str(accrual.UP_SCALE),
        "sFactorDownScaleP": str(accrual.DOWN_SCALE),
        "accRollover": str(state.acc_rollover),
        "curRollover": str(terms.rollover_per_block),
        "rolloverFeePerBlock": str(terms.rollover_per_block),
        "lastRolloverBlock": str(state.last_rollover_block),
    }


def trade(found: Trade) -> Row:
    """An open or closed trade. ``pair`` is the pair's number, here and below: its row goes on changing."""
    return {
        "id": str(found.id),
        "tradeID": str(found.id),
        "trader": found.trader,
        "index": str(found.index),
        "pair": found.pair.pair.id,
        "tradeType": found.trade_type,
        "isOpen": found.is_open,
        "isBuy": found.is_buy,
        "isDayTrade": found.is_day_trade,
        "closeInitiated": found.close_initiated,
        "collateral": str(found.collateral),
        "notional": str(found.collateral * found.leverage // 100),
        "tradeNotional": str(found.notional),
        "leverage": str(found.leverage),
        "highestLeverage": str(found.highest_leverage),
        "openPrice": str(found.open_price),
        "closePrice": _text(found.close_price),
        "takeProfitPrice": str(found.take_profit),
        "stopLossPrice": str(found.stop_loss),
        "funding": str(found.funding),
        "rollover": str(found.rollover),
        "timestamp": str(found.timestamp),
    }


def limit(found: Limit) -> Row:
    """A limit or stop order; the row of a slot is overwritten when the slot is used again."""
    size = found.collateral * found.leverage // 100
    return {
        "id": found.id,
        "uniqueId": str(found.unique_id),
        "orderId": _text(found.order_id),
        "trader": found.trader,
        "pair": found.pair.pair.id,
        "isBuy": found.is_buy,
        "limitType": found.limit_type,
        "isActive": found.is_active,
        "executionStarted": found.execution_started,
        "collateral": str(found.collateral),
        "notional": str(size),
        "tradeNotional": str(size * 10**30 // found.price),
        "leverage": str(found.leverage),
        "openPrice": str(found.price),
        "takeProfitPrice": str(found.take_profit),
        "stopLossPrice": str(found.stop_loss),
        "block": str(found.block),
        "initiatedAt": str(found.initiated_at),
        "updatedAt": str(found.updated_at),
    }


def order(found: Order) -> Row:
    """An order; what it never came to have is null."""
    return {
        "id": str(found.id),
        "tradeID": _text(found.trade_id),
        "limitID": found.limit_id,
        "trader": found.trader,
        "pair": found.pair.pair.id,
        "orderType": found.order_type,
        "orderAction": found.order_action,
        "isBuy": found.is_buy,
        "isPending": found.is_pending,
        "isCancelled": found.is_cancelled,
        "cancelReason": found.cancel_reason,
        "price": _text(found.price),
        "priceAfterImpact": _text(found.price_after_impact),
        "priceImpactP": _text(found.price_impact),
        "collateral": _text(found.collateral),
        "notional": _text(found.notional),
        "tradeNotional": _text(found.trade_notional),
        "leverage": _text(found.leverage),
        "profitPercent": _text(found.profit_percent),
        "totalProfitPercent": _text(found.total_profit_percent),
        "amountSentToTrader": _text(found.amount_sent),
        "closePercent": _text(found.close_percent),
        "devFee": str(found.dev_fee),
        "vaultFee": str(found.vault_fee),
        "oracleFee": str(found.oracle_fee),
        "liquidationFee": str(found.liquidation_fee),
        "fundingFee": str(found.funding_fee),
        "rolloverFee": str(found.rollover_fee),
        "builder": found.builder,
        "builderFee": str(0 if found.is_pending else found.builder_fee),
        "initiatedAt": str(found.initiated_at),
        "executedAt": _text(found.executed_at),
        "initiatedTx": found.initiated_tx,
        "executedTx": found.executed_tx,
        "initiatedBlock": str(found.initiated_block),
        "executedBlock": _text(found.executed_block),
    }


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
