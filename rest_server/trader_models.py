"""Bodies of the compact dashboards, of Hyperliquid traders and of operators' routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from rest_server.entity_models import ChallengePeriod, SubaccountRow
from rest_server.models import Problem
from validator.account import AccountSizeData, Drawdown
from validator.buckets import SIZE_MAX
from validator.challenge.record import BUCKETS
from validator.compact import CompactLedger, CompactLimitOrders, CompactPositions, CompactStatistics
from validator.orders.signal import EXECUTIONS, ORDER_TYPES


class Out(msgspec.Struct, kw_only=True):
    """An elimination; `dd` is the drawdown in per cent, null where it was not the reason."""

    elimination_initiated_time_ms: int
    reason: str
    dd: float | None


class MinerSections(msgspec.Struct, kw_only=True):
    """A miner's sections; one with nothing new in it is absent.

    `residual`: what venues still hold of an eliminated hotkey.
    """

    challenge_period: ChallengePeriod | UnsetType = UNSET
    drawdown: Drawdown | UnsetType = UNSET
    elimination: Out | UnsetType = UNSET
    account_size_data: AccountSizeData | UnsetType = UNSET
    positions: CompactPositions | UnsetType = UNSET
    limit_orders: CompactLimitOrders | UnsetType = UNSET
    ledger: CompactLedger | UnsetType = UNSET
    statistics: CompactStatistics | UnsetType = UNSET
    residual: list[dict[str, Any]] | UnsetType = UNSET


class MinerAnswer(msgspec.Struct, kw_only=True):
    """A miner's dashboard, at `timestamp`."""

    status: Literal["success"]
    dashboard: MinerSections
    timestamp: int


class TraderInfo(SubaccountRow, kw_only=True):
    """The subaccount of a Hyperliquid address, and whose it is."""

    entity_hotkey: str


class TraderSections(MinerSections, kw_only=True):
    """A trader's sections."""

    subaccount_info: TraderInfo


class TraderAnswer(msgspec.Struct, kw_only=True):
    """A trader's dashboard, at `timestamp`."""

    status: Literal["success"]
    dashboard: TraderSections
    timestamp: int


class Limits(msgspec.Struct, kw_only=True):
    """What a trader may hold, in USD. `tier` is the leverage tier, 1 to 4."""

    status: Literal["success"]
    hl_address: str
    account_size: float
    tier: int
    asset_class: str
    max_position_per_pair_usd: float
    max_portfolio_usd: float
    in_challenge_period: bool
    timestamp: int


class NoTrader(Problem):
    """No subaccount has this address. `status` and `message` say the same once more, as Vanta words it."""

    status: Literal["error"]
    message: str


class Totals(msgspec.Struct, kw_only=True):
    """All traders together. Payouts are not made here, so `totalPaidOut` is 0. Volume is USD."""

    totalPaidOut: float  # noqa: N815 - the keys are the wire's
    totalTraders: int  # noqa: N815
    fundedTraders: int  # noqa: N815
    inChallenge: int  # noqa: N815
    eliminated: int
    totalVolume: float  # noqa: N815


class FundedTrader(msgspec.Struct, kw_only=True):
    """A trader who passed the challenge. `pnl`, `funding`, `volume`: USD; `winRate`: per cent."""

    address: str
    pnl: float
    funding: float
    sharpe: float | None
    trades: int
    winRate: float | None  # noqa: N815
    volume: float
    payouts: float
    since: str
    rank: int


class ChallengeTrader(msgspec.Struct, kw_only=True):
    """A trader in the challenge; `progress` and `drawdown`: per cent. Null: not traded yet (`noTrades`)."""

    address: str
    pnl: float | None
    progress: float | None
    sharpe: float | None
    trades: int
    winRate: float | None  # noqa: N815
    volume: float
    drawdown: float | None
    since: str
    noTrades: bool | UnsetType = UNSET  # noqa: N815


class Leaderboard(msgspec.Struct, kw_only=True):
    """Traders by rank, those in the challenge by P&L; `timestamp` is the state's."""

    summary: Totals
    fundedTraders: list[FundedTrader]  # noqa: N815
    challengeTraders: list[ChallengeTrader]  # noqa: N815
    timestamp: int


class MoveRequest(msgspec.Struct, kw_only=True):
    """The bucket to move a hotkey into; `pro_account_size` (USD) when it enters the pro track."""

    bucket: Literal[tuple(sorted(BUCKETS))]  # type: ignore[valid-type]
    pro_account_size: Annotated[float, msgspec.Meta(gt=0, le=SIZE_MAX)] | None = None


class Moved(msgspec.Struct, kw_only=True):
    """The hotkey is in the bucket."""

    status: Literal["success"]
    hotkey: str
    bucket: str
    message: str


class ServiceHealth(msgspec.Struct, kw_only=True):
    """One part of the product: `error` says what is wrong with it, `detail` how it is."""

    status: Literal["healthy", "unhealthy"]
    detail: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class RpcHealth(msgspec.Struct, kw_only=True):
    """All parts are well."""

    status: Literal["healthy"]
    timestamp_ms: int
    services: dict[str, ServiceHealth]


class RpcDegraded(Problem):
    """Some part is not well."""

    status: Literal["degraded"]
    timestamp_ms: int
    services: dict[str, ServiceHealth]


Size = Annotated[float | str | None, msgspec.Meta(description="A number, or its digits as text.")]


class DevelopmentOrder(msgspec.Struct, kw_only=True):
    """An order for trying things out. One of `leverage`, `value` (USD), `quantity` (lots)."""

    execution_type: Annotated[str, msgspec.Meta(description=", ".join(EXECUTIONS))] = "MARKET"
    trade_pair_id: str | None = None
    order_type: Annotated[str | None, msgspec.Meta(description=", ".join(ORDER_TYPES))] = None
    leverage: Size = None
    value: Size = None
    quantity: Size = None
    limit_price: Size = None
    stop_loss: Size = None
    take_profit: Size = None
    order_uuid: Annotated[str, msgspec.Meta(pattern="^[!-~]{1,128}$")] | None = None


class DevelopmentAnswer(msgspec.Struct, kw_only=True):
    """What became of the order.

    `order` is text as Vanta writes it: the order as Python shows a dict, a cancellation as JSON.
    `order_record` is the same as an object.
    """

    status: Literal["success"]
    execution_type: str
    order_uuid: str
    order: str
    order_record: dict[str, Any]
