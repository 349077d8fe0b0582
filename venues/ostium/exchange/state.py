"""What the contracts store and the subgraph shows, in chain units.

Units: USDC 1e6; prices, base amounts and accumulators 1e18; leverages and percentages 1e2 (100 % is
10000); times seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from venues.ostium.exchange.market import Pair

LimitType = Literal["LIMIT", "STOP"]
ALL: Final = 10_000  # a close of 100 %
GENESIS_MS: Final = 1_622_000_000_000
BLOCK_MS: Final = 300
NOBODY: Final = "0x" + "0" * 40


class RevertError(Exception):
    """A contract refused a call; ``name`` is the contract's own error name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def block_at(ms: int) -> int:
    """The chain's height at a moment: a block every 0.3 s."""
    return max(0, (ms - GENESIS_MS) // BLOCK_MS)


@dataclass(slots=True)
class PairState:
    """A pair's changing numbers. Open interests are base units × 1e18."""

    pair: Pair
    long_oi: int
    short_oi: int
    max_oi: int
    last_trade_price: int
    last_funding_block: int
    last_rollover_block: int
    acc_funding_long: int = 0
    acc_funding_short: int = 0
    last_funding_rate: int = 0
    acc_rollover: int = 0
    total_open_trades: int = 0
    total_open_limits: int = 0


@dataclass(slots=True)
class Trade:
    """A position. Its ``id`` is the id of the order that opened it; ``index`` is a slot."""

    id: int
    trader: str
    pair: PairState
    index: int
    trade_type: str
    is_buy: bool
    is_day_trade: bool
    collateral: int
    leverage: int
    highest_leverage: int
    notional: int  # base units
    open_price: int
    take_profit: int
    stop_loss: int
    funding: int
    rollover: int
    timestamp: int
    block: int
    is_open: bool = True
    close_initiated: bool = False
    close_price: int | None = None
    liquidation_price: int = 0
    liquidation_checked_ms: int = 0


@dataclass(slots=True)
class Limit:
    """A resting order in slot ``index`` of its trader and pair."""

    unique_id: int
    trader: str
    pair: PairState
    index: int
    limit_type: LimitType
    is_buy: bool
    is_day_trade: bool
    collateral: int
    leverage: int
    price: int
    take_profit: int
    stop_loss: int
    block: int
    initiated_at: int
    updated_at: int
    builder: str = NOBODY
    builder_fee: int = 0
    is_active: bool = True
    execution_started: bool = False
    order_id: int | None = None

    @property
    def id(self) -> str:
        """The slot's name, used again when the slot is."""
        return f"{self.trader}_{self.pair.pair.id}_{self.index}"


@dataclass(slots=True)
class Order:
    """A request to the oracle and its outcome. ``rendered`` keeps the subgraph's row once it is final."""

    id: int
    trader: str
    pair: PairState
    is_buy: bool
    order_type: str
    order_action: str
    initiated_at: int
    initiated_block: int
    initiated_tx: str
    trade_id: int | None = None
    limit_id: str | None = None
    is_pending: bool = True
    is_cancelled: bool = False
    cancel_reason: str | None = None
    price: int | None = None
    price_after_impact: int | None = None
    price_impact: int | None = None
    collateral: int | None = None
    notional: int | None = None
    trade_notional: int | None = None
    leverage: int | None = None
    profit_percent: int | None = None
    total_profit_percent: int | None = None
    amount_sent: int | None = None
    close_percent: int | None = None
    dev_fee: int = 0
    vault_fee: int = 0
    oracle_fee: int = 0
    liquidation_fee: int = 0
    funding_fee: int = 0
    rollover_fee: int = 0
    builder: str = NOBODY
    builder_fee: int = 0
    executed_at: int | None = None
    executed_block: int | None = None
    executed_tx: str | None = None
    slippage: int = 0
    is_day_trade: bool = False
    take_profit: int = 0
    stop_loss: int = 0
    remove_amount: int = 0
    rendered: dict[str, Any] | None = field(default=None, repr=False)
