"""The people of the sandbox: each account opens, adds, reduces, closes, quotes and cancels.

Invariant: what an account does at its n-th slot depends only on the seed, the account, n and the state
that its earlier slots and the prices left behind, so the same world always tells the same story.
"""

from __future__ import annotations

import contextlib
from typing import Final

from venues.o2.sandbox.engine import BUY, SELL, Account, Exchange, Order, Reverted
from venues.o2.sandbox.listing import ETH_USDC, ETH_USDT, FUEL_USDC, TOKENS, WBTC_USDC, Listed
from venues.world import draw

COINS: Final = {
    "FUEL": (FUEL_USDC,),
    "ETH": (ETH_USDC, ETH_USDT),
    "WBTC": (WBTC_USDC,),
}
START_CASH: Final = {"USDC": 60_000, "USDT": 25_000}  # whole units
MAX_COIN_VALUE: Final = 12_000  # whole quote units; above it a trader rather reduces
PATIENCE: Final = 8  # slots until a trader cancels an order that did not fill
MOST_RESTING: Final = 4
FAR_SHARE: Final = 0.4  # of the orders that are left too far away to fill soon
SLIPPAGE_TICKS: Final = 60  # a taker's limit goes that many spreads through the market


class Trader:
    """One account's will. ``act`` is called once per slot."""

    def __init__(self, exchange: Exchange, account: Account) -> None:
        self._exchange, self.account = exchange, account
        self._slot = 0
        self.visiting: tuple[str, int] | None = None  # (asset, amount) that leaves again at the next slot
        self._placed: list[tuple[int, Order]] = []

    def fund(self, at_ms: int) -> None:
        """The first deposit."""
        for asset, token in TOKENS.items():
            if token.symbol in START_CASH:
                amount = START_CASH[token.symbol] * 10**token.decimals
                self._exchange.deposit(self.account, asset, amount, at_ms)

    def act(self, at_ms: int) -> None:
        """Do what this slot asks for; an order that the exchange refuses is simply not placed."""
        self._slot += 1
        self.account.nonce += 1
        self._send_back(at_ms)
        self._lose_patience()
        coin = list(COINS)[int(self._draw("coin") * len(COINS))]
        with contextlib.suppress(Reverted):
            self._trade(coin, at_ms)
        with contextlib.suppress(Reverted):
            self._quote_beside(at_ms)

    def _quote_beside(self, at_ms: int) -> None:
        """Every other slot an order is left in some book, besides whatever else the slot brought."""
        if self.visiting is None and len(self._placed) < MOST_RESTING and self._draw("beside") < 0.5:
            coin = list(COINS)[int(self._draw("beside-coin") * len(COINS))]
            market = COINS[coin][0]
            side = SELL if self.account.unlocked(market.base.asset) and self._draw("side") < 0.4 else BUY
            self._quote(market, side, at_ms)

    def _draw(self, what: str) -> float:
        return draw(self._exchange.seed, self.account.id, self._slot, what)

    def _trade(self, coin: str, at_ms: int) -> None:
        markets = COINS[coin]
        market = markets[int(self._draw("market") * len(markets))]
        held = self.account.total(market.base.asset)
        choice = self._draw("choice")
        if not held:
            return self._buy(market, at_ms) if choice < 0.75 else self._quote(market, BUY, at_ms)
        if market.total(market.middle(self._exchange.seed, at_ms), held) > MAX_COIN_VALUE * 10**6:
            return self._sell(market, coin, 0.5, at_ms)
        if choice < 0.22:
            return self._buy(market, at_ms)
        if choice < 0.44:
            return self._sell(market, coin, 0.3 + 0.4 * self._draw("part"), at_ms)
        if choice < 0.70:
            return self._sell(market, coin, 1.0 if self._holds_others(coin) else 0.5, at_ms)
        if choice < 0.83:
            return self._quote(market, SELL, at_ms)
        if choice < 0.92:
            return self._quote(market, BUY, at_ms)
        if choice < 0.96:
            return self._visit(market, at_ms)
        return self._self_trade(market, at_ms)

    def _holds_others(self, coin: str) -> bool:
        """Whether another coin is held outside of sell orders, which could take it away at any moment."""
        return any(
            self.account.unlocked(markets[0].base.asset) for other, markets in COINS.items() if other != coin
        )

    def _value(self) -> int:
        return 500 + int(2500 * self._draw("value"))

    def _bound(self, market: Listed, side: int, at_ms: int) -> int:
        """A limit so far through the market that the order fills at once."""
        best = market.best(self._exchange.seed, at_ms, -side)
        return max(market.tick, best + side * market.tick * market.spread_ticks * SLIPPAGE_TICKS)

    def _buy(self, market: Listed, at_ms: int) -> None:
        price = self._bound(market, BUY, at_ms)
        quantity = market.quantity(self._value(), price)
        kind = "Market" if self._draw("kind") < 0.5 else "Spot"
        self._exchange.place(self.account, market, BUY, price, quantity, kind, at_ms)

    def _sell(self, market: Listed, coin: str, part: float, at_ms: int) -> None:
        """Sell a part of the coin; selling all takes back the coin's resting sell orders first."""
        asset = market.base.asset
        for other in COINS[coin]:
            if part == 1.0:
                for order in self._exchange.open_orders(self.account, other):
                    self._exchange.cancel(order)
            self._exchange.settle(self.account, other)
        free = self.account.own.get(asset, 0)
        quantity = free if part == 1.0 else int(free * part) // market.lot * market.lot
        price = self._bound(market, SELL, at_ms)
        order = self._exchange.place(self.account, market, SELL, price, quantity, "Spot", at_ms)
        self._placed.append((self._slot, order))

    def _quote(self, market: Listed, side: int, at_ms: int) -> None:
        """Leave an order a little away from the market, where it may or may not be filled."""
        best = market.best(self._exchange.seed, at_ms, side)
        distance = 0.03 if self._draw("far") < FAR_SHARE else 0.001
        away = 1 - side * (0.0002 + distance * self._draw("away"))
        price = int(best * away) // market.tick * market.tick
        quantity = market.quantity(self._value(), price)
        if side == SELL:
            self._exchange.settle(self.account, market)
            free = self.account.own.get(market.base.asset, 0)
            quantity = min(quantity, free // 2 // market.lot * market.lot)
        kind = "PostOnly" if self._draw("kind") < 0.3 else "Spot"
        order = self._exchange.place(self.account, market, side, price, quantity, kind, at_ms)
        self._placed.append((self._slot, order))

    def _lose_patience(self) -> None:
        for slot, order in self._placed:
            if not order.closed and self._slot - slot >= PATIENCE:
                self._exchange.cancel(order)
        self._placed = [(slot, order) for slot, order in self._placed if not order.closed]

    def _visit(self, market: Listed, at_ms: int) -> None:
        """Deposit some of the coin for one slot: the holding moves although nothing was traded."""
        amount = market.quantity(self._value() // 4, market.middle(self._exchange.seed, at_ms))
        self._exchange.deposit(self.account, market.base.asset, amount, at_ms)
        self.visiting = (market.base.asset, amount)

    def _send_back(self, at_ms: int) -> None:
        if self.visiting is not None:
            asset, amount = self.visiting
            self.visiting = None
            self._exchange.deposit(self.account, asset, -amount, at_ms)

    def _self_trade(self, market: Listed, at_ms: int) -> None:
        """Hit an own order: the account is maker and taker of one trade, and holds what it held."""
        self._exchange.settle(self.account, market)
        price = market.middle(self._exchange.seed, at_ms)
        free = self.account.own.get(market.base.asset, 0)
        quantity = min(market.quantity(200, price), free // market.lot * market.lot)
        order = self._exchange.place(self.account, market, SELL, price, quantity, "PostOnly", at_ms)
        self._placed.append((self._slot, order))
        self._exchange.place(self.account, market, BUY, price, quantity, "FillOrKill", at_ms)
