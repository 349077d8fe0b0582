"""What a fill costs beyond the price."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from validator.orders.slippage import new_york, slippage
from validator.trade_pairs import TRADE_PAIRS


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("pair", "value", "at", "fraction"),
    [
        ("BTCUSD", 1000.0, "2025-06-16T12:00", 0.0),
        ("BTCUSD", -1000.01, "2025-06-16T12:00", 0.0001),
        ("EURUSD", 5000.0, "2025-06-16T20:59", 0.0002),
        ("EURUSD", 5000.0, "2025-06-16T21:00", 0.0005),
        ("EURUSD", 5000.0, "2025-06-16T21:59", 0.0005),
        ("EURUSD", 5000.0, "2025-06-16T22:00", 0.0002),
        ("EURUSD", 5000.0, "2025-01-15T21:30", 0.0002),
        ("EURUSD", 5000.0, "2025-01-15T22:30", 0.0005),
        ("NVDA", 5000.0, "2025-06-16T15:00", 0.0),
    ],
)
def test_slippage_by_pair_size_and_hour(pair: str, value: float, at: str, fraction: float) -> None:
    assert slippage(TRADE_PAIRS[pair], value, ms(at)) == fraction


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        ("2025-03-09T06:59", "2025-03-09T01:59"),
        ("2025-03-09T07:00", "2025-03-09T03:00"),
        ("2025-11-02T05:59", "2025-11-02T01:59"),
        ("2025-11-02T06:00", "2025-11-02T01:00"),
        ("2026-01-01T04:59", "2025-12-31T23:59"),
    ],
)
def test_the_clock_in_new_york(utc: str, local: str) -> None:
    assert new_york(ms(utc)) == datetime.fromisoformat(local)
