"""The trading contract: what a trader may call, and the books those calls change.

Invariant: USDC is never made or lost: wallets, locked collateral and the vault always add up to what was
paid in. A call either changes everything it should or raises RevertError and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from venues.ostium import formulae
from venues.ostium.exchange import accrual, settlement
from venues.ostium.exchange.market import E18, PAIRS, Market, Pair, chain_price
from venues.ostium.exchange.settlement import ORACLE_FEE, REMOVAL_FEE
from venues.ostium.exchange.state import (
    ALL,
    NOBODY,
    Limit,
    LimitType,
    Order,
    PairState,
    RevertError,
    Trade,
    block_at,
)
from venues.ostium.exchange.timeline import Timeline
from venues.world import draw

MIN_COLLATERAL: Final = 5_000_000
MAX_COLLATERAL: Final = 2_000_000_000_000
MIN_SIZE: Final = 100_000_000  # 100 USDC of notional
MAX_TRADES_PER_PAIR: Final = 20
MAX_PENDING: Final = 5
AMBIENT_OI: Final = 4_000_000  # USD on each side that belongs to nobody we know
MAX_OI: Final = 40_000_000 * 10**6


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a trader asks to open."""

    pair_id: int
    is_buy: bool
    collateral: int
    leverage: int
    price: int
    take_profit: int = 0
    stop_loss: int = 0
    is_day_trade: bool = False
    slippage: int = 200  # percent × 1e2
    builder: str = NOBODY
    builder_fee: int = 0  # percent × 1e6


class Exchange:
    """All contracts and the subgraph's tables behind one object."""

    def __init__(self, seed: int, timeline: Timeline) -> None:
        self.seed, self.timeline, self.market = seed, timeline, Market(seed)
        self.wallets: dict[str, int] = {}
        self.vault = 0
        self.paid_in = 0
        self.pairs = {pair.id: self._listed(pair) for pair in PAIRS.values()}
        self.trades: dict[int, Trade] = {}
        self.open_trades: dict[str, dict[tuple[int, int], Trade]] = {}
        self.limits: dict[str, Limit] = {}
        self.active_limits: dict[str, dict[tuple[int, int], Limit]] = {}
        self.orders: dict[int, Order] = {}
        self.orders_of: dict[str, list[Order]] = {}
        self.settled_of: dict[str, list[Order]] = {}  # in the order they were settled
        self.pending: dict[str, dict[int, Order]] = {}
        self._last_order, self._last_limit = 1000, 90

    def deposit(self, trader: str, amount: int) -> None:
        """Pay USDC into a wallet from outside."""
        self.wallets[trader] = self.wallets.get(trader, 0) + amount
        self.paid_in += amount

    def locked(self) -> int:
        """USDC × 1e6 that trades, limits and pending opens hold."""
        trades = sum(t.collateral for book in self.open_trades.values() for t in book.values())
        limits = sum(x.collateral for book in self.active_limits.values() for x in book.values())
        waiting = (o for book in self.pending.values() for o in book.values())
        opens = sum(o.collateral or 0 for o in waiting if o.order_action == "Open" and o.limit_id is None)
        return trades + limits + opens

    def open_market(self, trader: str, ticket: Ticket) -> Order:
        """``openTrade`` with type MARKET: locks the collateral and asks the oracle."""
        self._check_ticket(trader, ticket)
        if len(self.pending.get(trader, ())) >= MAX_PENDING:
            raise RevertError("MaxPendingMarketOrdersReached")
        self.pay(trader, ticket.collateral)
        order = self.new_order(trader, self.pairs[ticket.pair_id], "Market", "Open", is_buy=ticket.is_buy)
        order.price, order.slippage = ticket.price, ticket.slippage
        order.take_profit, order.stop_loss = ticket.take_profit, ticket.stop_loss
        order.is_day_trade = ticket.is_day_trade
        order.builder, order.builder_fee = ticket.builder, ticket.builder_fee
        order.collateral, order.leverage = ticket.collateral, ticket.leverage
        order.notional = ticket.collateral * ticket.leverage // 100
        self._ask_oracle(order, settlement.settle_open)
        return order

    def place_limit(self, trader: str, ticket: Ticket, limit_type: LimitType) -> Limit:
        """``openTrade`` with type LIMIT or STOP: rests in the first free slot."""
        self._check_ticket(trader, ticket)
        now_ms, book = self.timeline.now_ms, self.active_limits.setdefault(trader, {})
        index = self._free_slot(ticket.pair_id, book)
        self.pay(trader, ticket.collateral)
        self._last_limit += 1
        limit = Limit(
            unique_id=self._last_limit,
            trader=trader,
            pair=self.pairs[ticket.pair_id],
            index=index,
            limit_type=limit_type,
            is_buy=ticket.is_buy,
            is_day_trade=ticket.is_day_trade,
            collateral=ticket.collateral,
            leverage=ticket.leverage,
            price=ticket.price,
            take_profit=ticket.take_profit,
            stop_loss=ticket.stop_loss,
            block=block_at(now_ms),
            initiated_at=now_ms // 1000,
            updated_at=now_ms // 1000,
            builder=ticket.builder,
            builder_fee=ticket.builder_fee,
        )
        self.limits[limit.id] = book[ticket.pair_id, index] = limit
        limit.pair.total_open_limits += 1
        return limit

    def update_limit(
        self, trader: str, pair_id: int, index: int, *, price: int, take_profit: int, stop_loss: int
    ) -> Limit:
        """``updateOpenLimitOrder``; refused while a keeper is executing it."""
        limit = self.limit_at(trader, pair_id, index)
        if limit.execution_started:
            raise RevertError("TriggerPending")
        self._check_exits(limit.is_buy, price, take_profit, stop_loss)
        limit.price, limit.take_profit, limit.stop_loss = price, take_profit, stop_loss
        limit.updated_at = self.timeline.now_ms // 1000
        return limit

    def cancel_limit(self, trader: str, pair_id: int, index: int) -> None:
        """``cancelOpenLimitOrder``: the collateral less the oracle's fee comes back."""
        limit = self.limit_at(trader, pair_id, index)
        if limit.execution_started:
            raise RevertError("TriggerPending")
        self.end_limit(limit, None)
        self.receive(trader, limit.collateral - ORACLE_FEE)
        self.vault += ORACLE_FEE

    def close_market(
        self, trader: str, pair_id: int, index: int, *, percent: int, price: int, slippage: int = 200
    ) -> Order:
        """``closeTradeMarket``: asks the oracle; one pending close per trade."""
        trade = self.trade_at(trader, pair_id, index)
        if trade.close_initiated:
            raise RevertError("AlreadyMarketClosed")
        if not 0 <= percent <= ALL:
            raise RevertError("WrongParams")
        percent = percent or ALL
        rest = trade.collateral * trade.leverage // 100 * (ALL - percent) // ALL
        if percent < ALL and rest < MIN_SIZE:
            raise RevertError("BelowMinLevPos")
        order = self.new_order(trader, trade.pair, "Market", "Close", is_buy=trade.is_buy)
        order.trade_id, order.price, order.slippage = trade.id, price, slippage
        order.close_percent, order.leverage = percent, trade.leverage
        trade.close_initiated = True
        self._ask_oracle(order, settlement.settle_close)
        return order

    def update_tp(self, trader: str, pair_id: int, index: int, price: int) -> Trade:
        """``updateTp``; 0 clears it."""
        trade = self.trade_at(trader, pair_id, index)
        self._check_exits(trade.is_buy, trade.open_price, price, 0)
        trade.take_profit = price
        return trade

    def update_sl(self, trader: str, pair_id: int, index: int, price: int) -> Trade:
        """``updateSl``; 0 clears it, further than an 85 % loss is refused."""
        trade = self.trade_at(trader, pair_id, index)
        if price and price != settlement.clamp_stop(trade.open_price, trade.leverage, price, trade.is_buy):
            raise RevertError("WrongSL")
        trade.stop_loss = price
        return trade

    def top_up(self, trader: str, pair_id: int, index: int, amount: int) -> int:
        """``topUpCollateral``: leverage falls, rounded up to 0.01, so less than asked may be taken. Returns
        what was taken."""
        trade = self.trade_at(trader, pair_id, index)
        size = trade.collateral * trade.leverage
        leverage = -(-size // (trade.collateral + amount))
        taken = size // leverage - trade.collateral
        if taken <= 0 or leverage < 100:
            raise RevertError("WrongParams")
        self.pay(trader, taken)
        trade.collateral, trade.leverage = trade.collateral + taken, leverage
        self.refresh(trade)
        return taken

    def remove_collateral(self, trader: str, pair_id: int, index: int, amount: int) -> Order:
        """``removeCollateral``: asks the oracle first."""
        trade = self.trade_at(trader, pair_id, index)
        if not REMOVAL_FEE < amount < trade.collateral:
            raise RevertError("WrongParams")
        order = self.new_order(
            trader, trade.pair, "REMOVE_COLLATERAL", "RemoveCollateral", is_buy=trade.is_buy
        )
        order.trade_id, order.remove_amount = trade.id, amount
        order.collateral, order.leverage = trade.collateral, trade.leverage
        self._ask_oracle(order, settlement.settle_removal)
        return order

    def trade_at(self, trader: str, pair_id: int, index: int) -> Trade:
        """The open trade in a slot."""
        trade = self.open_trades.get(trader, {}).get((pair_id, index))
        if trade is None:
            raise RevertError("NoTradeFound")
        return trade

    def limit_at(self, trader: str, pair_id: int, index: int) -> Limit:
        """The active limit in a slot."""
        limit = self.active_limits.get(trader, {}).get((pair_id, index))
        if limit is None:
            raise RevertError("NoLimitFound")
        return limit

    def pay(self, trader: str, amount: int) -> None:
        """Take USDC from a wallet."""
        if self.wallets.get(trader, 0) < amount:
            raise RevertError("ERC20InsufficientBalance")
        self.wallets[trader] -= amount

    def receive(self, trader: str, amount: int) -> None:
        """Put USDC into a wallet."""
        self.wallets[trader] += amount

    def end_limit(self, limit: Limit, order_id: int | None) -> None:
        """The limit rests no longer: executed by ``order_id``, or cancelled."""
        del self.active_limits[limit.trader][limit.pair.pair.id, limit.index]
        limit.is_active = limit.execution_started = False
        limit.order_id, limit.updated_at = order_id, self.timeline.now_ms // 1000
        limit.pair.total_open_limits -= 1

    def new_order(self, trader: str, pair: PairState, order_type: str, action: str, *, is_buy: bool) -> Order:
        """A pending order with the next id."""
        self._last_order += 1
        now_ms = self.timeline.now_ms
        order = Order(
            id=self._last_order,
            trader=trader,
            pair=pair,
            is_buy=is_buy,
            order_type=order_type,
            order_action=action,
            initiated_at=now_ms // 1000,
            initiated_block=block_at(now_ms),
            initiated_tx=self.tx_hash("initiated", self._last_order),
        )
        self.orders[order.id] = self.pending.setdefault(trader, {})[order.id] = order
        self.orders_of.setdefault(trader, []).append(order)
        return order

    def finish(self, order: Order, *, reason: str | None = None) -> None:
        """The oracle has answered: the order is final."""
        now_ms = self.timeline.now_ms
        order.is_pending, order.is_cancelled, order.cancel_reason = False, reason is not None, reason
        order.executed_at, order.executed_block = now_ms // 1000, block_at(now_ms)
        order.executed_tx = self.tx_hash("executed", order.id)
        self.settled_of.setdefault(order.trader, []).append(order)
        del self.pending[order.trader][order.id]

    def tx_hash(self, *names: object) -> str:
        """A transaction hash that is the same in every run."""
        text = "/".join(str(name) for name in (self.seed, *names))
        return "0x" + hashlib.blake2b(text.encode(), digest_size=32).hexdigest()

    def register(self, trade: Trade) -> None:
        """The trade is open."""
        self.trades[trade.id] = trade
        self.open_trades.setdefault(trade.trader, {})[trade.pair.pair.id, trade.index] = trade
        trade.pair.total_open_trades += 1
        self.change_oi(trade, trade.notional)
        self.refresh(trade)

    def unregister(self, trade: Trade) -> None:
        """The trade is closed; its slot is free."""
        del self.open_trades[trade.trader][trade.pair.pair.id, trade.index]
        trade.is_open = trade.close_initiated = False
        trade.pair.total_open_trades -= 1

    def refresh(self, trade: Trade) -> None:
        """Work out anew where the trade would be liquidated."""
        trade.liquidation_price = accrual.liquidation_price(trade)
        trade.liquidation_checked_ms = self.timeline.now_ms

    def change_oi(self, trade: Trade, amount: int) -> None:
        """Add base units to the pair's open interest on the trade's side."""
        if trade.is_buy:
            trade.pair.long_oi += amount
        else:
            trade.pair.short_oi += amount

    def free_trade_slot(self, trader: str, pair_id: int) -> int:
        """The first free index for a trade."""
        return self._free_slot(pair_id, self.open_trades.get(trader, {}))

    def _free_slot(self, pair_id: int, taken: Iterable[tuple[int, int]]) -> int:
        used = {index for pair, index in taken if pair == pair_id}
        return next(index for index in range(256) if index not in used)

    def _check_ticket(self, trader: str, ticket: Ticket) -> None:
        pair = PAIRS.get(ticket.pair_id)
        if pair is None:
            raise RevertError("PairNotListed")
        if ticket.collateral > MAX_COLLATERAL:
            raise RevertError("AboveMaxAllowedCollateral")
        if ticket.collateral < MIN_COLLATERAL or ticket.collateral * ticket.leverage // 100 < MIN_SIZE:
            raise RevertError("BelowMinLevPos")
        overnight = pair.terms.overnight_max_leverage
        limit = overnight if overnight and not ticket.is_day_trade else pair.terms.max_leverage
        if not 100 <= ticket.leverage <= limit:
            raise RevertError("WrongLeverage")
        if ticket.price <= 0:
            raise RevertError("WrongParams")
        self._check_exits(ticket.is_buy, ticket.price, ticket.take_profit, ticket.stop_loss)
        books = (*self.open_trades.get(trader, {}), *self.active_limits.get(trader, {}))
        if sum(pair_id == ticket.pair_id for pair_id, _ in books) >= MAX_TRADES_PER_PAIR:
            raise RevertError("MaxTradesPerPairReached")

    @staticmethod
    def _check_exits(is_buy: bool, price: int, take_profit: int, stop_loss: int) -> None:
        if take_profit and (take_profit > price) != is_buy:
            raise RevertError("WrongTP")
        if stop_loss and (stop_loss < price) != is_buy:
            raise RevertError("WrongSL")

    def _ask_oracle(self, order: Order, settle: settlement.Settle) -> None:
        """The oracle answers 0.6 to 1.6 s later, in a transaction of its own."""
        delay_ms = 600 + int(1000 * draw(self.seed, "oracle", order.id))
        self.timeline.at(self.timeline.now_ms + delay_ms, lambda at_ms: settle(self, order, at_ms))

    def _listed(self, pair: Pair) -> PairState:
        block, anchor = block_at(self.timeline.now_ms), chain_price(pair.anchor)
        tilt = Decimal(repr(round(draw(self.seed, pair.name, "tilt") - 0.5, 3)))
        each = AMBIENT_OI * E18 * E18 // anchor
        return PairState(
            pair=pair,
            long_oi=int(each * (1 + tilt)),
            short_oi=int(each * (1 - tilt)),
            max_oi=MAX_OI,
            last_trade_price=anchor,
            last_funding_block=block,
            last_rollover_block=block,
            last_funding_rate=_starting_rate(tilt),
        )


def _starting_rate(tilt: Decimal) -> int:
    """The funding rate × 1e18 the history starts with: where the imbalance would have pulled it."""
    imbalance = 2 * tilt * AMBIENT_OI * 10**6 / MAX_OI
    squared = (formulae.HILL_SLOPE * imbalance) ** 2
    hill = squared / (formulae.HILL_HALF + squared)
    return int((1 if tilt >= 0 else -1) * accrual.MAX_FUNDING_PER_BLOCK * hill)
