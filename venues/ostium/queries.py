"""The GraphQL documents we send. Every field and argument in them is one that other clients of this
subgraph are known to use, so that none depends on a feature its host may lack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

_PAIR: Final = "pair { id from to }"
_TRADE_PAIR: Final = (
    "pair { id feed from to maxLeverage accRollover lastRolloverBlock rolloverFeePerBlock accFundingLong"
    " accFundingShort lastFundingRate lastFundingBlock maxFundingFeePerBlock hillInflectionPoint hillPosScale"
    " hillNegScale springFactor sFactorUpScaleP sFactorDownScaleP longOI shortOI maxOI lastTradePrice }"
)
TRADE: Final = (
    "tradeID trader index tradeType isOpen isBuy closeInitiated collateral notional tradeNotional leverage"
    f" highestLeverage openPrice takeProfitPrice stopLossPrice funding rollover timestamp {_TRADE_PAIR}"
)
LIMIT: Final = (
    "id uniqueId orderId trader isBuy isActive limitType executionStarted collateral notional tradeNotional"
    f" leverage openPrice takeProfitPrice stopLossPrice initiatedAt updatedAt {_PAIR}"
)
ORDER: Final = (
    "id tradeID limitID trader isBuy orderType orderAction isPending isCancelled cancelReason price"
    " priceAfterImpact priceImpactP collateral notional tradeNotional leverage profitPercent"
    " totalProfitPercent amountSentToTrader closePercent devFee vaultFee oracleFee liquidationFee fundingFee"
    f" rolloverFee builder builderFee initiatedAt executedAt initiatedTx executedTx {_PAIR}"
)
PAIR: Final = (
    "id from to feed overnightMaxLeverage longOI shortOI maxOI makerFeeP takerFeeP makerMaxLeverage"
    " curFundingLong curFundingShort curRollover totalOpenTrades totalOpenLimitOrders accRollover"
    " lastRolloverBlock rolloverFeePerBlock accFundingLong accFundingShort lastFundingBlock"
    " maxFundingFeePerBlock lastFundingRate hillInflectionPoint hillPosScale hillNegScale springFactor"
    " sFactorUpScaleP sFactorDownScaleP lastTradePrice maxLeverage"
    " group { id name minLeverage maxLeverage maxCollateralP longCollateral shortCollateral }"
    " fee { minLevPos }"
)

_TRADES: Final = (
    "trades(where: {isOpen: true, trader: $trader}, first: 1000, skip: $skip,"
    f" orderBy: timestamp, orderDirection: asc) {{ {TRADE} }}"
)
_LIMITS: Final = (
    "limits(where: {trader: $trader, isActive: true}, first: 1000, skip: $skip,"
    f" orderBy: initiatedAt, orderDirection: asc) {{ {LIMIT} }}"
)
_ENDED: Final = (
    "ended: limits(where: {trader: $trader, isActive: false}, first: 100,"
    f" orderBy: updatedAt, orderDirection: desc) {{ {LIMIT} }}"
)
_PENDING: Final = (
    "orders(where: {trader: $trader, isPending: true}, first: 1000, skip: $skip,"
    f" orderBy: initiatedAt, orderDirection: asc) {{ {ORDER} }}"
)
_SETTLED: Final = (
    "orders(where: {trader: $trader, isPending: false}, first: $first, skip: $skip,"
    f" orderBy: executedAt, orderDirection: desc) {{ {ORDER} }}"
)

# All lists of an account in one document: the subgraph answers it at one height of the chain.
ACCOUNT: Final = (
    "query Account($trader: Bytes!, $first: Int!, $skip: Int!) {"
    f" {_TRADES} {_LIMITS} {_ENDED} pending: {_PENDING} settled: {_SETTLED} }}"
)
TRADES: Final = f"query trades($trader: Bytes!, $skip: Int!) {{ {_TRADES} }}"
LIMITS: Final = f"query orders($trader: Bytes!, $skip: Int!) {{ {_LIMITS} }}"
PENDING: Final = f"query PendingOrders($trader: Bytes!, $skip: Int!) {{ {_PENDING} }}"
HISTORY: Final = f"query ListOrdersHistory($trader: Bytes!, $first: Int!, $skip: Int!) {{ {_SETTLED} }}"
OLDER: Final = (  # beyond what skip can reach
    "query ListOrdersHistory($trader: Bytes!, $first: Int!, $skip: Int!, $until: BigInt!) {"
    " orders(where: {trader: $trader, isPending: false, executedAt_lte: $until}, first: $first, skip: $skip,"
    f" orderBy: executedAt, orderDirection: desc) {{ {ORDER} }} }}"
)
PAIRS: Final = f"query getPairs {{ pairs(first: 1000) {{ {PAIR} }} }}"
PAIR_DETAILS: Final = f"query getPairDetails($pair_id: ID!) {{ pair(id: $pair_id) {{ {PAIR} }} }}"
META_DATAS: Final = "query metaDatas { metaDatas { liqMarginThresholdP } }"
ORDER_BY_ID: Final = f"query GetOrder($order_id: ID!) {{ orders(where: {{id: $order_id}}) {{ {ORDER} }} }}"
TRADE_BY_ID: Final = (
    f"query GetTrade($trade_id: ID!) {{ trades(where: {{id: $trade_id}}) {{ id closePrice {TRADE} }} }}"
)
ORDERS_BY_TX: Final = (
    "query OrdersByTx($hashes: [String!]) { orders(where: {initiatedTx_in: $hashes}, first: 1000)"
    f" {{ {ORDER} }} }}"
)


def orders_of_trades(trade_ids: Sequence[str]) -> str:
    """Every order of these trades. The ids stand in the text, since whether the subgraph types them as
    strings, ids or numbers is not documented: a literal fits each."""
    ids = ", ".join(json.dumps(trade_id) for trade_id in trade_ids)
    return (
        "query TradeOrders($trader: Bytes!, $skip: Int!) {"
        f" orders(where: {{trader: $trader, tradeID_in: [{ids}]}}, first: 1000, skip: $skip,"
        f" orderBy: executedAt, orderDirection: asc) {{ {ORDER} }} }}"
    )
