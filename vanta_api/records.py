"""Positions, executed orders and resting orders as Vanta writes them, plus one ``venue`` object.

Rule 1: a record is never changed after it is made; a new fact is a new record.
Rule 2: every key is always present; what is unknown is ``null``, never a guess.
Rule 3: amounts that must be exact are plain decimal strings inside ``venue``; the legacy fields beside
it are floats, because that is what Vanta's readers parse.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Any, Literal

import msgspec

OrderType = Literal["LONG", "SHORT", "FLAT"]
ExecutionType = Literal["MARKET", "LIMIT", "LIMIT_CANCEL", "BRACKET", "STOP_LIMIT"]
TradePairTuple = tuple[str, str, float, float, float]  # id, display, fee, min leverage, max leverage


class OrderSource(IntEnum):
    """Why an order exists (the ``src`` field)."""

    ORGANIC = 0
    ELIMINATION_FLAT = 1
    DEPRECATION_FLAT = 2
    PRICE_FILLED_ELIMINATION_FLAT = 3
    MAX_ORDERS_PER_POSITION_CLOSE = 4
    LIMIT_UNFILLED = 5
    LIMIT_FILLED = 6
    LIMIT_CANCELLED = 7
    BRACKET_UNFILLED = 8
    BRACKET_FILLED = 9
    BRACKET_CANCELLED = 10


class VenueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue itself said: amounts as plain decimal strings, times as integer ms UTC.

    ``quantity`` is signed (negative is short). ``derived`` marks facts that we had to infer because the
    venue reports only a net position. ``order_id`` is the venue's fill id on an executed order and its
    order id on a resting order. ``kind`` says what an executed order was (``trade``, ``expiry``, ...).
    """

    name: str
    account: str
    instrument: str
    position_id: str | None = None
    order_id: str | None = None
    quantity: str | None = None
    filled: str | None = None
    average_entry_price: str | None = None
    price: str | None = None
    mark_price: str | None = None
    realized_pnl: str | None = None
    unrealized_pnl: str | None = None
    fees: str | None = None
    status: str | None = None
    kind: str | None = None
    reduce_only: bool | None = None
    observed_ms: int | None = None
    venue_ms: int | None = None
    derived: bool = False


class PriceSource(msgspec.Struct, frozen=True, kw_only=True):
    """One quote that was used to price an order."""

    source: str = "unknown"
    timespan_ms: int = 0
    open: float | None = None
    close: float | None = None
    vwap: float | None = None
    high: float | None = None
    low: float | None = None
    start_ms: int = 0
    websocket: bool = False
    lag_ms: int = 0
    bid: float | None = 0.0
    ask: float | None = 0.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One executed order inside a position. ``leverage``, ``value`` (USD) and ``quantity`` are signed."""

    order_type: OrderType
    leverage: float | None = None
    value: float | None = None
    quantity: float | None = None
    price: float
    bid: float = 0.0
    ask: float = 0.0
    slippage: float = 0.0
    quote_usd_rate: float = 0.0
    usd_base_rate: float = 0.0
    processed_ms: int
    price_sources: tuple[PriceSource, ...] = ()
    order_uuid: str
    src: int = 0
    execution_type: ExecutionType = "MARKET"
    limit_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    venue: VenueFacts | None = None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One position with all its executed orders, oldest first (at most 100)."""

    miner_hotkey: str
    position_uuid: str
    open_ms: int
    trade_pair: TradePairTuple
    orders: tuple[Order, ...] = ()
    current_return: float = 1.0
    close_ms: int | None = None
    net_leverage: float = 0.0
    net_value: float = 0.0
    net_quantity: float = 0.0
    return_at_close: float = 1.0
    average_entry_price: float = 0.0
    initial_entry_price: float = 0.0
    cumulative_entry_value: float = 0.0
    account_size: float = 0.0
    realized_pnl: float = 0.0
    unrealized_pnl: float = 0.0
    position_type: OrderType | None = None
    is_closed_position: bool = False
    venue: VenueFacts | None = None


class RestingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a venue's book in Vanta's limit-order shape (``src`` 5 open, 6 filled, 7 cancelled)."""

    miner_hotkey: str
    trade_pair_id: str
    trade_pair: TradePairTuple
    order_type: OrderType
    leverage: float | None = None
    value: float | None = None
    quantity: float | None = None
    price: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    slippage: float = 0.0
    quote_usd_rate: float = 0.0
    usd_base_rate: float = 0.0
    processed_ms: int
    price_sources: tuple[PriceSource, ...] = ()
    order_uuid: str
    src: int = int(OrderSource.LIMIT_UNFILLED)
    execution_type: ExecutionType = "LIMIT"
    limit_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    venue: VenueFacts | None = None


class PositionMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``positions`` entry and the ``data`` of its WebSocket frame."""

    position: Position
    miner_repo_version: str | None = None
    repo_version: str | None = None


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of an ``orders`` entry."""

    order: RestingOrder


class AccountSizeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a hotkey's leverage and returns are measured against (USD), from ``update_time_ms`` on."""

    hotkey: str
    account_size: float
    account_size_theta: float = 0.0
    update_time_ms: int
    valid_date_timestamp: int


class AccountSizeMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``account_size|<hotkey>``."""

    account_size: AccountSizeRecord


class MarkMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``marks`` entry: one instrument's price in USD at one moment (exact decimal string)."""

    trade_pair_id: str
    venue: str
    instrument: str
    price: str
    time_ms: int


_encoder = msgspec.json.Encoder()
_position_message = msgspec.json.Decoder(PositionMessage)
_order_message = msgspec.json.Decoder(OrderMessage)
_mark_message = msgspec.json.Decoder(MarkMessage)


def encode(record: Any) -> bytes:
    """Return the record's JSON bytes (strict JSON: NaN and infinities become null)."""
    return _encoder.encode(record)


def decode_position_message(body: bytes) -> PositionMessage:
    """Read a ``positions`` entry's body. Raises msgspec.ValidationError with the field path."""
    return _position_message.decode(body)


def decode_order_message(body: bytes) -> OrderMessage:
    """Read an ``orders`` entry's body. Raises msgspec.ValidationError with the field path."""
    return _order_message.decode(body)


def decode_mark_message(body: bytes) -> MarkMessage:
    """Read a ``marks`` entry's body. Raises msgspec.ValidationError with the field path."""
    return _mark_message.decode(body)


def plain(amount: Decimal) -> str:
    """Return the decimal without an exponent and without trailing zeros: ``1E-7`` → ``0.0000001``."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
