"""What the sandbox's accounts do: a pure function of seed, account, time and the account's own books."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from venues.ithaca.exchange.engine import Engine
from venues.ithaca.exchange.ledger import Account, Leg, Order, Position
from venues.ithaca.exchange.market import PAIRS, PRICE_STEP, Listing, Market, Pair
from venues.world import HOUR_MS, draw, slots

PAST_S: Final = 6 * 3600.0
LIVE_S: Final = 15.0
ENOUGH: Final = 6  # positions at once
RESTING: Final = 2  # orders left lying at once
LAST_ENTRY_MS: Final = 6 * HOUR_MS  # nothing new is opened in contracts that expire sooner
LASTING_MS: Final = 48 * HOUR_MS  # two positions are kept that last longer than this
MARKETABLE: Final = Decimal("0.04")  # how far a limit goes beyond the quote so that it fills
PAYOFFS: Final = (("Call", 0.34), ("Put", 0.62), ("BinaryCall", 0.76), ("BinaryPut", 0.86), ("Forward", 1.0))


class SeededTrader:
    """Opens, adds, reduces, reverses, closes, trades strategies, and leaves orders lying."""

    def __init__(self, market: Market, address: str, origin_ms: int) -> None:
        self._market, self._address, self._origin_ms = market, address, origin_ms

    def times(self) -> Iterator[int]:
        """When the account acts, for ever."""
        return slots(self._market.seed, self._address, self._origin_ms, 1 << 62, past_s=PAST_S, live_s=LIVE_S)

    def act(self, engine: Engine, account: Account, at_ms: int) -> None:
        """Do one thing."""
        _Turn(self._market, engine, account, at_ms).take()


class _Turn:
    """One action of one account."""

    def __init__(self, market: Market, engine: Engine, account: Account, at_ms: int) -> None:
        self._market, self._engine, self._account, self._at_ms = market, engine, account, at_ms

    def take(self) -> None:
        self._tidy()
        held = [one for one in self._account.positions.values() if one.listing.expiry_ms > self._at_ms]
        lasting = [one for one in held if one.listing.expiry_ms > self._at_ms + LASTING_MS]
        luck = self._draw("what")
        if len(lasting) < 2:
            self._open(LASTING_MS)
        elif len(held) < ENOUGH and luck < 0.16:
            self._open(LAST_ENTRY_MS)
        elif len(held) < ENOUGH and luck < 0.24:
            self._strategy()
        elif luck < 0.42:
            self._add(self._one_of(held))
        elif luck < 0.55:
            self._reduce(self._one_of(held))
        elif luck < 0.63:
            self._reverse(self._one_of(held))
        elif luck < 0.79 or len(held) >= ENOUGH:
            self._close(self._one_of(held), lasting)
        elif luck < 0.97:
            self._rest(self._one_of(held))
        else:
            self._trade_spot()

    def _draw(self, *names: object) -> float:
        return draw(self._market.seed, self._account.address, self._at_ms, *names)

    def _one_of(self, held: list[Position]) -> Position:
        ordered = sorted(held, key=lambda one: one.listing.id)
        return ordered[int(self._draw("which") * len(ordered))]

    def _tidy(self) -> None:
        """Take back the oldest of its own orders; those of clients are theirs."""
        lying = [order for order in self._account.live.values() if order.is_seeded]
        if len(lying) > RESTING or (lying and self._draw("tidy") < 0.15):
            self._engine.cancel(lying[0], self._at_ms)

    def _open(self, ahead_ms: int) -> None:
        listing = self._pick(ahead_ms)
        sign = 1 if self._draw("side") < 0.62 else -1
        if listing is not None:
            self._place([Leg(listing, sign, self._size(listing))])

    def _add(self, position: Position) -> None:
        """More of the same, unless it is much already."""
        usual = self._size(position.listing)
        if abs(position.quantity) > 3 * usual:
            self._reduce(position)
        else:
            self._trade(position.listing, usual if position.quantity > 0 else -usual)

    def _reduce(self, position: Position) -> None:
        step = Decimal(1).scaleb(-position.listing.places)
        self._trade(position.listing, -(position.quantity / 2).quantize(step, ROUND_HALF_EVEN))

    def _reverse(self, position: Position) -> None:
        """Sell more than is held (or buy back more): the venue nets it into the opposite position."""
        usual = self._size(position.listing)
        beyond = usual if position.quantity > 0 else -usual
        self._trade(position.listing, -position.quantity - beyond)

    def _close(self, position: Position, lasting: list[Position]) -> None:
        """Close it, or open another when the account would be left with too little."""
        if len(lasting) > 2 or position not in lasting:
            self._trade(position.listing, -position.quantity)
        else:
            self._open(LASTING_MS)

    def _trade(self, listing: Listing, quantity: Decimal) -> None:
        """Trade a signed quantity at the market."""
        if quantity:
            self._place([Leg(listing, 1 if quantity > 0 else -1, abs(quantity))])

    def _strategy(self) -> None:
        """A spread, a bet on both sides (its second leg may cost less than nothing), or a collar."""
        pair, expiry_ms = self._pair(), self._expiry(LAST_ENTRY_MS)
        if expiry_ms is None:
            return
        near = {payoff: self._near(pair, expiry_ms, payoff) for payoff in ("Call", "Put")}
        size = self._quantity(pair.size)
        kind = self._draw("strategy")
        if kind < 0.4:
            call, higher = near["Call"][0], near["Call"][-1]
            self._place([Leg(call, 1, size), Leg(higher, -1, size)], description="Spread")
        elif kind < 0.75:
            up, down = (
                self._near(pair, expiry_ms, "BinaryCall")[-1],
                self._near(pair, expiry_ms, "BinaryPut")[0],
            )
            stake = self._quantity(Decimal(80))
            skew = Decimal("1.25") if self._draw("skew") < 0.5 else Decimal(0)
            self._place([Leg(up, 1, stake), Leg(down, 1, stake)], description="Bet", skew=skew)
        else:
            forward = self._market.listing(near["Call"][0].id - (near["Call"][0].id % 100) + pair.first_index)
            assert forward is not None
            put, call = near["Put"][0], near["Call"][-1]
            legs = [Leg(forward, 1, size), Leg(put, 1, size), Leg(call, -1, size)]
            self._place(sorted(legs, key=lambda leg: leg.listing.id), description="Collar")

    def _rest(self, position: Position) -> None:
        """Leave an order for half of the position lying, at a better price than the market's."""
        listing = position.listing
        sign = -1 if position.quantity > 0 else 1
        step = Decimal(1).scaleb(-listing.places)
        quantity = max(step, (abs(position.quantity) / 2).quantize(step, ROUND_HALF_EVEN))
        mid = self._market.quote(listing, self._at_ms).mid
        better = Decimal(1) - sign * Decimal(repr(round(0.02 + 0.2 * self._draw("far"), 3)))
        limit = max(mid * better, PRICE_STEP)
        force, till_ms = "GOOD_TILL_CANCEL", 0
        if self._draw("force") < 0.25:
            force, till_ms = "GOOD_TILL_DATE", self._at_ms + 2 * HOUR_MS
        elif self._draw("force") < 0.4:
            force = "DAY"
        self._submit([Leg(listing, sign, quantity)], sign * quantity * limit, "Resting", force, till_ms)

    def _trade_spot(self) -> None:
        pair = self._pair()
        listing = self._market.listing(pair.spot_id)
        assert listing is not None
        sign = 1 if self._draw("side") < 0.5 else -1
        self._place([Leg(listing, sign, self._quantity(pair.size / 4))], description="Next auction")

    def _place(self, legs: list[Leg], description: str = "", skew: Decimal = Decimal(0)) -> None:
        """An order at a limit that the house's quotes satisfy."""
        net = Decimal(0)
        for leg in legs:
            quote = self._market.quote(leg.listing, self._at_ms)
            price = quote.ask if leg.sign > 0 else quote.bid
            if price is None:
                return
            slack = max(price * MARKETABLE, Decimal("0.02"))
            net += leg.sign * leg.original * price + leg.original * slack
        self._submit(legs, net, description, skew=skew)

    def _submit(
        self,
        legs: list[Leg],
        net: Decimal,
        description: str,
        force: str = "GOOD_TILL_CANCEL",
        till_ms: int = 0,
        skew: Decimal = Decimal(0),
    ) -> None:
        spot = self._market.spot(legs[0].listing.pair, self._at_ms)
        self._engine.place(
            Order(
                id=int((self._at_ms / 1000 * 1024 + 101) * 1000),
                legs=legs,
                net_price=net.quantize(PRICE_STEP, ROUND_HALF_EVEN),
                created_ms=self._at_ms,
                spot=spot,
                time_in_force=force,
                description=description,
                good_till_ms=till_ms,
                skew=skew,
                is_seeded=True,
            )
        )

    def _pair(self) -> Pair:
        return PAIRS[0] if self._draw("pair") < 0.75 else PAIRS[1]

    def _expiry(self, ahead_ms: int) -> int | None:
        """An expiry to enter, more than ``ahead_ms`` away."""
        listed = [at for at in self._market.expiries(self._at_ms) if at > self._at_ms + ahead_ms]
        return listed[int(self._draw("expiry") * len(listed))] if listed else None

    def _pick(self, ahead_ms: int) -> Listing | None:
        luck, expiry_ms, pair = self._draw("payoff"), self._expiry(ahead_ms), self._pair()
        if expiry_ms is None:
            return None
        payoff = next(name for name, up_to in PAYOFFS if luck < up_to)
        near = self._near(pair, expiry_ms, payoff)
        return near[int(self._draw("strike") * len(near))]

    def _near(self, pair: Pair, expiry_ms: int, payoff: str) -> list[Listing]:
        """The contracts of one kind whose strikes are nearest the money, lowest strike first."""
        spot = self._market.spot(pair, self._at_ms)
        listed = self._market.contracts_of(expiry_ms)
        same = [one for one in listed if one.pair is pair and one.payoff == payoff]
        nearest = sorted(same, key=lambda one: abs((one.strike or spot) - spot))[:3]
        return sorted(nearest, key=lambda one: one.strike or spot)

    def _size(self, listing: Listing) -> Decimal:
        return self._quantity(Decimal(90) if listing.is_binary else listing.pair.size)

    def _quantity(self, usual: Decimal) -> Decimal:
        """Between half and one and a half of what is usual, four decimals."""
        factor = Decimal(repr(round(0.5 + self._draw("size"), 3)))
        return (usual * factor).quantize(PRICE_STEP, ROUND_HALF_EVEN)
