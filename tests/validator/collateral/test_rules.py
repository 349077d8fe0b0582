"""Amounts, slashing and account sizes: Vanta's formulas."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.collateral.rules import (
    DAY_MS,
    NOT_A_NUMBER,
    NOT_POSITIVE,
    RAO,
    RAO_MAX,
    RECORDS_KEPT,
    AmountError,
    Limits,
    account_size,
    amount_of,
    rao_of,
    size_on,
    slash_of,
    slash_proportion,
    theta_of,
    with_record,
    withdrawal,
)

LIMITS = Limits(1000 * RAO, 500.0)
NOW = 1_763_640_000_123


def test_the_known_example() -> None:
    """Balance 300, drawdown 0.95, amount 100: half is slashed."""
    found = withdrawal(300 * RAO, 100 * RAO, 0.95, LIMITS)

    assert (theta_of(found.slashed), theta_of(found.paid), theta_of(found.new_balance)) == (50.0, 50.0, 200.0)


@pytest.mark.parametrize(
    ("drawdown", "proportion"),
    [(1.0, 0), (0.99, 0.1), (0.95, 0.5), (0.91, 0.9), (0.9, 1), (0.5, 1), (0.0, 1), (1.2, 0)],
)
def test_slashing_grows_with_the_drawdown(drawdown: float, proportion: float) -> None:
    assert slash_proportion(drawdown) == Fraction(repr(proportion))


def test_what_lies_above_the_largest_balance_is_withdrawn_without_loss() -> None:
    balance = 1300 * RAO
    free = withdrawal(balance, 300 * RAO, 0.9, LIMITS)
    more = withdrawal(balance, 400 * RAO, 0.95, LIMITS)

    assert (free.slashed, free.paid) == (0, 300 * RAO)
    assert (more.slashed, more.paid, more.new_balance) == (50 * RAO, 350 * RAO, 900 * RAO)


@given(st.integers(0, RAO_MAX), st.integers(0, RAO_MAX), st.floats(0, 1))
def test_nothing_is_made_or_lost_by_a_withdrawal(balance: int, amount: int, drawdown: float) -> None:
    amount = min(amount, balance)
    found = withdrawal(balance, amount, drawdown, LIMITS)

    assert found.paid + found.slashed == amount
    assert found.new_balance == balance - amount
    assert 0 <= found.slashed <= min(amount, LIMITS.balance_max)
    assert found.paid >= 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_deeper_drawdown_never_costs_less(one: float, other: float) -> None:
    deeper, shallower = sorted((one, other))
    assert withdrawal(RAO, RAO, deeper, LIMITS).slashed >= withdrawal(RAO, RAO, shallower, LIMITS).slashed


@pytest.mark.parametrize(
    ("value", "rao"),
    [
        (5, 5 * RAO),
        (5.0, 5 * RAO),
        (0.1, 10**8),
        (1e-9, 1),
        (1.9999999999, 1_999_999_999),
        (4.35, 4_350_000_000),
        (0.29, 290_000_000),
        (1.1, 1_100_000_000),
        (2.675, 2_675_000_000),
        (1e9, 10**18),
    ],
)
def test_amounts_are_cut_to_whole_rao(value: float, rao: int) -> None:
    assert amount_of(value) == rao


@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1, -5.5, -math.inf, 1e-10, 5e-324])
def test_amounts_must_be_above_nothing(value: float) -> None:
    with pytest.raises(AmountError, match=NOT_POSITIVE):
        amount_of(value)


@pytest.mark.parametrize(
    "value", [True, False, math.nan, math.inf, None, "5", "NaN", [], {}, 1e300, 10**400, 2**64]
)
def test_amounts_must_be_numbers_that_can_be_meant(value: object) -> None:
    with pytest.raises(AmountError, match=NOT_A_NUMBER):
        amount_of(value)


@given(st.integers(0, 2**53))
def test_whole_rao_survive_the_way_out_and_in(rao: int) -> None:
    assert abs(rao_of(theta_of(rao)) - rao) <= 1


@given(st.integers(0, 10**14))
def test_usual_balances_survive_exactly(rao: int) -> None:
    assert rao_of(theta_of(rao)) == rao


def test_the_account_size_follows_the_balance_up_to_the_limit_from_the_next_day_on() -> None:
    small, large = (account_size("h", theta * RAO, NOW, LIMITS) for theta in (300, 1300))

    assert (small.account_size, small.account_size_theta, small.update_time_ms) == (150_000.0, 300.0, NOW)
    assert (large.account_size, large.account_size_theta) == (500_000.0, 1300.0)
    assert small.valid_date_timestamp == (NOW // DAY_MS + 1) * DAY_MS
    midnight = account_size("h", RAO, 10 * DAY_MS, LIMITS)
    assert midnight.valid_date_timestamp == 11 * DAY_MS


def test_a_record_that_says_the_same_is_not_kept_twice() -> None:
    first = account_size("h", RAO, NOW, LIMITS)
    records = with_record((), first)
    assert with_record(records, account_size("h", RAO, NOW + 5, LIMITS)) is records
    assert len(with_record(records, account_size("h", 2 * RAO, NOW + 5, LIMITS))) == 2


def test_only_the_newest_records_are_kept() -> None:
    records = tuple(account_size("h", n * RAO, NOW + n, LIMITS) for n in range(RECORDS_KEPT))
    records = with_record(records, account_size("h", 5000 * RAO, NOW, LIMITS))

    assert (len(records), records[-1].account_size_theta) == (RECORDS_KEPT, 5000.0)


def test_the_record_of_a_day_is_the_last_that_was_valid_at_its_start() -> None:
    first = account_size("h", RAO, NOW, LIMITS)
    second = account_size("h", 2 * RAO, NOW + DAY_MS, LIMITS)
    records = (first, second)

    assert size_on(records, NOW) is None
    assert size_on(records, NOW, most_recent=True) is second
    assert size_on(records, NOW + DAY_MS) is first
    assert size_on(records, NOW + 2 * DAY_MS) is second
    assert size_on((), NOW, most_recent=True) is None


@pytest.mark.parametrize(
    ("balance", "proportion", "taken"), [(300, 0.5, 150), (1300, 1.0, 1000), (300, 2.0, 300), (300, -1.0, 0)]
)
def test_slashing_takes_a_part_of_what_counts(balance: int, proportion: float, taken: int) -> None:
    assert slash_of(balance * RAO, proportion, LIMITS) == taken * RAO
