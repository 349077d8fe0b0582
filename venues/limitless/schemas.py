"""The answers we read, as typed structs: a field that changes its type is noticed here.

Only what the normaliser needs is named; other fields may come and go. Amounts are Decimals whether the
venue writes them as text or as a number. Token ids are text: they are larger than any number JSON readers
keep exactly.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

import msgspec

Outcome = Literal[0, 1]  # 0 is YES, 1 is NO


class _Row(msgspec.Struct, rename="camel"):
    """Camel-case JSON, unknown fields ignored."""


class Collateral(_Row):
    """The token a market is settled in."""

    symbol: str = "USDC"
    decimals: int = 6


class PositionMarket(_Row):
    """The market inside a portfolio row. ``deadline``/``expirationDate`` are ISO times."""

    slug: str
    title: str = ""
    status: str | None = None
    closed: bool = False
    winning_outcome_index: Outcome | None = None
    payout_numerators: list[Decimal] | None = None
    old_payout_numerators: list[Decimal] | None = msgspec.field(default=None, name="payout_numerators")
    deadline: str | None = None
    expiration_date: str | None = None
    yes_position_id: str | None = None
    no_position_id: str | None = None
    collateral_token: Collateral = msgspec.field(default_factory=Collateral)


class ClobSide(_Row):
    """Money figures of one outcome, in raw units (millionths). ``unrealizedPnl`` is known to be wrong."""

    cost: Decimal
    fill_price: Decimal
    market_value: Decimal = Decimal(0)
    realised_pnl: Decimal | None = None


class ClobSides(_Row):
    yes: ClobSide
    no: ClobSide


class Balances(_Row):
    """Shares in raw units."""

    yes: Decimal
    no: Decimal


class LatestTrade(_Row):
    """Prices between 0 and 1; null before the first trade."""

    latest_yes_price: Decimal | None = None
    latest_no_price: Decimal | None = None
    outcome_token_price: Decimal | None = None


class LiveOrder(_Row):
    """A resting order inside a portfolio row; the venue documents none of its fields."""

    id: str | None = None
    token: str | None = None
    side: str | None = None
    price: Decimal | None = None
    original_size: Decimal | None = None
    remaining_size: Decimal | None = None
    created_at: str | None = None


class RowOrders(_Row):
    live_orders: list[LiveOrder] = []


class ClobRow(_Row):
    """One order-book market of the portfolio."""

    market: PositionMarket
    positions: ClobSides
    tokens_balance: Balances
    maker_address: str | None = None
    latest_trade: LatestTrade | None = None
    orders: RowOrders | None = None


class AmmRow(_Row):
    """One outcome of an AMM market. Amounts are decimals today and were raw units once."""

    market: PositionMarket
    outcome_index: Outcome
    outcome_token_amount: Decimal
    average_fill_price: Decimal | None = None
    total_buys_cost: Decimal | None = None
    realized_pnl: Decimal | None = None
    latest_trade: LatestTrade | None = None


class Portfolio(_Row):
    clob: list[ClobRow]
    amm: list[AmmRow]
    group: list[msgspec.Raw] = []  # undocumented elements; read where they look like order-book rows


class HistoryMarket(_Row):
    slug: str
    title: str = ""
    expiration_date: str | None = None


class HistoryRow(_Row):
    """One line of the account's history. Trade amounts are human decimals, ``pnl`` is raw.

    ``strategy`` names a trade, ``action`` a settlement, whose ``outcomeIndex`` is the winning one.
    """

    block_timestamp: Decimal
    market: HistoryMarket | None = None
    strategy: str | None = None
    action: str | None = None
    outcome_index: Outcome | None = None
    collateral_amount: Decimal | None = None
    outcome_token_amount: Decimal | None = None
    outcome_token_price: msgspec.Raw = msgspec.Raw(b"null")  # documented as "any"
    transaction_hash: str | None = None


class HistoryPage(_Row):
    data: list[HistoryRow]
    next_cursor: str | None = None


class PageRow(_Row):
    """What the client itself needs of a history row: enough to tell rows apart."""

    block_timestamp: Decimal
    market: HistoryMarket | None = None
    strategy: str | None = None
    action: str | None = None
    outcome_index: int | None = None
    collateral_amount: Decimal | None = None
    outcome_token_amount: Decimal | None = None
    transaction_hash: str | None = None


class PageCursor(_Row):
    """A history page as far as the client reads it."""

    data: list[PageRow]
    next_cursor: str | None = None


class UserOrder(_Row):
    """An order of the account in one market. Sizes are raw units of shares."""

    id: str
    created_at: str
    token: str
    type: str
    status: str
    side: str | int
    original_size: Decimal
    remaining_size: Decimal
    price: Decimal | None = None


class UserOrders(_Row):
    orders: list[UserOrder]


class Totals(_Row):
    """What an execution moved, in raw units."""

    contracts_gross: Decimal
    contracts_fee: Decimal
    contracts_net: Decimal
    usd_gross: Decimal
    usd_fee: Decimal
    usd_net: Decimal


class Execution(_Row):
    matched: bool
    settlement_status: str
    totals_raw: Totals
    tx_hash: str | None = None
    trade_event_id: str | None = None


class StatusMarket(_Row):
    slug: str


class StatusOrder(_Row):
    """The order inside a status answer; ``side`` is 0 or BUY, 1 or SELL."""

    id: str
    token_id: str
    side: str | int
    order_type: str
    maker_amount: Decimal
    taker_amount: Decimal
    created_at: str | None = None
    price: Decimal | None = None
    market: StatusMarket | None = None


class StatusData(_Row):
    order: StatusOrder
    execution: Execution
    maker_matches: list[msgspec.Raw] = []


class StatusResult(_Row):
    status: str
    data: StatusData | None = None


class StatusAnswer(_Row):
    results: list[StatusResult]


class RawAnswer(_Row):
    """A status answer taken apart without being read."""

    results: list[msgspec.Raw]


class Tokens(_Row):
    yes: str
    no: str


class MarketVenue(_Row):
    exchange: str
    fee_module_type: str | None = None


class Market(_Row):
    """A market's own page. ``prices`` are [yes, no], between 0 and 1 or (AMM) in percent."""

    slug: str
    title: str
    status: str
    trade_type: str
    expired: bool = False
    expiration_timestamp: Decimal | None = None
    updated_at: str | None = None
    resolution_date: str | None = None
    winning_outcome_index: Outcome | None = None
    tokens: Tokens | None = None
    prices: list[Decimal] | None = None
    venue: MarketVenue | None = None


class BookLevel(_Row):
    """A price between 0 and 1 and a size in raw units of shares."""

    price: Decimal
    size: Decimal


class OrderBook(_Row):
    """Quoted for the YES token, always: best bid first, best ask first."""

    bids: list[BookLevel]
    asks: list[BookLevel]
    token_id: str | None = None
    last_trade_price: Decimal | None = None


class Rank(_Row):
    fee_rate_bps: int = 300


class Profile(_Row):
    """``account`` signs in; ``smartWallet`` trades when ``tradeWalletOption`` says so."""

    id: int
    account: str
    smart_wallet: str | None = None
    trade_wallet_option: str | None = None
    rank: Rank | None = None


class RpcError(_Row):
    message: str = ""


class RpcAnswer(_Row):
    """A chain node's answer: a 0x-prefixed number."""

    result: str | None = None
    error: RpcError | None = None


portfolio: Final = msgspec.json.Decoder(Portfolio)
clob_row: Final = msgspec.json.Decoder(ClobRow)
history_page: Final = msgspec.json.Decoder(HistoryPage)
page_cursor: Final = msgspec.json.Decoder(PageCursor)
user_orders: Final = msgspec.json.Decoder(list[UserOrder] | UserOrders)
status_result: Final = msgspec.json.Decoder(StatusResult)
raw_answer: Final = msgspec.json.Decoder(RawAnswer)
status_answer: Final = msgspec.json.Decoder(StatusAnswer)
market: Final = msgspec.json.Decoder(Market)
order_book: Final = msgspec.json.Decoder(OrderBook)
profile: Final = msgspec.json.Decoder(Profile)
rpc_answer: Final = msgspec.json.Decoder(RpcAnswer)
