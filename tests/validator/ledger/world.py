"""A small simulated market: minute marks, accounts that trade on them, and their positions as records."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random

from validator.positions import rebuild
from validator.trade_pairs import TRADE_PAIRS
from vanta_api.records import MarkMessage, Order, Position, TradePairTuple, VenueFacts

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
T0 = 1_748_822_400_000  # Monday 2025-06-02 00:00 UTC
VENUE_PAIRS = ("O2:FUEL/USDC", "O2:ETH/USDC", "LIMITLESS:rain:YES")
VANTA_PAIRS = ("BTCUSD", "EURUSD")


class MinuteMarks:
    """Marks of some pairs, one a minute, kept like a MarkStore's history."""

    def __init__(self) -> None:
        self.times: dict[str, list[int]] = {}
        self.prices: dict[str, list[str]] = {}

    def put(self, pair: str, time_ms: int, price: str) -> None:
        """Note a price; times must not go back."""
        times = self.times.setdefault(pair, [])
        prices = self.prices.setdefault(pair, [])
        if times and times[-1] // MINUTE == time_ms // MINUTE:
            times[-1], prices[-1] = time_ms, price
        else:
            times.append(time_ms)
            prices.append(price)

    def at(self, pair: str, ms: int) -> MarkMessage | None:
        index = bisect_right(self.times.get(pair, []), ms) - 1
        return self._message(pair, index) if index >= 0 else None

    def history(self, pair: str, from_ms: int, to_ms: int) -> Sequence[MarkMessage]:
        times = self.times.get(pair, [])
        first = bisect_right(times, from_ms - 1)
        return [self._message(pair, index) for index in range(first, bisect_right(times, to_ms))]

    def price(self, pair: str, before_ms: int) -> float | None:
        """The newest price from before a time."""
        index = bisect_right(self.times.get(pair, []), before_ms - 1) - 1
        return float(self.prices[pair][index]) if index >= 0 else None

    def _message(self, pair: str, index: int) -> MarkMessage:
        venue, _, instrument = pair.partition(":")
        return MarkMessage(
            trade_pair_id=pair,
            venue=venue.lower(),
            instrument=instrument,
            price=self.prices[pair][index],
            time_ms=self.times[pair][index],
        )


def walk(rng: Random, pairs: Sequence[str], start_ms: int, end_ms: int, gaps: float = 0.02) -> MinuteMarks:
    """Random walks; a share of the minutes has no mark, another repeats the price before."""
    marks = MinuteMarks()
    for pair in pairs:
        price = rng.uniform(0.5, 2000.0)
        for minute_ms in range(start_ms, end_ms, MINUTE):
            roll = rng.random()
            if roll < gaps:
                continue
            if roll > 0.1:
                price *= 1 + rng.gauss(0, 0.0006)
            marks.put(pair, minute_ms + rng.randrange(MINUTE), f"{price:.6f}")
    return marks


def wire_pair(pair: str) -> TradePairTuple:
    """The pair's row on the wire."""
    known = TRADE_PAIRS.get(pair)
    return known.wire_tuple() if known else (pair, pair.partition(":")[2], 0.0004, 0.0, 1.0)


def order(
    pair: str, quantity: str, price: str, ms: int, uuid: str, *, flat: bool = False, fee: str = "0"
) -> Order:
    """An executed venue order."""
    venue, _, instrument = pair.partition(":")
    facts = VenueFacts(
        name=venue.lower(),
        account="a",
        instrument=instrument or pair,
        quantity=quantity,
        price=price,
        fees=fee,
        kind="trade",
        observed_ms=ms,
        venue_ms=ms,
    )
    return Order(
        order_type="FLAT" if flat else "SHORT" if quantity.startswith("-") else "LONG",
        price=float(price),
        quantity=float(quantity),
        processed_ms=ms,
        order_uuid=uuid,
        venue=facts,
    )


def plain_order(kind: str, leverage: float, price: float, ms: int, uuid: str) -> Order:
    """An order without a venue, as Vanta keeps them."""
    return Order(
        order_type=kind,  # type: ignore[arg-type]
        leverage=leverage,
        price=price,
        processed_ms=ms,
        order_uuid=uuid,
    )


def position(hotkey: str, pair: str, orders: Sequence[Order], size: float = 100_000.0) -> Position:
    """The record after these orders."""
    return rebuild(hotkey, orders, wire_pair(pair), size)


class Trader:
    """One account in one pair. ``records`` yields ``(time, record)`` whenever an order was executed."""

    def __init__(self, rng: Random, marks: MinuteMarks, hotkey: str, pair: str) -> None:
        self._rng, self._marks, self._hotkey, self._pair = rng, marks, hotkey, pair
        self._count = 0

    def records(self, start_ms: int, end_ms: int, pause_ms: int = 4 * HOUR) -> Iterator[tuple[int, Position]]:
        """Positions one after another, each with a few orders."""
        rng, now_ms = self._rng, start_ms + self._rng.randrange(pause_ms)
        while now_ms < end_ms:
            is_plain = self._pair in VANTA_PAIRS and rng.random() < 0.7
            side = rng.choice((1, -1))
            orders: list[Order] = []
            for step in range(rng.randrange(1, 5)):
                price = self._marks.price(self._pair, now_ms)
                if price is None or now_ms >= end_ms:
                    return
                orders.append(self._order(orders, side, step, price, now_ms, is_plain))
                yield now_ms, self._record(orders)
                now_ms += 1 + int(rng.expovariate(1 / pause_ms))
            price = self._marks.price(self._pair, now_ms)
            if price is None or now_ms >= end_ms:
                return
            orders.append(self._close(price, now_ms, is_plain, orders))
            yield now_ms, self._record(orders)
            now_ms += 1 + int(rng.expovariate(1 / pause_ms))

    def _record(self, orders: Sequence[Order]) -> Position:
        return position(self._hotkey, self._pair, tuple(orders))

    def _order(
        self, orders: list[Order], side: int, step: int, price: float, ms: int, is_plain: bool
    ) -> Order:
        if is_plain:
            kind = "LONG" if side > 0 else "SHORT"
            return plain_order(kind, side * round(self._rng.uniform(0.01, 0.1), 3), price, ms, self._uuid())
        usd = self._rng.uniform(500, 20_000)
        if step and self._rng.random() < 0.4:  # reduce a part of what is open
            held = sum((Decimal(o.venue.quantity or 0) for o in orders if o.venue), Decimal(0))
            quantity = -held * Decimal(self._rng.randrange(1, 9)) / 10
        else:
            quantity = Decimal(str(round(side * usd / price, 6)))
        return order(self._pair, f"{quantity:f}", f"{price:.6f}", ms, self._uuid(), fee=f"{usd * 0.0002:.4f}")

    def _close(self, price: float, ms: int, is_plain: bool, orders: list[Order]) -> Order:
        if is_plain:
            return plain_order("FLAT", 0.0, price, ms, self._uuid())
        held = sum((Decimal(o.venue.quantity or 0) for o in orders if o.venue), Decimal(0))
        return order(self._pair, f"{-held:f}", f"{price:.6f}", ms, self._uuid(), flat=True, fee="1.25")

    def _uuid(self) -> str:
        self._count += 1
        return f"{self._hotkey}-{self._pair}-{self._count}"


def history(
    rng: Random, marks: MinuteMarks, hotkey: str, pairs: Sequence[str], start_ms: int, end_ms: int
) -> list[tuple[int, Position]]:
    """Everything one hotkey does, in order of time."""
    made = [one for pair in pairs for one in Trader(rng, marks, hotkey, pair).records(start_ms, end_ms)]
    return sorted(made, key=lambda one: one[0])
