"""The sandbox's traders: what each account does, decided by seed, account and the number of its action.

Every account keeps an anchor: a trade with so little leverage that the market cannot close it, which is
only closed once there is another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from venues.ostium.exchange.engine import Exchange, Ticket
from venues.ostium.exchange.market import PAIRS, Quote, day_trading
from venues.ostium.exchange.state import ALL, RevertError, Trade
from venues.world import DAY_MS, HISTORY_DAYS, draw, slots

PAST_S: Final = 6 * 3600.0
LIVE_S: Final = 15.0
FUNDS: Final = 100_000 * 10**6
REFILL_BELOW: Final = 20_000 * 10**6
MOST_TRADES: Final = 7
MOST_LIMITS: Final = 5
FAR_FUTURE_MS: Final = 1 << 60
ANCHOR_LEVERAGE: Final = 300
STEP: Final = 10**13  # prices × 1e18 are asked for in whole 0.00001

# what an account does, in how many of a hundred actions; the first that can be done is done
HABITS: Final = (
    ("open", 26),
    ("close", 20),
    ("reduce", 13),
    ("reverse", 6),
    ("place", 14),
    ("cancel", 5),
    ("move", 4),
    ("protect", 6),
    ("add_margin", 3),
    ("take_margin", 3),
)


@dataclass(slots=True)
class Bot:
    """One account's trader."""

    exchange: Exchange
    trader: str
    origin_ms: int
    actions: int = 0

    def start(self) -> None:
        """Fund the account and plan its actions."""
        self.exchange.deposit(self.trader, FUNDS)
        seed = self.exchange.seed
        times = slots(seed, self.trader, self.origin_ms, FAR_FUTURE_MS, past_s=PAST_S, live_s=LIVE_S)

        def act(at_ms: int) -> None:
            self.exchange.timeline.at(next(times), act)
            self.act(at_ms)

        self.exchange.timeline.at(self.origin_ms + 1000, self.act)
        self.exchange.timeline.at(next(times), act)

    def act(self, at_ms: int) -> None:
        """Do one thing; a call the contract refuses is simply not done."""
        self.actions += 1
        if self.exchange.wallets[self.trader] < REFILL_BELOW:
            self.exchange.deposit(self.trader, FUNDS)
        try:
            self._doing(self._choice())(at_ms)
        except RevertError:
            return

    def _draw(self, name: str) -> float:
        return draw(self.exchange.seed, self.trader, self.actions, name)

    def _choice(self) -> str:
        idle = self._idle()
        if not self._anchors():
            return "open"
        name = self._habit()
        trades = len(self.exchange.open_trades.get(self.trader, ()))
        if name == "open" and trades >= MOST_TRADES:
            return "close"
        if name in ("close", "reverse", "protect", "take_margin") and not idle:
            return "open"
        limits = len(self.exchange.active_limits.get(self.trader, ()))
        if name in ("cancel", "move") and not limits:
            return "place"
        return "cancel" if name == "place" and limits >= MOST_LIMITS else name

    def _habit(self) -> str:
        at = self._draw("habit") * sum(weight for _, weight in HABITS)
        for name, weight in HABITS:
            at -= weight
            if at < 0:
                return name
        return HABITS[0][0]

    def _doing(self, name: str) -> Callable[[int], None]:
        doings: dict[str, Callable[[int], None]] = {
            "open": self._open,
            "close": self._close,
            "reduce": self._reduce,
            "reverse": self._reverse,
            "place": self._place,
            "cancel": self._cancel,
            "move": self._move,
            "protect": self._protect,
            "add_margin": self._add_margin,
            "take_margin": self._take_margin,
        }
        return doings[name]

    def _open(self, at_ms: int) -> None:
        is_buy = self._draw("side") < 0.55
        ticket = self._ticket(at_ms, self._pair(at_ms), is_buy=is_buy)
        if not self._anchors():
            pair_id = int(self._draw("anchor") * 2)  # BTC or ETH: always open
            price = self._fresh_price(pair_id, at_ms, is_buy=is_buy)
            ticket = Ticket(pair_id, is_buy, ticket.collateral * 4, ANCHOR_LEVERAGE, price)
        self.exchange.open_market(self.trader, ticket)

    def _close(self, at_ms: int) -> None:
        trade = self._pick(self._idle())
        self.exchange.close_market(
            self.trader, *self._slot(trade), percent=ALL, price=self._exit_price(trade, at_ms)
        )

    def _reduce(self, at_ms: int) -> None:
        trade = self._pick(self._idle() or self._anchors())
        percent = (2500, 3333, 5000, 7000)[int(self._draw("share") * 4)]
        self.exchange.close_market(
            self.trader, *self._slot(trade), percent=percent, price=self._exit_price(trade, at_ms)
        )

    def _reverse(self, at_ms: int) -> None:
        """The venue does not net: turning round is closing and opening the other way."""
        trade = self._pick(self._idle())
        self.exchange.close_market(
            self.trader, *self._slot(trade), percent=ALL, price=self._exit_price(trade, at_ms)
        )
        ticket = self._ticket(at_ms, trade.pair.pair.id, is_buy=not trade.is_buy)
        self.exchange.open_market(self.trader, ticket)

    def _place(self, at_ms: int) -> None:
        pair_id, is_buy = self._pair(at_ms), self._draw("side") < 0.5
        is_stop = self._draw("stop") < 0.3
        distance = self._distance(at_ms)
        mid = self._mid(pair_id, at_ms)
        price = round_price(mid * (1 + distance if is_buy == is_stop else 1 - distance))
        ticket = self._ticket(at_ms, pair_id, is_buy=is_buy, price=price)
        self.exchange.place_limit(self.trader, ticket, "STOP" if is_stop else "LIMIT")

    def _cancel(self, at_ms: int) -> None:
        limits = list(self.exchange.active_limits[self.trader].values())
        limit = limits[int(self._draw("which") * len(limits))]
        self.exchange.cancel_limit(self.trader, limit.pair.pair.id, limit.index)

    def _move(self, at_ms: int) -> None:
        limits = list(self.exchange.active_limits[self.trader].values())
        limit = limits[int(self._draw("which") * len(limits))]
        nearer = (limit.price + int(self._mid(limit.pair.pair.id, at_ms) * 10**18)) // 2
        self.exchange.update_limit(
            self.trader, limit.pair.pair.id, limit.index,
            price=nearer // STEP * STEP, take_profit=0, stop_loss=0,
        )  # fmt: skip

    def _protect(self, at_ms: int) -> None:
        trade = self._pick(self._idle())
        away = self._distance(at_ms) * (1 if trade.is_buy else -1)
        mid = self._mid(trade.pair.pair.id, at_ms)
        if self._draw("exit") < 0.5:
            self.exchange.update_tp(self.trader, *self._slot(trade), round_price(mid * (1 + away)))
        else:
            self.exchange.update_sl(self.trader, *self._slot(trade), round_price(mid * (1 - away)))

    def _add_margin(self, at_ms: int) -> None:
        trade = self._pick(self._idle() or self._anchors())
        self.exchange.top_up(self.trader, *self._slot(trade), trade.collateral // 3)

    def _take_margin(self, at_ms: int) -> None:
        trade = self._pick(self._idle())
        self.exchange.remove_collateral(self.trader, *self._slot(trade), trade.collateral // 4)

    def _ticket(self, at_ms: int, pair_id: int, *, is_buy: bool, price: int | None = None) -> Ticket:
        """A market ticket at the current price, sometimes at one that has gone already; for a resting
        order at ``price``."""
        terms, pair = PAIRS[pair_id].terms, PAIRS[pair_id]
        leverage = self._leverage(terms.max_leverage)
        is_day_trade = bool(terms.overnight_max_leverage) and leverage > terms.overnight_max_leverage
        if is_day_trade and day_trading(pair, at_ms)[0]:
            is_day_trade, leverage = False, terms.overnight_max_leverage
        at = price or self._fresh_price(pair_id, at_ms, is_buy=is_buy)
        gain, loss = self._distance(at_ms) * 3, self._distance(at_ms) * 2
        sign = 1 if is_buy else -1
        return Ticket(
            pair_id=pair_id,
            is_buy=is_buy,
            collateral=(20 + int(self._draw("size") * 480)) * 10**6 + int(self._draw("cents") * 10**6),
            leverage=leverage,
            price=at,
            take_profit=round_price(at / 1e18 * (1 + sign * gain)) if self._draw("tp") < 0.4 else 0,
            stop_loss=round_price(at / 1e18 * (1 - sign * loss)) if self._draw("sl") < 0.4 else 0,
            is_day_trade=is_day_trade,
            slippage=50,
        )

    def _leverage(self, highest: int) -> int:
        """Mostly modest, now and then all there is: that is how accounts come to be liquidated."""
        if self._draw("nerve") < 0.12:
            return highest
        return 100 * (5 + int(self._draw("leverage") * 35))

    def _fresh_price(self, pair_id: int, at_ms: int, *, is_buy: bool) -> int:
        quote = self.exchange.market.quote(PAIRS[pair_id], at_ms)
        price = quote.used(is_opening=True, is_long=is_buy)
        if self._draw("stale") < 0.03:
            return price * (97 if is_buy else 103) // 100
        return price

    def _exit_price(self, trade: Trade, at_ms: int) -> int:
        quote = self.exchange.market.quote(trade.pair.pair, at_ms)
        price = quote.used(is_opening=False, is_long=trade.is_buy)
        if self._draw("stale") < 0.03:
            return price * (103 if trade.is_buy else 97) // 100
        return price

    def _distance(self, at_ms: int) -> float:
        """How far from the market, as a fraction: near when the account acts every few seconds."""
        is_live = at_ms >= self.origin_ms + HISTORY_DAYS * DAY_MS
        widest = 0.002 if is_live else 0.02
        return widest * (0.1 + 0.9 * self._draw("distance"))

    def _pair(self, at_ms: int) -> int:
        """A pair whose market is open, and once in a while one that is not."""
        candidates = [pair for pair in PAIRS.values() if self._quote(pair.id, at_ms).is_open]
        if self._draw("closed") < 0.04:
            candidates = list(PAIRS.values())
        favourites = [pair for pair in candidates if draw(self.exchange.seed, self.trader, pair.name) < 0.35]
        chosen = favourites or candidates
        return chosen[int(self._draw("pair") * len(chosen))].id

    def _quote(self, pair_id: int, at_ms: int) -> Quote:
        return self.exchange.market.quote(PAIRS[pair_id], at_ms)

    def _mid(self, pair_id: int, at_ms: int) -> float:
        return float(self._quote(pair_id, at_ms).mid)

    def _quiet(self) -> list[Trade]:
        """Open trades that no close is on its way for."""
        trades = self.exchange.open_trades.get(self.trader, {}).values()
        return [trade for trade in trades if not trade.close_initiated]

    def _anchors(self) -> list[Trade]:
        return [t for t in self._quiet() if t.leverage <= ANCHOR_LEVERAGE and not t.stop_loss]

    def _idle(self) -> list[Trade]:
        """Trades to do something with: all but the only anchor."""
        anchors = self._anchors()
        return [trade for trade in self._quiet() if len(anchors) > 1 or trade not in anchors]

    def _pick(self, trades: list[Trade]) -> Trade:
        return trades[int(self._draw("which") * len(trades))]

    @staticmethod
    def _slot(trade: Trade) -> tuple[int, int]:
        return trade.pair.pair.id, trade.index


def round_price(value: float) -> int:
    """A price × 1e18 in whole 0.00001."""
    return round(value * 10**5) * STEP
