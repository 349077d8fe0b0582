"""The bodies of answers, as types: what the OpenAPI document says and what tests validate against."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from vanta_api.records import OrderType, Position, RestingOrder, VenueFacts

EntriesStream = Literal["positions", "orders", "ledger", "registry"]


class Problem(msgspec.Struct, kw_only=True):
    """Every answer that is not the one asked for. ``error`` is a sentence, ``code`` a stable word."""

    error: str
    code: str
    request_id: str


class MinerNotFound(Problem):
    """A hotkey without positions; ``positions`` is always empty."""

    positions: Annotated[list[Position], msgspec.Meta(max_length=0)]


class Gone(Problem):
    """Entries that cannot be given. ``reason`` says why, ``snapshot_url`` where to start again."""

    reason: Literal["epoch_changed", "trimmed", "future_sequence"]
    epoch: str
    oldest: int
    head: int
    snapshot_url: str


class Dashboard(msgspec.Struct, kw_only=True):
    """A hotkey's positions (an open one has ``close_ms`` 0) and figures over what the tier may see.

    ``thirty_day_returns`` looks back 120 days: its name is historical. ``tier`` is absent where nothing is
    delayed and one miner was asked for.
    """

    all_time_returns: float
    thirty_day_returns: float
    n_positions: int
    percentage_profitable: float
    positions: list[Position]
    tier: int | msgspec.UnsetType = msgspec.UNSET


class AccountSize(msgspec.Struct, kw_only=True):
    """What a hotkey's returns are measured against, in USD, from ``valid_date_timestamp`` on."""

    account_size: float
    account_size_theta: float
    update_time_ms: int
    valid_date_timestamp: int


class Checkpoint(msgspec.Struct, kw_only=True):
    """Everything a validator restores from, at ``sequences``: apply only entries with higher numbers.

    ``youngest_order_processed_ms`` is the smallest and ``oldest_...`` the largest order time, as Vanta
    names them; both are 0 when there is no order. ``limit_orders``: pair → hotkey → unfilled orders.
    """

    version: str
    created_timestamp_ms: int
    created_date: str
    epoch: str
    sequence: int
    sequences: dict[str, int]
    challengeperiod: dict[str, Any]
    miner_account_sizes: dict[str, list[AccountSize]]
    eliminations: list[dict[str, Any]]
    youngest_order_processed_ms: int
    oldest_order_processed_ms: int
    positions: dict[str, Dashboard]
    perf_ledgers: dict[str, Any]
    asset_selections: dict[str, str]
    limit_orders: dict[str, dict[str, list[RestingOrder]]]


class LimitOrder(msgspec.Struct, kw_only=True):
    """A resting order as ``/limit-orders`` shows it; ``trade_pair`` is id and name."""

    trade_pair: tuple[str, str]
    trade_pair_id: str
    order_type: OrderType
    processed_ms: int
    limit_price: float | None
    price: float
    leverage: float | None
    value: float | None
    quantity: float | None
    src: int
    execution_type: str
    order_uuid: str
    stop_loss: float | None
    take_profit: float | None
    venue: VenueFacts | None


class OrdersByStatus(msgspec.Struct, kw_only=True):
    """A hotkey's resting orders; a status that was not asked for is absent."""

    unfilled: list[RestingOrder] | msgspec.UnsetType = msgspec.UNSET
    filled: list[RestingOrder] | msgspec.UnsetType = msgspec.UNSET
    cancelled: list[RestingOrder] | msgspec.UnsetType = msgspec.UNSET


class TradePairRow(msgspec.Struct, kw_only=True):
    """One of Vanta's pairs."""

    trade_pair_id: str
    hl_coin: str | None
    trade_pair: str
    trade_pair_category: str
    trade_pair_source: str
    min_leverage: float
    max_leverage: float
    subaccount_positional_leverage_by_tier: dict[str, float]
    lot_size: float


class TradePairs(msgspec.Struct, kw_only=True):
    """What may be opened and what may not."""

    allowed: list[TradePairRow]
    disabled: list[TradePairRow]
    total_allowed: int
    total_disabled: int
    timestamp: int


class Frame(msgspec.Struct, kw_only=True):
    """An entry exactly as the WebSocket sends it: ``sequence`` for positions, else the two stream keys."""

    timestamp: int
    data: dict[str, Any]
    sequence: int | msgspec.UnsetType = msgspec.UNSET
    prev_sequence: int | msgspec.UnsetType = msgspec.UNSET
    stream: str | msgspec.UnsetType = msgspec.UNSET
    stream_sequence: int | msgspec.UnsetType = msgspec.UNSET


class Events(msgspec.Struct, kw_only=True):
    """Entries after ``after``. Ask again with ``after=last`` while ``has_more`` is true."""

    events: list[Frame]
    epoch: str
    stream: str
    after: int
    last: int
    head: int
    oldest: int
    has_more: bool


class WorkerHealth(msgspec.Struct, kw_only=True):
    """One process. ``age_ms`` is the time since its last sign of life."""

    state: str
    age_ms: int
    data_age_ms: int | None = None


class Health(msgspec.Struct, kw_only=True):
    """``degraded``: some worker is silent or not running.

    Numbers and epoch only with a tier-100 key, the workers' own ``facts`` only with a tier-200 key.
    """

    status: Literal["healthy", "degraded"]
    service: str
    timestamp_ms: int
    version: str
    workers: dict[str, WorkerHealth]
    data_age_ms: int | None
    warnings: list[str]
    epoch: str | msgspec.UnsetType = msgspec.UNSET
    sequence: int | msgspec.UnsetType = msgspec.UNSET
    sequences: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    facts: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Ready(msgspec.Struct, kw_only=True):
    """The server has caught up with the journal."""

    status: Literal["ready"]
    warnings: list[str]
