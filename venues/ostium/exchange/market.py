"""What the sandbox trades: pairs with their terms, opening hours, and quotes as a function of time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal

from venues.world import DAY_MS, HOUR_MS, price

GroupName = Literal["crypto", "forex", "indices", "commodities", "stocks"]

MINUTE_MS: Final = 60_000
MONDAY_MS: Final = 4 * DAY_MS  # 1970-01-05
WEEK_MS: Final = 7 * DAY_MS
FRIDAY_CLOSE_MS: Final = 4 * DAY_MS + 21 * HOUR_MS  # of a week that starts on Monday
SUNDAY_OPEN_MS: Final = 6 * DAY_MS + 22 * HOUR_MS
BELL_MS: Final = 13 * HOUR_MS + 30 * MINUTE_MS
CLOSE_MS: Final = 20 * HOUR_MS
DAY_TRADES_END_MS: Final = 15 * MINUTE_MS  # before the close
QUOTES_KEPT: Final = 4096
E18: Final = 10**18


@dataclass(frozen=True, slots=True)
class Terms:
    """A group's terms. Fees are percent × 1e6, leverages × 1e2, ``spread`` a fraction of the mid price,
    ``rollover_per_block`` a fraction × 1e18."""

    id: int
    max_leverage: int
    overnight_max_leverage: int
    maker_fee_p: int
    taker_fee_p: int
    spread: Decimal
    rollover_per_block: int
    schedule: Literal["always", "weekdays", "session"]


GROUPS: Final[dict[GroupName, Terms]] = {
    "crypto": Terms(0, 15_000, 0, 30_000, 100_000, Decimal("0.0002"), 0, "always"),
    "forex": Terms(1, 20_000, 0, 30_000, 30_000, Decimal("0.00008"), 200_000_000, "weekdays"),
    "indices": Terms(2, 10_000, 0, 50_000, 50_000, Decimal("0.0001"), 300_000_000, "weekdays"),
    "commodities": Terms(3, 10_000, 0, 50_000, 50_000, Decimal("0.0002"), 300_000_000, "weekdays"),
    "stocks": Terms(4, 10_000, 5_000, 100_000, 100_000, Decimal("0.0004"), 400_000_000, "session"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair: ``anchor`` is the price its waves swing around, ``tick`` its price step."""

    id: int
    base: str
    quote: str
    group: GroupName
    anchor: Decimal
    tick: Decimal

    @property
    def name(self) -> str:
        return f"{self.base}-{self.quote}"

    @property
    def terms(self) -> Terms:
        return GROUPS[self.group]

    @property
    def feed(self) -> str:
        """The oracle's feed id (32 bytes)."""
        if self.name == "BTC-USD":
            return "0x00039d9e45394f473ab1f050a1b963e6b05351e52d71e507509ada0c95ed75b8"
        return "0x0003" + hashlib.blake2b(self.name.encode(), digest_size=30).hexdigest()


_LISTED: Final = """
BTC-USD crypto 97000 0.01|ETH-USD crypto 3400 0.01|EUR-USD forex 1.08 0.00001|GBP-USD forex 1.27 0.00001
USD-JPY forex 152 0.001|XAU-USD commodities 2650 0.01|HG-USD commodities 4.2 0.0001
CL-USD commodities 71 0.001|XAG-USD commodities 31 0.001|SOL-USD crypto 190 0.001
SPX-USD indices 5900 0.1|DJI-USD indices 43500 0.1
NDX-USD indices 20800 0.1|NIK-JPY indices 38500 1|FTSE-GBP indices 8100 0.1|DAX-EUR indices 19300 0.1
USD-CAD forex 1.39 0.00001|USD-MXN forex 20.2 0.0001|NVDA-USD stocks 140 0.01|GOOG-USD stocks 175 0.01
AMZN-USD stocks 205 0.01|META-USD stocks 565 0.01|TSLA-USD stocks 330 0.01|AAPL-USD stocks 228 0.01
MSFT-USD stocks 420 0.01
"""


def _pairs() -> dict[int, Pair]:
    rows = (row.split() for line in _LISTED.split("\n") for row in line.split("|") if row)
    listed: dict[int, Pair] = {}
    for number, (name, group, anchor, tick) in enumerate(rows):
        base, _, quote = name.partition("-")
        kind = next(known for known in GROUPS if known == group)
        listed[number] = Pair(number, base, quote, kind, Decimal(anchor), Decimal(tick))
    return listed


PAIRS: Final[dict[int, Pair]] = _pairs()


@dataclass(frozen=True, slots=True)
class Quote:
    """The oracle's answer: exact prices, and the moment they are from (the last open one)."""

    bid: Decimal
    mid: Decimal
    ask: Decimal
    time_ms: int
    is_open: bool

    def used(self, *, is_opening: bool, is_long: bool) -> int:
        """Price × 1e18 that an order trades at: the ask to open a long or close a short, else the bid."""
        return chain_price(self.ask if is_opening == is_long else self.bid)


class Market:
    """Quotes of all pairs. Outside its hours a pair keeps the price of the close."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._quotes: dict[tuple[int, int], Quote] = {}

    def quote(self, pair: Pair, at_ms: int) -> Quote:
        """The pair's quote at a moment."""
        key = (pair.id, at_ms)
        if key not in self._quotes:
            if len(self._quotes) >= QUOTES_KEPT:
                self._quotes.clear()
            self._quotes[key] = self._make(pair, at_ms)
        return self._quotes[key]

    def _make(self, pair: Pair, at_ms: int) -> Quote:
        from_ms = last_open_ms(pair, at_ms)
        mid = price(self._seed, pair.name, pair.anchor, from_ms, pair.tick)
        half = max(pair.tick, mid * pair.terms.spread / 2)
        return Quote(
            bid=_step(mid - half, pair.tick, ROUND_FLOOR),
            mid=mid,
            ask=_step(mid + half, pair.tick, ROUND_CEILING),
            time_ms=from_ms,
            is_open=from_ms == at_ms,
        )


def _step(value: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (value / tick).quantize(Decimal(1), rounding) * tick


def chain_price(value: Decimal) -> int:
    """A price × 1e18."""
    return int(value.scaleb(18))


def last_open_ms(pair: Pair, at_ms: int) -> int:
    """``at_ms`` while the market is open, else the moment it closed."""
    if pair.terms.schedule == "always":
        return at_ms
    monday_ms = at_ms - (at_ms - MONDAY_MS) % WEEK_MS
    if pair.terms.schedule == "weekdays":
        closed_ms = monday_ms + FRIDAY_CLOSE_MS
        return closed_ms if closed_ms <= at_ms < monday_ms + SUNDAY_OPEN_MS else at_ms
    return _last_session_ms(at_ms, monday_ms)


def _last_session_ms(at_ms: int, monday_ms: int) -> int:
    day, time_of_day = divmod(at_ms - monday_ms, DAY_MS)
    if day < 5 and BELL_MS <= time_of_day < CLOSE_MS:
        return at_ms
    last_day = day if day < 5 and time_of_day >= CLOSE_MS else day - 1
    if last_day < 0:
        last_day = -3  # the Friday before
    return monday_ms + min(last_day, 4) * DAY_MS + CLOSE_MS


def day_trading(pair: Pair, at_ms: int) -> tuple[bool, int]:
    """``(is closed, seconds until that changes)``; ``(False, -1)`` where day trades mean nothing."""
    if pair.terms.schedule != "session":
        return False, -1
    monday_ms = at_ms - (at_ms - MONDAY_MS) % WEEK_MS
    day, time_of_day = divmod(at_ms - monday_ms, DAY_MS)
    ends_ms = CLOSE_MS - DAY_TRADES_END_MS
    if day < 5 and BELL_MS <= time_of_day < ends_ms:
        return False, (ends_ms - time_of_day) // 1000
    next_day = day if day < 5 and time_of_day < BELL_MS else day + 1
    if next_day > 4:
        next_day = 7
    return True, (next_day * DAY_MS + BELL_MS - day * DAY_MS - time_of_day) // 1000
