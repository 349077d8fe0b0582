"""Position arithmetic against worked samples and hand calculations."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.validator.make import DAY, HOUR, MINUTE, O2_PAIR, T0, fill, pair, plain_order, with_facts
from validator.positions import (
    aggregates,
    is_realtime,
    rebuild,
    synthetic_flat_uuid,
    truncate,
    value_position,
)
from vanta_api.records import OrderSource, Position, VenueFacts


def test_published_short_sample_counts_by_leverage() -> None:
    """A record without account size: SHORT 0.1x from 0.59559 to 0.5943."""
    orders = [
        plain_order("SHORT", 0.59559, 1714139478990, leverage=-0.1),
        plain_order("FLAT", 0.5943, 1714156813363, leverage=0.0),
    ]

    position = rebuild("hk", orders, ("NZDUSD", "NZD/USD", 7e-05, 0.001, 500), 0.0)

    assert position.current_return == pytest.approx(1.0002165919508386, abs=1e-15)
    assert position.average_entry_price == position.initial_entry_price == 0.59559
    assert position.net_leverage == 0.0
    assert position.position_type == "FLAT"
    assert position.close_ms == 1714156813363
    assert position.orders[1].leverage == 0.1


def test_published_stream_sample_has_slippage_in_its_entry() -> None:
    """SHORT 0.3x USDJPY at 142.386 with slippage, just opened."""
    order = plain_order(
        "SHORT",
        142.386,
        1745897174103,
        leverage=-0.3000000000000007,
        slippage=4.553858367205138e-05,
        order_uuid="0c2aa350-2bea-4ccd-8cce-6da220d5bae6",
    )

    position = rebuild("hk", [order], pair("USDJPY"), 0.0)

    assert position.average_entry_price == pytest.approx(142.37951594322527, abs=1e-12)
    assert position.cumulative_entry_value == pytest.approx(-42.71385478296768, abs=1e-12)
    assert (position.current_return, position.return_at_close, position.realized_pnl) == (1.0, 1.0, 0.0)
    assert position.net_leverage == -0.3000000000000007
    assert position.position_uuid == "0c2aa350-2bea-4ccd-8cce-6da220d5bae6"
    assert (position.position_type, position.close_ms, position.is_closed_position) == ("SHORT", None, False)


def test_lots_average_realised_and_unrealised() -> None:
    """BTC by quantity: buy 1 at 50000, buy 1 at 60000, sell 1 at 70000, marked at 80000."""
    orders = [
        plain_order("LONG", 50_000, T0, leverage=0.5, value=50_000, quantity=1),
        plain_order("LONG", 60_000, T0 + HOUR, leverage=0.6, value=60_000, quantity=1),
        plain_order("SHORT", 70_000, T0 + 2 * HOUR, leverage=-0.7, value=-70_000, quantity=-1),
    ]

    position = rebuild("hk", orders, pair("BTCUSD"), 100_000.0, mark=Decimal(80_000))

    assert position.average_entry_price == 55_000
    assert position.realized_pnl == 15_000
    assert position.unrealized_pnl == 25_000
    assert position.current_return == pytest.approx(1.4)
    assert position.net_quantity == 1
    assert position.net_value == 80_000
    assert position.net_leverage == pytest.approx(0.4)
    assert position.cumulative_entry_value == 110_000
    assert position.initial_entry_price == 50_000


def test_value_and_quantity_are_derived_from_leverage() -> None:
    order = plain_order("LONG", 1.25, leverage=2.0)

    position = rebuild("hk", [order], pair("EURUSD"), 50_000.0)

    assert position.orders[0].value == 100_000
    assert position.orders[0].quantity == pytest.approx(0.8)  # lots of 100000 EUR
    assert position.net_value == pytest.approx(100_000)


def test_quote_currency_is_converted_to_usd() -> None:
    """One lot USDJPY from 150 to 153: 100000 * 3 JPY at 1/153."""
    orders = [
        plain_order("LONG", 150.0, leverage=1.0),
        plain_order("FLAT", 153.0, T0 + HOUR),
    ]

    position = rebuild("hk", orders, pair("USDJPY"), 100_000.0)

    assert position.realized_pnl == pytest.approx(100_000 * 3 / 153)


def test_a_reversal_closes_and_the_overshoot_is_discarded() -> None:
    orders = [
        plain_order("LONG", 100.0, leverage=0.1),
        plain_order("SHORT", 110.0, T0 + HOUR, leverage=-0.5),
        plain_order("LONG", 500.0, T0 + 2 * HOUR, leverage=0.5),
    ]

    position = rebuild("hk", orders, pair("SOLUSD"), 1000.0)

    assert position.is_closed_position
    assert len(position.orders) == 2
    assert position.orders[1].leverage == -0.1
    assert position.realized_pnl == pytest.approx(10.0)
    assert position.close_ms == T0 + HOUR


def test_an_unpriced_synthetic_flat_leaves_the_return_untouched() -> None:
    opening = plain_order("LONG", 100.0, leverage=0.1)
    adding = plain_order("LONG", 120.0, T0 + HOUR, leverage=0.1)
    flat = plain_order("FLAT", 0.0, T0 + DAY, src=int(OrderSource.ELIMINATION_FLAT))

    before = rebuild("hk", [opening, adding], pair("SOLUSD"), 1000.0)
    after = rebuild("hk", [opening, adding, flat], pair("SOLUSD"), 1000.0)

    assert after.current_return == before.current_return == pytest.approx(1.02)
    assert (after.net_value, after.net_quantity, after.net_leverage) == (0.0, 0.0, 0.0)
    assert after.is_closed_position


def test_losing_everything_is_a_return_of_zero() -> None:
    orders = [plain_order("LONG", 100.0, leverage=2.0), plain_order("FLAT", 40.0, T0 + HOUR)]

    assert rebuild("hk", orders, pair("SOLUSD"), 1000.0).current_return == 0.0


def test_slippage_counts_only_since_its_introduction() -> None:
    old = rebuild(
        "hk", [plain_order("LONG", 100.0, 1739937599999, leverage=1.0, slippage=0.01)], O2_PAIR, 0.0
    )
    new = rebuild(
        "hk", [plain_order("LONG", 100.0, 1739937600000, leverage=1.0, slippage=0.01)], O2_PAIR, 0.0
    )

    assert old.average_entry_price == 100.0
    assert new.average_entry_price == 101.0


@pytest.mark.parametrize("orders", [[], [plain_order("FLAT", 1.0)], [plain_order("LONG", 0.0, leverage=1.0)]])
def test_orders_that_cannot_open_a_position_are_refused(orders: list[object]) -> None:
    with pytest.raises(ValueError):
        rebuild("hk", orders, O2_PAIR, 100.0)  # type: ignore[arg-type]


# --- with a venue -----------------------------------------------------------------------------------


def test_venue_fills_are_folded_exactly() -> None:
    """Three fills whose floats would not add up."""
    orders = [
        fill("0.1", "0.3", fees="0.01"),
        fill("0.2", "0.3", T0 + 1, fees="0.02"),
        fill("-0.3", "0.6", T0 + 2, fees="-0.005"),
    ]

    position = rebuild("hk", orders, O2_PAIR, 1000.0)

    assert position.venue is not None
    assert (position.venue.quantity, position.venue.average_entry_price) == ("0", "0.3")
    assert (position.venue.realized_pnl, position.venue.fees) == ("0.09", "0.025")
    assert position.venue.status == "closed"
    assert position.current_return == pytest.approx(1 + 0.09 / 1000)
    assert position.return_at_close == pytest.approx(1 + (0.09 - 0.025) / 1000)


def test_a_negative_venue_price_is_exact_in_venue_and_zero_beside_it() -> None:
    """A leg bought at -2 and marked at 1 earned 3 a unit."""
    position = rebuild("hk", [fill("5", "-2")], O2_PAIR, 100.0, mark=Decimal(1))

    assert position.venue is not None
    assert position.venue.average_entry_price == "-2"
    assert position.venue.unrealized_pnl == "15"
    assert position.position_type == "LONG"
    assert (position.average_entry_price, position.initial_entry_price) == (0.0, 0.0)
    assert position.current_return == pytest.approx(1.15)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("expiry", "expired"),
        ("resolution", "resolved"),
        ("liquidation", "liquidated"),
        ("redemption", "redeemed"),
    ],
)
def test_the_end_of_an_instrument_closes_the_position(kind: str, status: str) -> None:
    orders = [fill("10", "0.4"), fill(None, "1", T0 + DAY, kind=kind)]

    position = rebuild("hk", orders, O2_PAIR, 100.0)

    assert position.venue is not None
    assert position.is_closed_position
    assert position.venue.status == status
    assert position.venue.realized_pnl == "6"
    assert position.orders[1].quantity == -10


def test_a_flat_closes_dust_too() -> None:
    orders = [fill("1.0000005", "2"), fill("-1", "3", T0 + 1, flat=True)]

    position = rebuild("hk", orders, O2_PAIR, 100.0)

    assert position.net_quantity == 0.0
    assert position.is_closed_position


def test_net_leverage_of_a_venue_position_keeps_the_entry_notional() -> None:
    """Half sold at twice the price: half of the entry's leverage is left, and the position is open."""
    position = rebuild("hk", [fill("2", "50"), fill("-1", "100", T0 + 1)], O2_PAIR, 1000.0)

    assert position.net_leverage == pytest.approx(0.05)
    assert position.position_type == "LONG"


def test_an_options_own_notional_is_its_leverage() -> None:
    option = msgspec.structs.replace(fill("-2", "30"), value=-5000.0)

    position = rebuild("hk", [option], O2_PAIR, 10_000.0)

    assert position.net_leverage == pytest.approx(-0.5)
    assert position.position_type == "SHORT"


def test_reported_fees_replace_the_sum_of_the_orders() -> None:
    facts = VenueFacts(name="ostium", account="a", instrument="BTC-USD", fees="7", status="active")

    position = rebuild("hk", [fill("1", "100", fees="1")], O2_PAIR, 100.0, venue=facts)

    assert position.venue is not None
    assert (position.venue.fees, position.venue.status) == ("7", "active")
    assert position.return_at_close == pytest.approx(0.93)


def test_a_flat_of_the_rules_closes_a_venue_position_at_its_price() -> None:
    flat = plain_order("FLAT", 130.0, T0 + DAY, src=int(OrderSource.PRICE_FILLED_ELIMINATION_FLAT))

    position = rebuild("hk", [fill("2", "100"), flat], O2_PAIR, 1000.0)

    assert position.realized_pnl == 60.0
    assert position.is_closed_position


@pytest.mark.parametrize("text", ["abc", "NaN", "Infinity", "1e999999", ""])
def test_an_amount_that_is_no_number_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"order fill-\d+ venue\.quantity"):
        rebuild("hk", [fill(text, "1")], O2_PAIR, 100.0)


# --- valuation --------------------------------------------------------------------------------------


def test_valuing_changes_only_what_follows_the_mark() -> None:
    position = rebuild("hk", [fill("2", "100", fees="1")], O2_PAIR, 1000.0, venue=_facts(observed_ms=T0))

    valued = value_position(position, Decimal("110.5"), T0 + HOUR)

    assert valued.unrealized_pnl == 21.0
    assert valued.net_value == 221.0
    assert valued.current_return == pytest.approx(1.021)
    assert valued.return_at_close == pytest.approx(1.02)
    assert with_facts(valued.venue, mark_price=None, unrealized_pnl=None, observed_ms=None) == with_facts(
        position.venue, mark_price=None, unrealized_pnl=None, observed_ms=None
    )
    assert valued.venue is not None
    assert (valued.venue.mark_price, valued.venue.observed_ms) == ("110.5", T0 + HOUR)
    changed = {
        name for name in Position.__struct_fields__ if getattr(valued, name) != getattr(position, name)
    }
    assert changed == {"unrealized_pnl", "net_value", "current_return", "return_at_close", "venue"}


def test_valuing_equals_rebuilding_at_that_mark() -> None:
    orders = [fill("3", "7.1"), fill("-1", "8.3", T0 + 1)]
    facts = _facts(observed_ms=T0 + 5)

    valued = value_position(rebuild("hk", orders, O2_PAIR, 500.0), Decimal("6.9"), T0 + 5)

    assert valued == rebuild("hk", orders, O2_PAIR, 500.0, mark=Decimal("6.9"), venue=facts)


def test_a_closed_position_does_not_follow_the_mark() -> None:
    position = rebuild("hk", [fill("1", "1"), fill("-1", "2", T0 + 1)], O2_PAIR, 100.0)

    assert value_position(position, Decimal(9), T0 + DAY) is position


def test_valuing_a_plain_position_keeps_its_stored_history() -> None:
    stored = msgspec.structs.replace(
        rebuild("hk", [plain_order("LONG", 100.0, leverage=0.1)], pair("SOLUSD"), 1000.0),
        average_entry_price=99.0,
    )

    valued = value_position(stored, Decimal(200), T0 + MINUTE)

    assert valued.average_entry_price == 99.0
    assert valued.current_return == pytest.approx(1.1)


# --- tiers ------------------------------------------------------------------------------------------


def test_a_position_closed_an_hour_ago_is_still_open_for_a_delayed_tier() -> None:
    orders = [fill("1", "100", T0 - 30 * HOUR), fill("-1", "300", T0 - HOUR)]
    position = rebuild("hk", orders, O2_PAIR, 1000.0, venue=_facts(observed_ms=T0, status="closed", fees="5"))

    lagged = truncate(position, T0 - DAY, Decimal(120))

    assert lagged is not None
    assert lagged.venue is not None
    assert not lagged.is_closed_position
    assert lagged.position_uuid == position.position_uuid
    assert len(lagged.orders) == 1
    assert (lagged.venue.status, lagged.venue.fees, lagged.venue.mark_price) == ("open", "0", "120")
    assert lagged.current_return == pytest.approx(1.02)
    assert lagged.venue.observed_ms == T0 - 30 * HOUR


def test_a_position_opened_within_the_lag_is_not_there() -> None:
    position = rebuild("hk", [fill("1", "100", T0 - 2 * HOUR)], O2_PAIR, 1000.0)

    assert truncate(position, T0 - DAY, None) is None


def test_an_order_of_exactly_the_threshold_is_hidden() -> None:
    position = rebuild("hk", [fill("1", "100", T0)], O2_PAIR, 1000.0)

    assert truncate(position, T0, None) is None
    assert truncate(position, T0 + 1, None) is not None


def test_a_late_observation_does_not_show() -> None:
    """A fill of yesterday that was first seen now keeps its own time only."""
    position = rebuild(
        "hk",
        [fill("1", "100", T0 - 2 * DAY, observed_ms=T0, venue_ms=T0)],
        O2_PAIR,
        1000.0,
        venue=_facts(observed_ms=T0),
    )

    lagged = truncate(position, T0 - DAY, None)

    assert lagged is not None
    assert str(T0).encode() not in msgspec.json.encode(lagged)


def test_an_old_closed_plain_position_keeps_its_stored_returns() -> None:
    orders = [plain_order("LONG", 1.0, T0, leverage=1.0), plain_order("FLAT", 2.0, T0 + HOUR)]
    stored = msgspec.structs.replace(rebuild("hk", orders, pair("EURUSD"), 0.0), return_at_close=1.234)

    assert truncate(stored, T0 + DAY, None) is stored


def test_a_position_that_cannot_be_rebuilt_is_withheld() -> None:
    orders = [fill("1", "100", T0), fill("1", "100", T0 + HOUR)]
    broken = msgspec.structs.replace(
        rebuild("hk", orders, O2_PAIR, 100.0), orders=(fill("x", "1", T0), orders[1])
    )

    assert truncate(broken, T0 + 1, None) is None


def test_the_tier_of_a_position_is_a_fact_of_its_uuid() -> None:
    uuids = [f"uuid-{i}" for i in range(2000)]
    seen = {tier: {uuid for uuid in uuids if is_realtime(uuid, tier)} for tier in (0, 30, 50, 100, 200)}

    assert seen[0] == set()
    assert seen[30] < seen[50] < seen[100] == seen[200] == set(uuids)
    assert len(seen[30]) == pytest.approx(600, rel=0.1)
    assert is_realtime("0c2aa350-2bea-4ccd-8cce-6da220d5bae6", 100)


# --- aggregates -------------------------------------------------------------------------------------


def test_aggregates_count_what_is_visible() -> None:
    positions = [
        _closed(1.1, T0, MINUTE),
        _closed(0.8, T0, HOUR),
        _closed(5.0, T0, MINUTE - 1),  # too short to count
        _closed(2.0, T0 - 121 * DAY, HOUR),  # outside the returns window
        rebuild("hk", [fill("-4", "50")], O2_PAIR, 1000.0),
    ]

    figures = aggregates(positions, T0 + HOUR)

    assert figures == {
        "all_time_returns": pytest.approx(1.1 * 0.8 * 2.0),
        "thirty_day_returns": pytest.approx(1.1 * 0.8),
        "n_positions": 5,
        "percentage_profitable": pytest.approx(2 / 3),
        "total_leverage": pytest.approx(0.2),
    }


def test_aggregates_of_nothing() -> None:
    figures = aggregates([])

    assert (figures["all_time_returns"], figures["n_positions"], figures["percentage_profitable"]) == (
        1.0,
        0,
        0.0,
    )


def test_synthetic_flats_have_the_reversed_uuid() -> None:
    assert synthetic_flat_uuid("abc-1") == "1-cba"


def _closed(return_at_close: float, open_ms: int, lasted_ms: int) -> Position:
    return Position(
        miner_hotkey="hk",
        position_uuid=f"p{open_ms}{lasted_ms}",
        open_ms=open_ms,
        close_ms=open_ms + lasted_ms,
        trade_pair=O2_PAIR,
        return_at_close=return_at_close,
        is_closed_position=True,
    )


def _facts(**fields: object) -> VenueFacts:
    return VenueFacts(name="o2", account="a1", instrument="FUEL/USDC", **fields)  # type: ignore[arg-type]
