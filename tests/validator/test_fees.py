"""Vanta's fee model: boundaries, weekdays, cut-overs, and the fast sum against a slow one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.make import DAY, HOUR, T0, pair, plain_order
from validator import fees
from validator.positions import rebuild
from validator.trade_pairs import TRADE_PAIRS

BTC, EUR, SPX = (TRADE_PAIRS[name] for name in ("BTCUSD", "EURUSD", "SPX"))


def at(text: str) -> int:
    """Milliseconds of an ISO time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("opened", "until", "intervals"),
    [
        ("2025-06-02T03:59", "2025-06-02T03:59:59", 0),
        ("2025-06-02T03:59", "2025-06-02T04:00", 1),
        ("2025-06-02T04:00", "2025-06-02T11:59", 0),  # the boundary itself belongs to the interval before
        ("2025-06-02T04:00", "2025-06-02T12:00", 1),
        ("2025-06-02T01:00", "2025-06-03T04:00", 4),
        ("2025-06-02T01:00", "2026-06-02T01:00", 1095),
    ],
)
def test_crypto_pays_at_four_twelve_and_twenty(opened: str, until: str, intervals: int) -> None:
    fee = fees.carry_fee(BTC, [(at(opened), 0.5)], at(until))

    assert fee == pytest.approx(0.9998940949450921 ** (0.5 * intervals), rel=1e-12)


@pytest.mark.parametrize(
    ("opened", "until", "units"),
    [
        ("2025-06-02T20:00", "2025-06-02T21:00", 1),  # Monday
        ("2025-06-04T20:00", "2025-06-04T21:00", 3),  # Wednesday pays for the weekend
        ("2025-06-07T20:00", "2025-06-08T22:00", 0),  # Saturday and Sunday are free
        ("2025-06-02T20:00", "2025-06-09T20:00", 7),
        ("2025-06-02T20:00", "2026-06-01T20:00", 52 * 7),
    ],
)
def test_daily_pairs_pay_at_twenty_one_by_weekday(opened: str, until: str, units: int) -> None:
    assert fees.carry_fee(EUR, [(at(opened), 1.0)], at(until)) == pytest.approx(
        0.9999165535983249**units, rel=1e-12
    )
    assert fees.carry_fee(SPX, [(at(opened), 1.0)], at(until)) == pytest.approx(
        0.9998522620320668**units, rel=1e-12
    )


def test_the_largest_leverage_of_an_interval_counts() -> None:
    """0.5 for ten minutes inside the first interval, 0.1 in force before and after."""
    opened = at("2025-06-02T05:00")
    timeline = [(opened, 0.1), (opened + HOUR, 0.5), (opened + HOUR + 600_000, 0.1)]

    fee = fees.carry_fee(BTC, timeline, at("2025-06-02T20:00"))

    assert fee == pytest.approx(fees.CARRY_FACTORS["crypto"] ** (0.5 + 0.1), rel=1e-12)


def test_carry_starts_with_the_current_fee_model() -> None:
    until = fees.FEE_V6_MS + DAY

    assert fees.carry_fee(BTC, [(0, 1.0)], until) == fees.carry_fee(BTC, [(fees.FEE_V6_MS, 1.0)], until)
    assert fees.carry_fee(BTC, [(0, 1.0)], fees.FEE_V6_MS - 1) == 1.0


def test_the_eight_hour_steps_of_the_original_charge_other_weekdays() -> None:
    """Opened on Monday 20:00 and held over three daily boundaries: Monday, Tuesday 05:00 and 13:00."""
    opened, until = at("2025-06-02T20:00"), at("2025-06-04T21:00")

    right = fees.carry_fee(EUR, [(opened, 1.0)], until)
    original = fees.carry_fee(EUR, [(opened, 1.0)], until, eight_hour_steps=True)

    assert right == pytest.approx(fees.CARRY_FACTORS["forex"] ** 5, rel=1e-12)
    assert original == pytest.approx(fees.CARRY_FACTORS["forex"] ** 3, rel=1e-12)


def test_crypto_pays_for_every_change_of_leverage() -> None:
    timeline = [(1, 0.2), (2, 0.5), (3, 0.1), (4, 0.0)]

    assert fees.cumulative_leverage(timeline) == pytest.approx(1.0)
    assert fees.spread_fee(BTC, timeline) == pytest.approx(0.999)
    assert fees.spread_fee(EUR, timeline) == 1.0
    assert fees.spread_fee(None, timeline) == 1.0


def test_a_reversal_pays_for_what_was_open_only() -> None:
    orders = [
        plain_order("LONG", 100.0, leverage=0.2),
        plain_order("SHORT", 100.0, T0 + 1, leverage=-0.5),
    ]

    position = rebuild("hk", orders, pair("SOLUSD"), 1000.0)

    assert position.return_at_close == pytest.approx(1 - 0.001 * 0.4)


def test_before_the_fourth_model_the_fee_is_of_the_pair() -> None:
    """The published NZDUSD sample closed later but was written by that model: 1 - 7e-05 * 0.1."""
    orders = [
        plain_order("SHORT", 0.59559, 1713139478990, leverage=-0.1),
        plain_order("FLAT", 0.5943, 1713156813363, leverage=0.0),
    ]

    position = rebuild("hk", orders, pair("NZDUSD"), 0.0)

    assert position.return_at_close == pytest.approx(1.0002095904346948, abs=1e-15)


def test_the_fee_of_a_long_lived_position_is_counted_at_once() -> None:
    """A thousand centuries must not take a thousand centuries."""
    assert fees.carry_fee(EUR, [(T0, 1e-9)], T0 + 100_000 * 365 * DAY) < 1.0


@given(
    st.lists(
        st.tuples(st.integers(0, 20 * DAY), st.floats(0.01, 5.0)),
        min_size=1,
        max_size=6,
        unique_by=lambda x: x[0],
    ),
    st.integers(0, 40 * DAY),
    st.sampled_from([BTC, EUR]),
)
def test_runs_add_up_to_interval_by_interval(
    changes: list[tuple[int, float]], held: int, traded: object
) -> None:
    """The sum by runs equals a plain loop over every interval."""
    timeline = [(T0 + ms, leverage) for ms, leverage in sorted(changes)]
    pair_ = BTC if traded is BTC else EUR
    step, offset = (8 * HOUR, 4 * HOUR) if pair_ is BTC else (DAY, 21 * HOUR)
    until = timeline[0][0] + held
    total = 0.0
    for end in range((timeline[0][0] - offset) // step * step + offset + step, until + 1, step):
        before = [lev for ms, lev in timeline if ms < end - step][-1:]
        largest = max(before + [lev for ms, lev in timeline if end - step <= ms <= end])
        weekday = datetime.fromtimestamp(end / 1000, UTC).weekday()
        total += largest * (1 if pair_ is BTC else {2: 3, 5: 0, 6: 0}.get(weekday, 1))

    fee = fees.carry_fee(pair_, timeline, until)

    assert fee == pytest.approx(fees.CARRY_FACTORS[pair_.category] ** total, rel=1e-9)
