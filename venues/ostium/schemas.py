"""The venue's answers as typed structs; extra fields are ignored, wrong ones are drift.

Units (subgraph): prices, base amounts (``tradeNotional``), open interest and fee accumulators 1e18; USDC
amounts 1e6; leverages and percentages 1e2; maker and taker fees percent × 1e6; times seconds.
Integers come as decimal strings; plain JSON integers are accepted too.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, field

_INT = 1 << 62
BigInt = Annotated[int, Meta(ge=-_INT, le=_INT)] | Annotated[str, Meta(pattern=r"^-?[0-9]{1,38}\Z")]
Natural = Annotated[int, Meta(ge=0, le=_INT)] | Annotated[str, Meta(pattern=r"^[0-9]{1,38}\Z")]
Seconds = Annotated[int, Meta(ge=0, le=99_999_999_999)] | Annotated[str, Meta(pattern=r"^[0-9]{1,11}\Z")]
Hex = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{0,131072}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Id = Annotated[str, Meta(min_length=1, max_length=200)]
Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]

T = TypeVar("T")


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Common options of all structs here."""


class PairRef(_Struct, frozen=True, kw_only=True):
    """The pair named inside an order or a limit."""

    id: Id
    base: Name = field(name="from")
    quote: Name = field(name="to")


class TradePair(PairRef, frozen=True, kw_only=True):
    """The pair inside a trade, with what the running costs are computed from."""

    acc_rollover: BigInt | None = None
    last_rollover_block: Natural | None = None
    rollover_fee_per_block: BigInt | None = None
    acc_funding_long: BigInt | None = None
    acc_funding_short: BigInt | None = None
    last_funding_rate: BigInt | None = None
    last_funding_block: Natural | None = None
    max_funding_fee_per_block: BigInt | None = None
    hill_inflection_point: BigInt | None = None
    hill_pos_scale: BigInt | None = None
    hill_neg_scale: BigInt | None = None
    spring_factor: BigInt | None = None
    s_factor_up_scale_p: BigInt | None = None
    s_factor_down_scale_p: BigInt | None = None
    long_oi: Natural | None = field(name="longOI", default=None)
    short_oi: Natural | None = field(name="shortOI", default=None)
    max_oi: Natural | None = field(name="maxOI", default=None)
    last_trade_price: Natural | None = None


class Group(_Struct, frozen=True, kw_only=True):
    """A group of pairs; a leverage of 0 means that the pair's own applies."""

    name: str | None = None
    min_leverage: Natural | None = None
    max_leverage: Natural | None = None


class Pair(PairRef, frozen=True, kw_only=True):
    """One row of ``pairs``: what is traded, on what terms."""

    max_leverage: Natural | None = None
    maker_fee_p: Natural | None = None
    taker_fee_p: Natural
    group: Group | None = None


class Trade(_Struct, frozen=True, kw_only=True):
    """An open trade. ``collateral`` is net of opening fees; ``funding`` and ``rollover`` are the
    accumulators' values when it was opened; a take-profit or stop-loss price of 0 means none."""

    trade_id: Id = field(name="tradeID")
    trader: Address
    index: Natural
    is_buy: bool
    is_open: bool = True
    close_initiated: bool | None = None
    collateral: Natural
    leverage: Natural
    highest_leverage: Natural | None = None
    trade_notional: Natural | None = None
    open_price: Natural
    take_profit_price: Natural | None = None
    stop_loss_price: Natural | None = None
    funding: BigInt | None = None
    rollover: BigInt | None = None
    timestamp: Seconds
    pair: TradePair


class Limit(_Struct, frozen=True, kw_only=True):
    """A resting order to open. ``id`` names a slot that is used again; ``unique_id`` does not."""

    id: Id
    unique_id: str | int | None = None
    order_id: str | int | None = None
    trader: Address
    is_buy: bool
    is_active: bool
    limit_type: Name
    execution_started: bool | None = None
    collateral: Natural
    leverage: Natural
    trade_notional: Natural | None = None
    open_price: Natural
    take_profit_price: Natural | None = None
    stop_loss_price: Natural | None = None
    initiated_at: Seconds
    updated_at: Seconds | None = None
    pair: PairRef


class Order(_Struct, frozen=True, kw_only=True):
    """One request to the oracle and what came of it. ``is_buy`` is the direction of the TRADE, also on
    orders that close it."""

    id: Id
    trade_id: Id | None = field(name="tradeID", default=None)
    limit_id: Id | None = field(name="limitID", default=None)
    trader: Address
    is_buy: bool
    order_type: Name
    order_action: Name
    is_pending: bool
    is_cancelled: bool
    cancel_reason: str | int | None = None
    price: Natural | None = None
    price_after_impact: Natural | None = None
    collateral: Natural | None = None
    trade_notional: Natural | None = None
    leverage: Natural | None = None
    amount_sent_to_trader: Natural | None = None
    close_percent: Natural | None = None
    dev_fee: BigInt | None = None
    vault_fee: BigInt | None = None
    oracle_fee: BigInt | None = None
    liquidation_fee: BigInt | None = None
    builder_fee: BigInt | None = None
    funding_fee: BigInt | None = None
    rollover_fee: BigInt | None = None
    initiated_at: Seconds
    executed_at: Seconds | None = None
    pair: PairRef


class AccountData(_Struct, frozen=True, kw_only=True):
    """One consistent read of an account: ``ended`` are limits that were filled or cancelled lately."""

    trades: list[Trade]
    limits: list[Limit]
    ended: list[Limit]
    pending: list[Order]
    settled: list[Order]


class TradesData(_Struct, frozen=True, kw_only=True):
    """A further page of open trades."""

    trades: list[Trade]


class LimitsData(_Struct, frozen=True, kw_only=True):
    """A further page of active limits."""

    limits: list[Limit]


class OrdersData(_Struct, frozen=True, kw_only=True):
    """A page of orders."""

    orders: list[Order]


class PairsData(_Struct, frozen=True, kw_only=True):
    """All pairs."""

    pairs: list[Pair]


class Reply(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A GraphQL answer without errors."""

    data: T


class GraphError(msgspec.Struct, frozen=True, kw_only=True):
    """One GraphQL error."""

    message: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A GraphQL answer before its data is read."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[GraphError] | None = None


class Tick(_Struct, frozen=True, kw_only=True):
    """One price: quote currency per unit, exact decimals as they stood in the text."""

    base: Name = field(name="from")
    quote: Name = field(name="to")
    mid: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    is_market_open: bool = True
    timestamp_seconds: Seconds | None = None


class TickList(_Struct, frozen=True, kw_only=True):
    """The newer price service wraps its ticks."""

    prices: list[Tick]


class RpcError(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON-RPC error."""

    code: int = 0
    message: str = ""


class RpcReply(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON-RPC answer whose result is a hex string."""

    result: Hex | None = None
    error: RpcError | None = None


account_reply = msgspec.json.Decoder(Reply[AccountData])
trades_reply = msgspec.json.Decoder(Reply[TradesData])
limits_reply = msgspec.json.Decoder(Reply[LimitsData])
orders_reply = msgspec.json.Decoder(Reply[OrdersData])
pairs_reply = msgspec.json.Decoder(Reply[PairsData])
envelope = msgspec.json.Decoder(Envelope)
ticks = msgspec.json.Decoder(list[Tick] | TickList)
rpc_reply = msgspec.json.Decoder(RpcReply)
