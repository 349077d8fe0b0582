"""What an action does to a book: a client's signal, or the market's next move. No I/O.

Rule 1: a position is what ``rebuild`` makes of its orders; at most 100 of them, then it is closed and the
next order opens another one.
Rule 2: a bracket belongs to an open position; when that closes, the bracket is cancelled with it.
Rule 3: a resting order that is due but that the leverage rules refuse by then is cancelled.
"""

from __future__ import annotations

from typing import Final

import msgspec

from validator.orders.admission import admitted, closing
from validator.orders.book import Account, Book, Change, Market
from validator.orders.signal import Signal, SignalError, check_sides
from validator.orders.sizes import Rates, Sizes, rates_of, sizes_of
from validator.orders.slippage import slippage
from validator.orders.triggers import Quote, bracket_trigger, limit_trigger
from validator.positions import rebuild, synthetic_flat_uuid
from validator.trade_pairs import TradePair, by_id
from vanta_api.records import ExecutionType, Order, OrderSource, OrderType, Position, RestingOrder

ORDERS_MAX: Final = 100  # of one position
UNFILLED_MAX: Final = 100  # of one account
COOLDOWN_MS: Final = 10_000  # between two market orders in one pair
FILL_PAUSE_MS: Final = 30_000  # between two fills of resting orders in one pair
BRACKET: Final = "{parent}-bracket"  # uuid of the bracket that a filled order leaves behind
_CANCELLED: Final = {
    OrderSource.LIMIT_UNFILLED: OrderSource.LIMIT_CANCELLED,
    OrderSource.BRACKET_UNFILLED: OrderSource.BRACKET_CANCELLED,
}


def act(book: Book, account: Account, signal: Signal, market: Market) -> Change:
    """What a signal does. Raises SignalError."""
    return _Action(book, account, market).act(signal)


def look(book: Book, account: Account, market: Market) -> Change:
    """What the market does to resting orders now: at most one fill in each pair."""
    return _Action(book, account, market).look()


class _Action:
    """One action under way: ``book`` is the book so far."""

    def __init__(self, book: Book, account: Account, market: Market) -> None:
        self._book, self._account, self._market = book, account, market
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, RestingOrder] = {}

    def act(self, signal: Signal) -> Change:
        if signal.execution == "LIMIT_CANCEL":
            return self._cancel(signal.order_uuid or "")
        if signal.pair is None:
            raise SignalError("A trade pair is required")
        uuid = signal.order_uuid or self._market.new_uuid()
        if uuid in self._book.orders or any(uuid == order.order_uuid for order in self._book.executed()):
            raise SignalError(f"An order with the uuid {uuid} is there already")
        if signal.execution == "MARKET":
            return self._change(self._market_order(signal, signal.pair, uuid))
        return self._change(self._rest(signal, signal.pair, uuid))

    def look(self) -> Change:
        filled: set[str] = set()
        for order in self._book.unfilled():
            pair = by_id(order.trade_pair_id)
            price = self._market.prices(order.trade_pair_id)
            if pair is None or not price or order.order_uuid in self._orders:
                continue
            position = self._book.open_position(order.trade_pair_id)
            if order.execution_type == "BRACKET" and position is None:
                self._put_order(_cancelled(order))
                continue
            is_paused = order.trade_pair_id in filled or self._is_paused(order.trade_pair_id)
            if is_paused or not self._market.is_open(pair):
                continue
            if self._fill_resting(order, pair, position, Quote(price, price)):
                filled.add(order.trade_pair_id)
        return self._change(None)

    def _market_order(self, signal: Signal, pair: TradePair, uuid: str) -> Order:
        self._check_market(pair)
        self._check_cooldown(pair)
        if signal.order_type is None:
            raise SignalError("Missing required field: order_type")
        price = self._market.price(pair)
        rates = rates_of(pair, price, self._market.prices)
        sizes = sizes_of(signal, rates, pair.lot_size, self._account.capital)
        if signal.order_type != "FLAT":
            check_sides(signal.order_type, price, signal.stop_loss, signal.take_profit)
        order = self._fill(pair, signal.order_type, sizes, rates, uuid, "MARKET", 0, signal)
        self._leave_bracket(order, pair)
        return order

    def _rest(self, signal: Signal, pair: TradePair, uuid: str) -> Order | RestingOrder:
        if len(self._book.unfilled()) >= UNFILLED_MAX:
            raise SignalError(f"There are too many unfilled orders: at most {UNFILLED_MAX}")
        order = self._bracket(signal, pair, uuid) if signal.execution == "BRACKET" else None
        order = order or self._limit(signal, pair, uuid)
        price = self._market.prices(pair.trade_pair_id)
        if signal.execution == "LIMIT" and price and self._market.is_open(pair):
            at = limit_trigger(order, Quote(price, price))
            if at is not None:
                return self._fill_limit(order, pair, at, int(OrderSource.ORGANIC))
        self._put_order(order)
        return order

    def _limit(self, signal: Signal, pair: TradePair, uuid: str) -> RestingOrder:
        if signal.order_type is None or signal.limit_price is None:
            raise SignalError("limit_price must be set for LIMIT orders")
        if not pair.is_tradeable and self._book.open_position(pair.trade_pair_id) is None:
            raise SignalError(f"No new positions can be opened in {pair.trade_pair_id}")
        rates = rates_of(pair, signal.limit_price, self._market.prices)
        sizes = sizes_of(signal, rates, pair.lot_size, self._account.capital)
        return self._resting(signal, pair, uuid, signal.order_type, sizes, OrderSource.LIMIT_UNFILLED)

    def _bracket(self, signal: Signal, pair: TradePair, uuid: str) -> RestingOrder:
        position = self._book.open_position(pair.trade_pair_id)
        if position is None or position.position_type is None:
            raise SignalError("BRACKET order must have an open position")
        kind = position.position_type
        price = self._market.prices(pair.trade_pair_id)
        if price:  # else it would fill at once at a price that the market is far from
            check_sides(kind, price, signal.stop_loss, signal.take_profit)
        sizes = closing(position).scaled(-1.0)
        if any(size is not None for size in (signal.leverage, signal.value, signal.quantity)):
            rates = rates_of(pair, self._market.price(pair), self._market.prices)
            wanted = sizes_of(signal, rates, pair.lot_size, self._account.capital)
            sizes = wanted.scaled(1.0 if kind == "LONG" else -1.0)
        return self._resting(signal, pair, uuid, kind, sizes, OrderSource.BRACKET_UNFILLED)

    def _resting(
        self, signal: Signal, pair: TradePair, uuid: str, kind: OrderType, sizes: Sizes, source: OrderSource
    ) -> RestingOrder:
        return RestingOrder(
            miner_hotkey=self._account.hotkey,
            trade_pair_id=pair.trade_pair_id,
            trade_pair=pair.wire_tuple(),
            order_type=kind,
            leverage=sizes.leverage,
            value=sizes.value,
            quantity=sizes.quantity,
            processed_ms=self._market.now_ms,
            order_uuid=uuid,
            src=int(source),
            execution_type=signal.execution if signal.execution != "LIMIT_CANCEL" else "LIMIT",
            limit_price=signal.limit_price,
            stop_loss=signal.stop_loss,
            take_profit=signal.take_profit,
        )

    def _fill_resting(
        self, order: RestingOrder, pair: TradePair, position: Position | None, quote: Quote
    ) -> bool:
        """Fill an order that is due; whatever the rules refuse then is cancelled."""
        is_bracket = order.execution_type == "BRACKET"
        if is_bracket and position is not None:
            at = bracket_trigger(order, position, quote)
        else:
            at = limit_trigger(order, quote)
        if at is None:
            return False
        try:
            if is_bracket and position is not None:
                self._fill_bracket(order, pair, position, at)
            else:
                self._fill_limit(order, pair, at, int(OrderSource.LIMIT_FILLED))
        except ValueError:  # refused by the rules, or a price that makes no position
            self._put_order(_cancelled(order))
            return False
        return True

    def _fill_limit(self, order: RestingOrder, pair: TradePair, at: float, source: int) -> Order:
        rates = rates_of(pair, at, self._market.prices)
        quantity = order.quantity or 0.0
        value = quantity * pair.lot_size / rates.usd_base
        sizes = Sizes(value / self._account.capital, value, quantity)
        done = self._fill(pair, order.order_type, sizes, rates, order.order_uuid, "LIMIT", source, order)
        if source != int(OrderSource.ORGANIC):
            self._put_order(msgspec.structs.replace(order, src=source, price=at))
        self._leave_bracket(done, pair)
        return done

    def _fill_bracket(self, order: RestingOrder, pair: TradePair, position: Position, at: float) -> None:
        rates = rates_of(pair, at, self._market.prices)
        part = (
            min(1.0, abs((order.quantity or 0.0) / position.net_quantity)) if position.net_quantity else 1.0
        )
        opposite: OrderType = "SHORT" if position.position_type == "LONG" else "LONG"
        kind, sizes = ("FLAT" if part >= 1.0 else opposite), closing(position).scaled(part)
        source = int(OrderSource.BRACKET_FILLED)
        self._put_order(msgspec.structs.replace(order, src=source, price=at))
        self._add(pair, self._order(kind, sizes, rates, order.order_uuid, "BRACKET", source, order), position)

    def _fill(
        self,
        pair: TradePair,
        kind: OrderType,
        sizes: Sizes,
        rates: Rates,
        uuid: str,
        execution: ExecutionType,
        source: int,
        asked: Signal | RestingOrder,
    ) -> Order:
        """Carry out what the leverage rules leave of an order."""
        position = self._book.open_position(pair.trade_pair_id)
        others = [one for one in self._book.open_positions() if one.trade_pair[0] != pair.trade_pair_id]
        kind, sizes = admitted(pair, position, others, kind, sizes)
        return self._add(pair, self._order(kind, sizes, rates, uuid, execution, source, asked), position)

    def _order(
        self,
        kind: OrderType,
        sizes: Sizes,
        rates: Rates,
        uuid: str,
        execution: ExecutionType,
        source: int,
        asked: Signal | RestingOrder,
    ) -> Order:
        pair = asked.pair if isinstance(asked, Signal) else by_id(asked.trade_pair_id)
        is_taking = execution == "MARKET" and pair is not None
        return Order(
            order_type=kind,
            leverage=sizes.leverage,
            value=sizes.value,
            quantity=sizes.quantity,
            price=rates.price,
            bid=rates.price,
            ask=rates.price,
            slippage=slippage(pair, sizes.value, self._market.now_ms) if is_taking and pair else 0.0,
            quote_usd_rate=rates.quote_usd,
            usd_base_rate=rates.usd_base,
            processed_ms=self._market.now_ms,
            order_uuid=uuid,
            src=source,
            execution_type=execution,
            limit_price=asked.limit_price,
            stop_loss=asked.stop_loss,
            take_profit=asked.take_profit,
        )

    def _add(self, pair: TradePair, order: Order, position: Position | None) -> Order:
        """Put an executed order into its position, which may be a new one; the order as it counts there."""
        if position is not None and len(position.orders) >= ORDERS_MAX and order.order_type != "FLAT":
            if (order.leverage or 0.0) * position.net_leverage < 0:
                order = msgspec.structs.replace(order, order_type="FLAT", **closing(position)._asdict())
            else:
                self._add(pair, _closing_full(position, order), position)
                position = None
        orders = (*position.orders, order) if position is not None else (order,)
        made = rebuild(
            self._account.hotkey,
            orders,
            pair.wire_tuple(),
            position.account_size if position is not None else self._account.capital,
            position_uuid=position.position_uuid if position is not None else order.order_uuid,
            at_ms=order.processed_ms,
        )
        self._put_position(made)
        return made.orders[-1]

    def _leave_bracket(self, order: Order, pair: TradePair) -> None:
        """The bracket of a filled order that came with a stop loss or take profit."""
        has_bracket = order.stop_loss is not None or order.take_profit is not None
        position = self._book.open_position(pair.trade_pair_id)
        if not has_bracket or order.order_type == "FLAT" or position is None:
            return
        bracket = Signal(
            execution="BRACKET", pair=pair, stop_loss=order.stop_loss, take_profit=order.take_profit
        )
        kind = position.position_type or order.order_type
        sizes = Sizes(order.leverage or 0.0, order.value or 0.0, order.quantity or 0.0)
        uuid = BRACKET.format(parent=order.order_uuid)
        self._put_order(self._resting(bracket, pair, uuid, kind, sizes, OrderSource.BRACKET_UNFILLED))

    def _cancel(self, uuid: str) -> Change:
        """Cancel an order, or the bracket of a filled one by its parent's uuid."""
        names = (uuid, BRACKET.format(parent=uuid))
        found = [one for one in self._book.unfilled() if one.order_uuid in names]
        if not found:
            hotkey = self._account.hotkey
            raise SignalError(f"No unfilled limit orders found for {hotkey} (uuid={uuid})")
        for one in found:
            self._put_order(_cancelled(one))
        return self._change(None, len(found))

    def _check_market(self, pair: TradePair) -> None:
        if not self._market.is_open(pair):
            raise SignalError(f"The market of {pair.trade_pair_id} is closed")

    def _check_cooldown(self, pair: TradePair) -> None:
        orders = self._book.executed(pair.trade_pair_id)
        times = [order.processed_ms for order in orders if order.execution_type == "MARKET"]
        last_ms = max(times, default=-COOLDOWN_MS)
        wait_ms = last_ms + COOLDOWN_MS - self._market.now_ms
        if wait_ms > 0:
            raise SignalError(
                f"The previous order in {pair.trade_pair_id} was at {last_ms}, now it is"
                f" {self._market.now_ms}: wait {wait_ms / 1000:g} s"
            )

    def _is_paused(self, pair_id: str) -> bool:
        """Whether a resting order of the pair filled just now."""
        filled = (int(OrderSource.LIMIT_FILLED), int(OrderSource.BRACKET_FILLED))
        return any(
            order.src in filled and order.processed_ms + FILL_PAUSE_MS > self._market.now_ms
            for order in self._book.executed(pair_id)
        )

    def _put_position(self, position: Position) -> None:
        self._positions[position.position_uuid] = position
        self._book = self._book.with_change(Change((position,)))
        if position.is_closed_position:
            for order in self._book.unfilled():
                is_its = order.trade_pair_id == position.trade_pair[0] and order.execution_type == "BRACKET"
                if is_its:
                    self._put_order(_cancelled(order))

    def _put_order(self, order: RestingOrder) -> None:
        self._orders[order.order_uuid] = order
        self._book = self._book.with_change(Change((), (order,)))

    def _change(self, done: Order | RestingOrder | None, cancelled: int = 0) -> Change:
        return Change(tuple(self._positions.values()), tuple(self._orders.values()), done, cancelled)


def _closing_full(position: Position, order: Order) -> Order:
    """The order that closes a position that takes no more orders, a moment before the next one."""
    return msgspec.structs.replace(
        order,
        order_type="FLAT",
        **closing(position)._asdict(),
        slippage=0.0,
        processed_ms=max(order.processed_ms - 1, position.orders[-1].processed_ms),
        order_uuid=synthetic_flat_uuid(position.position_uuid),
        src=int(OrderSource.MAX_ORDERS_PER_POSITION_CLOSE),
        execution_type="MARKET",
        limit_price=None,
        stop_loss=None,
        take_profit=None,
    )


def _cancelled(order: RestingOrder) -> RestingOrder:
    source = _CANCELLED.get(OrderSource(order.src), OrderSource.LIMIT_CANCELLED)
    return msgspec.structs.replace(order, src=int(source))
