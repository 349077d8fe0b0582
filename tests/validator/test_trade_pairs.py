"""The trade-pair table, venue rows and the listing."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest

from validator import trade_pairs

NOW = 1_750_000_000_000


def test_the_table_has_every_pair_once() -> None:
    by_category: dict[str, int] = {}
    for pair in trade_pairs.TRADE_PAIRS.values():
        by_category[pair.category] = by_category.get(pair.category, 0) + 1

    assert by_category == {"crypto": 7, "forex": 31, "equities": 7, "indices": 6}


@pytest.mark.parametrize(
    ("pair_id", "row"),
    [
        ("BTCUSD", ("BTCUSD", "BTC/USD", 0.003, 0.01, 0.5)),  # the legacy fee, so that old parsers accept it
        ("DOGEUSD", ("DOGEUSD", "DOGE/USD", 0.003, 0.01, 0.5)),
        ("USDJPY", ("USDJPY", "USD/JPY", 7e-05, 0.1, 5.0)),
        ("NVDA", ("NVDA", "NVDA", 9e-05, 0.1, 3.0)),
        ("SPX", ("SPX", "SPX", 9e-05, 0.1, 5.0)),
    ],
)
def test_wire_row_of_a_vanta_pair(pair_id: str, row: tuple[object, ...]) -> None:
    pair = trade_pairs.by_id(pair_id)

    assert pair is not None
    assert pair.wire_tuple() == row


def test_base_quote_lot_and_flags() -> None:
    pairs = trade_pairs.TRADE_PAIRS

    assert (pairs["USDMXN"].base, pairs["USDMXN"].quote) == ("USD", "MXN")
    assert (pairs["AAPL"].base, pairs["AAPL"].quote) == ("AAPL", "USD")
    assert (pairs["EURUSD"].lot_size, pairs["BTCUSD"].lot_size) == (100_000.0, 1.0)
    assert pairs["BTCUSD"].fee == 0.001
    assert [pairs[name].is_tradeable for name in ("BTCUSD", "TAOUSD", "USDJPY", "SPX")] == [
        True,
        False,
        False,
        False,
    ]
    assert not pairs["TAOUSD"].is_blocked
    assert not pairs["TAOUSD"].has_prices


def test_an_instrument_that_is_a_vanta_pair_gets_vantas_row() -> None:
    instrument = _instrument("BTC-USD", vanta_pair="BTCUSD")

    assert trade_pairs.for_instrument("ostium", instrument)[0] == "BTCUSD"


def test_an_instrument_of_a_venue_gets_its_own_row() -> None:
    instrument = _instrument("FUEL/USDC", fee=Decimal("0.0004"), max_leverage=Decimal(1))

    assert trade_pairs.for_instrument("o2", instrument) == ("O2:FUEL/USDC", "FUEL/USDC", 0.0004, 0.0, 1.0)


def test_an_unknown_vanta_pair_does_not_pass_for_vantas() -> None:
    row = trade_pairs.for_instrument("ostium", _instrument("HYPE-USD", vanta_pair="HYPEUSD"))

    assert row[0] == "OSTIUM:HYPE-USD"
    assert not trade_pairs.is_vanta(row[0])
    assert trade_pairs.is_vanta("EURUSD")


def test_listing_separates_tradeable_from_disabled() -> None:
    listing = trade_pairs.listing(None, NOW)

    assert listing["total_allowed"] == len(listing["allowed"])
    assert listing["total_allowed"] + listing["total_disabled"] == len(trade_pairs.TRADE_PAIRS)
    assert listing["timestamp"] == NOW
    assert "USDJPY" in {row["trade_pair_id"] for row in listing["disabled"]}


def test_listing_of_one_asset_class() -> None:
    listing = trade_pairs.listing("Crypto", NOW)

    assert {row["trade_pair_id"] for row in listing["disabled"]} == {"TAOUSD"}
    assert {row["trade_pair_category"] for row in listing["allowed"]} == {"crypto"}
    assert listing["allowed"][0]["subaccount_positional_leverage_by_tier"]["4"] == 0.5


def test_listing_refuses_an_unknown_asset_class() -> None:
    with pytest.raises(ValueError, match="Valid options are: crypto, forex"):
        trade_pairs.listing("bonds", NOW)


def _instrument(name: str, **changes: object) -> SimpleNamespace:
    base = {"display": None, "vanta_pair": None, "fee": 0, "min_leverage": 0, "max_leverage": 1}
    return SimpleNamespace(name=name, **{**base, **changes})
