"""The exchange itself: accounts, order books, balances and trades. No I/O, no clock of its own.

Rule 1: money is never made or lost: an asset moves between a trade account, a book's ``locked`` and
``unlocked`` parts, the market maker and the fee pot, in whole chain units.
Rule 2: every execution is one Trade, seen by both parties, with a number that grows with time.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from venues.o2.sandbox.listing import PPM, Listed, identifier
from venues.world import draw

TRADE_EPOCH_MS: Final = 1_577_836_800_000  # trade numbers count from 2020, a thousand to the millisecond
BUY: Final = 1
SELL: Final = -1


class Reverted(Exception):
    """The contract refused the call; ``variant`` is the on-chain error's name."""

    def __init__(self, variant: str) -> None:
        super().__init__(variant)
        self.variant = variant


@dataclass(slots=True)
class BookBalance:
    """An account's money inside one order book, in chain units; ``fee`` is what it paid there so far."""

    locked: int = 0
    unlocked: int = 0
    fee: int = 0


@dataclass(slots=True)
class Order:
    """One order; ``filled_value`` is the sum of price × quantity of its executions."""

    id: str
    account: Account
    market: Listed
    side: int
    kind: str
    price: int
    quantity: int
    created_ms: int
    number: int
    filled: int = 0
    filled_value: int = 0
    closed: bool = False
    cancelled: bool = False

    @property
    def rest(self) -> int:
        return self.quantity - self.filled


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution. ``maker`` or ``taker`` None is the market maker."""

    number: int
    market: Listed
    at_ms: int
    price: int
    quantity: int
    total: int
    maker_side: int
    maker: Account | None
    taker: Account | None


@dataclass(slots=True, eq=False)
class Account:
    """One trade account: its own balance per asset and its balances in the books it used."""

    id: str
    owner: str
    nonce: int = 0
    modified_ms: int = 0
    own: dict[str, int] = field(default_factory=dict)
    books: dict[tuple[str, str], BookBalance] = field(default_factory=dict)
    orders: dict[str, list[Order]] = field(default_factory=dict)  # by market id, oldest first
    trades: dict[str, list[Trade]] = field(default_factory=dict)

    def book(self, market: Listed, asset: str) -> BookBalance:
        return self.books.setdefault((market.contract, asset), BookBalance())

    def locked(self, asset: str) -> int:
        return sum(balance.locked for (_, held), balance in self.books.items() if held == asset)

    def unlocked(self, asset: str) -> int:
        """Everything free, in the books and in the account itself."""
        inside = sum(balance.unlocked for (_, held), balance in self.books.items() if held == asset)
        return inside + self.own.get(asset, 0)

    def total(self, asset: str) -> int:
        return self.locked(asset) + self.unlocked(asset)


class Exchange:
    """Orders in, trades out. ``seed`` fixes the market maker's quotes and every id."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.accounts: dict[str, Account] = {}
        self.resting: dict[str, list[Order]] = {}  # by market id, in order of arrival
        self.orders: dict[str, Order] = {}
        self.trades: dict[str, list[Trade]] = {}  # by market id, oldest first
        self._last_trade = 0
        self._last_order = 0

    def add_account(self, account: Account) -> None:
        self.accounts[account.id] = account

    def deposit(self, account: Account, asset: str, amount: int, at_ms: int) -> None:
        """Bring ``amount`` chain units from outside; a negative amount is a withdrawal."""
        if account.own.get(asset, 0) + amount < 0:
            raise Reverted("NotEnoughBalance")
        account.own[asset] = account.own.get(asset, 0) + amount
        account.modified_ms = at_ms

    def settle(self, account: Account, market: Listed) -> None:
        """Move what is free in the book back to the trade account."""
        for asset in (market.base.asset, market.quote.asset):
            balance = account.book(market, asset)
            account.own[asset] = account.own.get(asset, 0) + balance.unlocked
            balance.unlocked = 0

    def place(
        self, account: Account, market: Listed, side: int, price: int, quantity: int, kind: str, at_ms: int
    ) -> Order:
        """Match the order against the book, let the remainder rest if its kind may. Raises Reverted.

        ``kind`` is Spot, PostOnly, FillOrKill or Market; ``price`` bounds every kind.
        """
        self.settle(account, market)
        self._check(account, market, side, price, quantity)
        fills = list(self._crossing(market, side, price, quantity, at_ms))
        if kind == "PostOnly" and fills:
            raise Reverted("OrderPartiallyFilled")
        if kind == "FillOrKill" and sum(size for _, size, _ in fills) < quantity:
            raise Reverted("OrderNotFilled")
        order = self._accept(account, market, side, price, quantity, kind, at_ms)
        for at_price, size, maker in fills:
            self._execute(market, at_price, size, maker, order, at_ms)
        if order.rest and kind in ("Spot", "PostOnly"):
            self.resting.setdefault(market.id, []).append(order)
        elif order.rest:
            self._close(order)
        return order

    def cancel(self, order: Order) -> None:
        """Take the order off the book and free what it had locked."""
        if order.closed:
            raise Reverted("NotOrderOwner")
        order.cancelled = True
        self.resting[order.market.id].remove(order)
        self._close(order)

    def tick(self, market: Listed, at_ms: int) -> None:
        """Let the market maker take the resting orders that its price has reached, piece by piece."""
        waiting = self.resting.get(market.id)
        if not waiting:
            return
        middle = market.middle(self.seed, at_ms)
        for order in list(waiting):
            edge = middle + order.side * market.tick * market.spread_ticks
            if (order.price - edge) * order.side < 0:
                continue
            share = 0.35 + 0.9 * draw(self.seed, order.id, at_ms)
            piece = min(order.rest, max(market.lot, int(order.quantity * share) // market.lot * market.lot))
            self._execute(market, order.price, piece, order, None, at_ms)

    def open_orders(self, account: Account, market: Listed) -> list[Order]:
        return [order for order in self.resting.get(market.id, ()) if order.account is account]

    def _check(self, account: Account, market: Listed, side: int, price: int, quantity: int) -> None:
        if price <= 0 or price % market.tick:
            raise Reverted("PricePrecision")
        if quantity <= 0 or price * quantity % 10**market.base.decimals:
            raise Reverted("FractionalPrice")
        if market.total(price, quantity) < market.min_order:
            raise Reverted("InvalidOrderArgs")
        asset, amount = _input(market, side, price, quantity)
        if account.own.get(asset, 0) < amount:
            raise Reverted("NotEnoughBalance")

    def _crossing(
        self, market: Listed, side: int, price: int, quantity: int, at_ms: int
    ) -> Iterator[tuple[int, int, Order | None]]:
        """(price, size, maker) that the order would meet now, best first; None is the market maker."""
        others = sorted(
            (order.price * side, order.number, order.price, order.rest, order)
            for order in self.resting.get(market.id, ())
            if order.side == -side
        )
        last = self._last_order + 1  # the market maker queues behind everybody else's orders
        maker_levels = (
            (at * side, last, at, size, None) for at, size in market.levels(self.seed, at_ms, -side)
        )
        for _, _, at, size, maker in heapq.merge(others, maker_levels, key=lambda offer: offer[:2]):
            if quantity <= 0 or (price - at) * side < 0:
                return
            piece = min(size, quantity)
            if maker is None:
                piece -= piece % market.lot if piece != quantity else 0
            if piece > 0:
                yield at, piece, maker
                quantity -= piece

    def _accept(
        self, account: Account, market: Listed, side: int, price: int, quantity: int, kind: str, at_ms: int
    ) -> Order:
        self._last_order += 1
        order = Order(
            id=identifier(self.seed, "order", account.id, self._last_order),
            account=account,
            market=market,
            side=side,
            kind=kind,
            price=price,
            quantity=quantity,
            created_ms=at_ms,
            number=self._last_order,
        )
        asset, amount = _input(market, side, price, quantity)
        account.own[asset] -= amount
        account.book(market, asset).locked += amount
        account.modified_ms = at_ms
        account.orders.setdefault(market.id, []).append(order)
        self.orders[order.id] = order
        return order

    def _execute(
        self, market: Listed, price: int, size: int, maker: Order | None, taker: Order | None, at_ms: int
    ) -> None:
        total = market.total(price, size)
        maker_side = maker.side if maker is not None else -(taker.side if taker is not None else BUY)
        self._last_trade = max(self._last_trade + 1, (at_ms - TRADE_EPOCH_MS) * 1000 + 1)
        trade = Trade(
            self._last_trade,
            market,
            at_ms,
            price,
            size,
            total,
            maker_side,
            maker.account if maker is not None else None,
            taker.account if taker is not None else None,
        )
        self.trades.setdefault(market.id, []).append(trade)
        for party in {
            id(order.account): order.account for order in (maker, taker) if order is not None
        }.values():
            party.trades.setdefault(market.id, []).append(trade)
        if maker is not None:
            self._fill(maker, price, size, total, fee=total * market.maker_fee // PPM)
        if taker is not None:
            self._fill(taker, price, size, total, fee=total * market.taker_fee // PPM)

    def _fill(self, order: Order, price: int, size: int, total: int, fee: int) -> None:
        """Move the two assets of one execution; better prices than the limit free the difference."""
        account, market = order.account, order.market
        base = account.book(market, market.base.asset)
        quote = account.book(market, market.quote.asset)
        order.filled += size
        order.filled_value += price * size
        if order.side == BUY:
            reserved = market.total(order.price, size)
            quote.locked -= reserved
            quote.unlocked += reserved - total
            base.unlocked += size
        else:
            base.locked -= size
            quote.unlocked += total
        self._charge(account, quote, market.quote.asset, fee)
        if order.rest == 0:
            order.closed = True
            if order in self.resting.get(market.id, ()):
                self.resting[market.id].remove(order)

    def _charge(self, account: Account, quote: BookBalance, asset: str, fee: int) -> None:
        from_book = min(fee, quote.unlocked)
        from_account = min(fee - from_book, account.own.get(asset, 0))
        quote.unlocked -= from_book
        account.own[asset] = account.own.get(asset, 0) - from_account
        quote.fee += from_book + from_account

    def _close(self, order: Order) -> None:
        asset, amount = _input(order.market, order.side, order.price, order.rest)
        balance = order.account.book(order.market, asset)
        balance.locked -= amount
        balance.unlocked += amount
        order.closed = True


def _input(market: Listed, side: int, price: int, quantity: int) -> tuple[str, int]:
    """(asset, amount) that an order has to bring."""
    if side == BUY:
        return market.quote.asset, market.total(price, quantity)
    return market.base.asset, quantity


def before(trades: list[Trade], number: int) -> int:
    """Index of the first trade whose number is not below ``number``."""
    return bisect_left(trades, number, key=lambda trade: trade.number)
