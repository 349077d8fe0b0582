"""Names: actions and reasons as the venue may spell them, and Vanta's ids of the same instruments."""

from __future__ import annotations

import pytest

from venues.ostium import symbols


@pytest.mark.parametrize(
    ("base", "quote", "expected"),
    [
        ("BTC", "USD", "BTCUSD"),
        ("EUR", "USD", "EURUSD"),
        ("USD", "JPY", "USDJPY"),
        ("XAU", "USD", "XAUUSD"),
        ("NVDA", "USD", "NVDA"),
        ("SPX", "USD", "SPX"),
        ("FTSE", "GBP", None),
        ("DAX", "EUR", None),
        ("CL", "USD", None),
    ],
)
def test_vanta_pairs(base: str, quote: str, expected: str | None) -> None:
    assert symbols.vanta_pair(base, quote) == expected


@pytest.mark.parametrize("word", ["TakeProfit", "TAKE_PROFIT", "takeProfit", "Take Profit"])
def test_actions_are_known_however_they_are_spelled(word: str) -> None:
    assert symbols.action_of(word) == "takeprofit"


def test_an_unknown_action_is_not_guessed() -> None:
    assert symbols.action_of("OpenSesame") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, "SLIPPAGE"),
        ("3", "SLIPPAGE"),
        ("Slippage", "SLIPPAGE"),
        (99, "REASON_99"),
        ("MARKET_CLOSED", "MARKET_CLOSED"),
        (None, None),
        ("", None),
    ],
)
def test_cancel_reasons(value: int | str | None, expected: str | None) -> None:
    assert symbols.cancel_reason(value) == expected


def test_display_names_lead_back_to_the_original_ones() -> None:
    assert {symbols.original(shown) for shown in symbols.DISPLAY_NAMES.values()} == set(symbols.DISPLAY_NAMES)
    assert symbols.original("BTC") == "BTC"
