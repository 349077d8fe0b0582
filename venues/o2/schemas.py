"""O2's answers, typed. Unknown extra fields are ignored; a missing or mistyped one is drift.

Rule 1: chain amounts are whole numbers, sent as decimal strings and tolerated as JSON integers.
Rule 2: identifiers arrive with or without ``0x`` and in any case; ``hex_id`` makes them comparable.
Rule 3: times arrive as seconds, milliseconds or ISO text, as numbers or strings; ``moment`` gives ms.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from venues.errors import Broken
from venues.numbers import time_ms

Whole = int | str
Moment = int | float | str
Decimals = Annotated[int, msgspec.Meta(ge=0, le=36)]

MAX_DIGITS: Final = 40  # a u128 has 39; anything longer is not an amount
USD_SYMBOLS: Final = frozenset(
    {"USD", "USDC", "USDT", "USDT0", "DAI", "USDS", "USDE", "USDF", "FDUSD", "PYUSD", "TUSD", "RLUSD"}
)
PPM: Final = Decimal(1_000_000)  # fees are parts per million: taker_fee "100" is 0.01 %


class AssetRow(msgspec.Struct, frozen=True):
    """One side of a market. ``decimals`` scales its chain integers."""

    symbol: str
    asset: str
    decimals: Decimals
    max_precision: Decimals


class MarketRow(msgspec.Struct, frozen=True):
    """One listed market. ``min_order`` is in quote units, ``dust`` in base units, fees in ppm."""

    contract_id: str
    market_id: str
    base: AssetRow
    quote: AssetRow
    maker_fee: Whole = "0"
    taker_fee: Whole = "0"
    min_order: Whole = "0"
    dust: Whole = "0"


class MarketsBody(msgspec.Struct, frozen=True):
    """GET /v1/markets."""

    markets: list[MarketRow]


class TradeAccountRow(msgspec.Struct, frozen=True):
    """The contract's own record; ``nonce`` is decimal or hex text."""

    owner: dict[str, str]
    nonce: Whole = "0"


class AccountBody(msgspec.Struct, frozen=True):
    """GET /v1/accounts: all null for an owner that has no trade account."""

    trade_account_id: str | None = None
    trade_account: TradeAccountRow | None = None


class BalanceBody(msgspec.Struct, frozen=True):
    """GET /v1/balance. ``total_unlocked`` already includes ``trading_account_balance``."""

    total_locked: Whole
    total_unlocked: Whole
    trading_account_balance: Whole = "0"


class TradeRow(msgspec.Struct, frozen=True):
    """One execution. ``side`` is the MAKER's side; ``trader_side`` is this account's role."""

    trade_id: Whole
    side: str
    total: Whole
    quantity: Whole
    price: Whole
    timestamp: Moment
    trader_side: str


class TradesBody(msgspec.Struct, frozen=True):
    """GET /v1/trades_by_account."""

    trades: list[TradeRow]


class OrderRow(msgspec.Struct, frozen=True):
    """One order. ``price_fill`` is the volume-weighted price of what was filled."""

    order_id: str
    side: str
    order_type: str | dict[str, Any]
    quantity: Whole
    price: Whole
    timestamp: Moment
    quantity_fill: Whole = "0"
    close: bool = False
    cancel: bool = False
    partially_filled: bool = False


class OrdersBody(msgspec.Struct, frozen=True):
    """GET /v1/orders."""

    orders: list[OrderRow]


class OrderBody(msgspec.Struct, frozen=True):
    """GET /v1/order."""

    order: OrderRow


class TickerRow(msgspec.Struct, frozen=True):
    """GET /v1/markets/ticker: chain integers (``last``, ``bid``, ``ask``) or human ones (``*_price``)."""

    last: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    last_price: Decimal | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    timestamp: Moment | None = None


class LevelRow(msgspec.Struct, frozen=True):
    """One price level of the book."""

    price: Whole
    quantity: Whole


class BookSides(msgspec.Struct, frozen=True):
    """Both sides, best price first."""

    buys: list[LevelRow] = []
    sells: list[LevelRow] = []


class DepthBody(msgspec.Struct, frozen=True):
    """GET /v1/depth: the sides come under ``orders`` or ``view``."""

    orders: BookSides | None = None
    view: BookSides | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """What a refused request is answered with; a success has no ``code``."""

    code: int | None = None
    message: str | None = None
    error: str | None = None


markets_decoder = msgspec.json.Decoder(MarketsBody)
account_decoder = msgspec.json.Decoder(AccountBody)
balance_decoder = msgspec.json.Decoder(BalanceBody)
trades_decoder = msgspec.json.Decoder(TradesBody | list[TradeRow])
orders_decoder = msgspec.json.Decoder(OrdersBody | list[OrderRow])
order_decoder = msgspec.json.Decoder(OrderBody)
ticker_decoder = msgspec.json.Decoder(list[TickerRow] | TickerRow)
depth_decoder = msgspec.json.Decoder(DepthBody)
ids_decoder = msgspec.json.Decoder(list[str])


def hex_id(path: str, value: str) -> str:
    """The identifier in lower case with ``0x``. Raises Broken when it is not hexadecimal."""
    digits = value.lower().removeprefix("0x")
    if not digits or not set(digits) <= set("0123456789abcdef"):
        raise Broken(path, "a hexadecimal identifier", repr(value[:80]))
    return "0x" + digits


def whole(path: str, value: Whole) -> int:
    """The chain integer. Raises Broken when it is negative, fractional, too long or no number."""
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > MAX_DIGITS:
            raise Broken(path, "a whole amount", repr(value[:80]))
        return int(value)
    if value < 0:
        raise Broken(path, "a whole amount", str(value))
    return value


def moment(path: str, value: Moment) -> int:
    """Milliseconds UTC of a time in seconds, milliseconds or ISO text. Raises Broken otherwise."""
    text = str(value)
    if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 24:
        return time_ms(Decimal(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Broken(path, "a time", repr(text[:80])) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def is_usd(symbol: str) -> bool:
    """Whether the asset counts as a US dollar; test networks put an ``f`` before the name (``fUSDC``)."""
    return (symbol[1:] if symbol.startswith("f") else symbol).upper() in USD_SYMBOLS
