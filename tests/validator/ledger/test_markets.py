"""Market hours: by New York's clock, holidays and changes of the clock included."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from validator.ledger.markets import (
    Market,
    clipped,
    common,
    easter,
    is_closed_all_day,
    market_of,
    merged,
    open_spans,
)

NEW_YORK = ZoneInfo("America/New_York")
SEED = 20250602


def ms(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def clock_says_open(market: Market, moment_ms: int) -> bool:
    """The weekly hours, told by a time zone database."""
    local = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(NEW_YORK)
    weekday, hour = local.weekday(), local.hour + local.minute / 60
    if market == "equities":
        return weekday < 5 and 9.5 <= hour < 16
    return weekday < 4 or (weekday == 4 and hour < 17) or (weekday == 6 and hour >= 17)


@pytest.mark.parametrize("market", ["forex", "equities"])
def test_hours_follow_the_new_york_clock(market: Market) -> None:
    rng = Random(SEED)
    differing = set()
    for _ in range(20_000):
        moment_ms = rng.randrange(1_500_000_000, 2_000_000_000) * 1000
        is_open = bool(open_spans(market, moment_ms, moment_ms + 1))
        if is_open != clock_says_open(market, moment_ms):
            local = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(NEW_YORK).date()
            assert not is_open, (local, "open although the weekly hours say closed")
            differing.add((local.month, local.day))

    assert (12, 25) in differing or (12, 26) in differing
    assert len(differing) < 150  # only holidays differ


@pytest.mark.parametrize(
    ("market", "day"),
    [
        ("equities", date(2025, 1, 1)),
        ("equities", date(2025, 1, 20)),
        ("equities", date(2025, 2, 17)),
        ("equities", date(2025, 4, 18)),
        ("equities", date(2025, 5, 26)),
        ("equities", date(2025, 6, 19)),
        ("equities", date(2025, 7, 4)),
        ("equities", date(2025, 9, 1)),
        ("equities", date(2025, 11, 27)),
        ("equities", date(2026, 7, 3)),
        ("forex", date(2025, 12, 26)),
    ],
)
def test_holidays_close_the_market_for_the_day(market: Market, day: date) -> None:
    assert is_closed_all_day(market, day)


def test_only_saturday_is_closed_all_day_in_an_ordinary_forex_week() -> None:
    closed = [day for day in range(2, 9) if is_closed_all_day("forex", date(2025, 6, day))]

    assert closed == [7]


def test_easter_is_where_the_calendar_has_it() -> None:
    found = [easter(year) for year in (1961, 2000, 2024, 2025, 2038)]

    assert found == [
        date(1961, 4, 2),
        date(2000, 4, 23),
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2038, 4, 25),
    ]


def test_forex_opens_on_sunday_by_the_new_clock_when_it_was_changed_that_morning() -> None:
    assert open_spans("forex", ms(2025, 3, 8), ms(2025, 3, 10)) == [(ms(2025, 3, 9, 21), ms(2025, 3, 10))]


def test_crypto_and_venue_instruments_never_close() -> None:
    assert [market_of(pair) for pair in ("BTCUSD", "O2:FUEL/USDC", "EURUSD", "XAUUSD", "AAPL", "SPX")] == [
        "always",
        "always",
        "forex",
        "forex",
        "equities",
        "equities",
    ]
    assert open_spans("always", 5, 9) == [(5, 9)]


def test_stretches_of_time_are_merged_clipped_and_intersected() -> None:
    spans = merged([(5, 7), (1, 3), (3, 4), (6, 9), (2, 2)])

    assert spans == [(1, 4), (5, 9)]
    assert clipped(spans, 2, 6) == [(2, 4), (5, 6)]
    assert common(spans, [(0, 2), (3, 6)]) == [(1, 2), (3, 4), (5, 6)]
