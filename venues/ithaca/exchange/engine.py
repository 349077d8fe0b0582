"""Auctions, expiries and the clock: what happens to an account's orders and positions, and when.

Rule 1: events are handled strictly in order of time, however far one call advances; two engines with the
same seed that are asked at different moments tell the same story.
Rule 2: the house takes the other side of every order at its own quotes; an order fills when the house's
prices for all its legs together are within its limit, and every leg fills in the same proportion.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal
from typing import Final, Protocol

from venues.ithaca.exchange import fees
from venues.ithaca.exchange.ledger import STAMP_DELAY_MS, USDC, ZERO, Account, Leg, Order, Position, Settled
from venues.ithaca.exchange.market import PAIRS, Market, expiry_number, next_expiry_ms
from venues.ithaca.exchange.volume import Volume
from venues.world import DAY_MS, HISTORY_DAYS, draw

PAST_AUCTION_MS: Final = 10 * 60_000  # the documented pace, used while the history is told
LIVE_AUCTION_MS: Final = 5_000
CANCELLED_BY_USER: Final = "CANCELLED_BY_USER"
CONTRACT_EXPIRED: Final = "CONTRACT_EXPIRED"
TIME_IS_UP: Final = "TIME_IN_FORCE_EXPIRED"
ONE_AUCTION: Final = frozenset({"IMMEDIATE_OR_CANCEL", "AT_AUCTION_ONLY"})
LOW_FUNDS: Final = Decimal("0.4")  # of the usual deposit: spreads and fees eat an account that never stops
FAR_AHEAD_MS: Final = 1 << 62


class Trader(Protocol):
    """Decides what an account does. ``times`` are when; ``act`` may place and cancel orders."""

    def times(self) -> Iterator[int]: ...

    def act(self, engine: Engine, account: Account, at_ms: int) -> None: ...


class Engine:
    """One account's life on the exchange, advanced lazily."""

    def __init__(
        self, market: Market, account: Account, trader: Trader, volume: Volume, origin_ms: int
    ) -> None:
        self.market, self.account, self._trader, self._volume = market, account, trader, volume
        self.live_from_ms = origin_ms + HISTORY_DAYS * DAY_MS
        self.now_ms = origin_ms
        self._times = trader.times()
        self._next_act_ms = next(self._times, FAR_AHEAD_MS)
        self._next_expiry_ms = next_expiry_ms(origin_ms)

    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due by ``now_ms``. Going back does nothing."""
        while True:
            auction_ms = self._next_auction_ms() if self.account.live else FAR_AHEAD_MS
            due_ms = min(auction_ms, self._next_expiry_ms, self._next_act_ms)
            if due_ms > now_ms:
                break
            self.now_ms = due_ms
            if due_ms == auction_ms:
                self._auction(due_ms)
            elif due_ms == self._next_expiry_ms:
                self._expire(due_ms)
            else:
                self._next_act_ms = next(self._times, FAR_AHEAD_MS)
                self._trader.act(self, self.account, due_ms)
        self.now_ms = max(self.now_ms, now_ms)

    def place(self, order: Order) -> None:
        """Take an order into the book; it takes part in the next auction."""
        order.rev_ms, order.inserted_ms = self._stamp(order.created_ms), order.created_ms
        self.account.live[order.id] = order
        self.account.by_id[order.id] = order
        self.account.report(order)

    def cancel(self, order: Order, at_ms: int, reason: str = CANCELLED_BY_USER) -> None:
        """Take what is left of an order out of the book."""
        for leg in order.legs:
            leg.cancelled += leg.remaining
        order.status, order.reason = "CANCELED", reason
        order.rev_ms, order.inserted_ms = self._stamp(at_ms), at_ms
        self.account.finish(order)

    def auction_ms(self, at_ms: int) -> int:
        """The round time of the auction after ``at_ms``."""
        pace_ms = self.pace_ms(at_ms)
        return at_ms - at_ms % pace_ms + pace_ms

    def pace_ms(self, at_ms: int) -> int:
        """Time between auctions."""
        return LIVE_AUCTION_MS if at_ms >= self.live_from_ms else PAST_AUCTION_MS

    def _next_auction_ms(self) -> int:
        return self.auction_ms(self.now_ms)

    def _stamp(self, at_ms: int) -> int:
        return at_ms - at_ms % LIVE_AUCTION_MS + STAMP_DELAY_MS

    def _auction(self, at_ms: int) -> None:
        for order in list(self.account.live.values()):
            if _is_over(order, at_ms):
                self.cancel(order, at_ms, TIME_IS_UP)
                continue
            prices = self.prices(order, at_ms)
            if prices is not None and _net(order, prices) <= order.net_price:
                self._fill(order, prices, at_ms)
            if order.is_live and order.time_in_force in ONE_AUCTION:
                self.cancel(order, at_ms, TIME_IS_UP)

    def prices(self, order: Order, at_ms: int) -> list[Decimal] | None:
        """The house's price for each leg, None when it does not trade one of them."""
        found: list[Decimal] = []
        for leg in order.legs:
            quote = self.market.quote(leg.listing, at_ms)
            price = quote.ask if leg.sign > 0 else quote.bid
            if price is None:
                return None
            found.append(price)
        if order.skew and len(found) > 1:
            found[0] += order.skew
            found[1] -= order.skew * order.legs[0].sign * order.legs[1].sign
        return found

    def _fill(self, order: Order, prices: list[Decimal], at_ms: int) -> None:
        share = self._share(order, at_ms)
        quantities = [_part(leg, share) for leg in order.legs]
        for leg, quantity, price in zip(order.legs, quantities, prices, strict=True):
            self.account.fill(order, leg, quantity, price)
        self._charge(order, quantities, prices, at_ms)
        is_done = all(leg.remaining == 0 for leg in order.legs)
        order.status = "FILLED" if is_done else "PARTIALLY_FILLED"
        order.rev_ms = self._stamp(at_ms)
        if is_done:
            self.account.finish(order)
        else:
            self.account.report(order)

    def _share(self, order: Order, at_ms: int) -> Decimal:
        """How much of the original quantity the house takes in this auction."""
        luck = draw(self.market.seed, self.account.address, "liquidity", order.id, at_ms)
        if luck < 0.15:
            return Decimal("0.35")
        return Decimal("0.6") if luck < 0.3 else Decimal(1)

    def _charge(self, order: Order, quantities: list[Decimal], prices: list[Decimal], at_ms: int) -> None:
        parts = [
            fees.Part(leg.listing, quantity, price)
            for leg, quantity, price in zip(order.legs, quantities, prices, strict=True)
        ]
        for part in parts:
            self._volume.note(part, self.market.spot(part.listing.pair, at_ms), at_ms)
        charge = fees.fee_of(parts)
        self.account.fund(USDC).pending -= charge
        expiry = min((part.listing.expiry_ms for part in parts if part.listing.expiry_ms), default=0)
        if expiry:
            self.account.fees[expiry] = self.account.fees.get(expiry, ZERO) + charge

    def _expire(self, at_ms: int) -> None:
        """Settle what expires now, drop orders in it, and bring pending money into the contract."""
        self._next_expiry_ms = next_expiry_ms(at_ms)
        for order in list(self.account.live.values()):
            if any(leg.listing.expiry_ms == at_ms for leg in order.legs):
                self.cancel(order, at_ms, CONTRACT_EXPIRED)
        ended = [one for one in self.account.positions.values() if one.listing.expiry_ms == at_ms]
        if ended:
            self._settle(ended, at_ms)
        for currency, fund in self.account.funds.items():
            fund.deposited, fund.pending = fund.deposited + fund.pending, ZERO
            if fund.deposited < self.account.usual_deposit[currency] * LOW_FUNDS:
                self.account.deposit(currency, at_ms)

    def _settle(self, ended: list[Position], at_ms: int) -> None:
        prices = {pair.name: self.market.spot(pair, at_ms) for pair in PAIRS}
        for position in ended:
            worth = position.listing.pays(prices[position.listing.pair.name])
            self.account.fund(USDC).pending += position.quantity * worth
            del self.account.positions[position.listing.id]
        self.account.history[expiry_number(at_ms)] = Settled(
            at_ms,
            {name: prices[name] for name in sorted({one.listing.pair.name for one in ended})},
            [(one.listing, one.quantity, one.average) for one in ended],
        )


def _is_over(order: Order, at_ms: int) -> bool:
    """True when the order's time in force has ended before this auction."""
    if order.good_till_ms and at_ms > order.good_till_ms:
        return True
    return order.time_in_force == "DAY" and at_ms // DAY_MS > order.created_ms // DAY_MS


def _net(order: Order, prices: list[Decimal]) -> Decimal:
    """The premium of the whole order at these prices, positive when paid."""
    return sum((leg.sign * leg.original * price for leg, price in zip(order.legs, prices, strict=True)), ZERO)


def _part(leg: Leg, share: Decimal) -> Decimal:
    step = Decimal(1).scaleb(-leg.listing.places)
    return min(leg.remaining, max(step, (leg.original * share).quantize(step, ROUND_DOWN)))
