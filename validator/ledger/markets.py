"""When markets are open: crypto and venue instruments always, forex and US equities by the New York clock.

Holidays close a market for their whole New York day. Early closes of equity markets are not modelled.
Daylight saving follows the rule in force since 2007, so no time zone database is needed.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from itertools import chain
from typing import Final, Literal

from validator.trade_pairs import by_id

Market = Literal["always", "forex", "equities"]
Spans = list[tuple[int, int]]
"""Half-open stretches of time in ms, in order and apart."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_EPOCH: Final = date(1970, 1, 1)
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6
_FOREX_TURN_MS: Final = 17 * HOUR_MS  # opens on Sunday, closes on Friday
_BELL_MS: Final = (9 * HOUR_MS + HOUR_MS // 2, 16 * HOUR_MS)


def market_of(trade_pair_id: str) -> Market:
    """The market a trade pair is traded on; a venue's own instruments trade all the time."""
    pair = by_id(trade_pair_id)
    if pair is None or pair.category == "crypto":
        return "always"
    return "forex" if pair.category == "forex" else "equities"


def open_spans(market: Market, start_ms: int, end_ms: int) -> Spans:
    """When the market is open between two times."""
    if market == "always":
        return [(start_ms, end_ms)] if start_ms < end_ms else []
    first, last = (start_ms - DAY_MS) // DAY_MS, end_ms // DAY_MS  # a New York day begins hours after UTC's
    sessions = (_session(market, day) for day in range(first, last + 1))
    return clipped(merged([one for one in sessions if one is not None]), start_ms, end_ms)


def is_closed_all_day(market: Market, day: date) -> bool:
    """True when the market is closed for the whole UTC day."""
    start_ms = (day - _EPOCH).days * DAY_MS
    return not open_spans(market, start_ms, start_ms + DAY_MS)


def merged(spans: Spans) -> Spans:
    """The same time as stretches that are in order and apart."""
    joined: Spans = []
    for start_ms, end_ms in sorted(spans):
        if joined and start_ms <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_ms))
        elif start_ms < end_ms:
            joined.append((start_ms, end_ms))
    return joined


def clipped(spans: Spans, start_ms: int, end_ms: int) -> Spans:
    """What of the stretches lies between two times."""
    cut = ((max(a, start_ms), min(b, end_ms)) for a, b in spans)
    return [(a, b) for a, b in cut if a < b]


def common(one: Spans, other: Spans) -> Spans:
    """The time that lies in both."""
    return list(chain.from_iterable(clipped(one, a, b) for a, b in other))


@lru_cache(maxsize=4096)
def _session(market: Market, day_number: int) -> tuple[int, int] | None:
    """Opening and closing (ms) of a New York calendar day."""
    day = _EPOCH + timedelta(days=day_number)
    midnight_ms = day_number * DAY_MS + _behind_utc_ms(day)
    weekday = day.weekday()
    if market == "equities":
        if weekday >= _SATURDAY or day in _exchange_holidays(day.year):
            return None
        return midnight_ms + _BELL_MS[0], midnight_ms + _BELL_MS[1]
    if weekday == _SATURDAY or day in _forex_holidays(day.year):
        return None
    if weekday == _FRIDAY:
        return midnight_ms, midnight_ms + _FOREX_TURN_MS
    next_midnight_ms = (day_number + 1) * DAY_MS + _behind_utc_ms(day + timedelta(days=1))
    if weekday == _SUNDAY:  # counted back, as clocks may have been changed that morning
        return next_midnight_ms - (DAY_MS - _FOREX_TURN_MS), next_midnight_ms
    return midnight_ms, next_midnight_ms


def _behind_utc_ms(day: date) -> int:
    """How far New York is behind UTC when that day begins there (and until 02:00)."""
    starts = _nth_weekday(day.year, 3, _SUNDAY, 2)
    ends = _nth_weekday(day.year, 11, _SUNDAY, 1)
    return (4 if starts < day <= ends else 5) * HOUR_MS


def _nth_weekday(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar."""
    golden, century = year % 19, year // 100
    epact = (century - century // 4 - (8 * century + 13) // 25 + 19 * golden + 15) % 30
    moon = epact - (epact // 28) * (1 - (29 // (epact + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    offset = moon - weekday
    month = 3 + (offset + 40) // 44
    return date(year, month, offset + 28 - 31 * (month // 4))


def _nearest_workday(day: date) -> date:
    return day + timedelta(days={_SATURDAY: -1, _SUNDAY: 1}.get(day.weekday(), 0))


@lru_cache(maxsize=256)
def _forex_holidays(year: int) -> frozenset[date]:
    fixed = (date(year, 1, 1), date(year, 12, 25), date(year, 12, 26))
    sunday = easter(year)
    movable = (sunday - timedelta(days=2), sunday + timedelta(days=1))
    return frozenset((*map(_nearest_workday, fixed), *movable))


@lru_cache(maxsize=256)
def _exchange_holidays(year: int) -> frozenset[date]:
    new_year = date(year, 1, 1)
    last_of_may = date(year, 5, 31)
    return frozenset(
        (
            new_year if new_year.weekday() == _SATURDAY else _nearest_workday(new_year),
            _nth_weekday(year, 1, _MONDAY, 3),
            _nth_weekday(year, 2, _MONDAY, 3),
            easter(year) - timedelta(days=2),
            last_of_may - timedelta(days=last_of_may.weekday()),
            _nearest_workday(date(year, 6, 19)),
            _nearest_workday(date(year, 7, 4)),
            _nth_weekday(year, 9, _MONDAY, 1),
            _nth_weekday(year, 11, _THURSDAY, 4),
            _nearest_workday(date(year, 12, 25)),
        )
    )
