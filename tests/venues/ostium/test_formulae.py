"""The protocol's arithmetic against the figures its publishers give."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.ostium import formulae
from venues.ostium.formulae import FundingState

BALANCED = FundingState(
    long=Decimal(0),
    short=Decimal(0),
    rate=Decimal(0),
    block=90,
    long_oi=Decimal(10**12),
    short_oi=Decimal(5 * 10**11),
    cap=Decimal(10**7),
    max_rate=Decimal("3e-9"),
    inflection=Decimal(0),
    positive_scale=Decimal(1),
    negative_scale=Decimal(1),
    spring=Decimal("4e-6"),
    up_scale=Decimal(100),
    down_scale=Decimal(70),
)


@pytest.mark.parametrize(
    ("open_price", "price", "is_long", "leverage", "expected"),
    [("1824.6", "1985.4", True, 10, "88.128904"), ("12450", "13020", False, 5, "-22.891566")],
)
def test_profit_percent_equals_the_published_figures(
    open_price: str, price: str, is_long: bool, leverage: int, expected: str
) -> None:
    profit = formulae.profit_percent(
        Decimal(open_price),
        Decimal(price),
        is_long=is_long,
        leverage=Decimal(leverage),
        highest_leverage=Decimal(0),
    )

    assert abs(profit - Decimal(expected)) < Decimal("2e-6")


def test_profit_is_capped_by_the_highest_leverage_the_trade_ever_had() -> None:
    def profit(price: int, leverage: int) -> Decimal:
        return formulae.profit_percent(
            Decimal(100),
            Decimal(price),
            is_long=True,
            leverage=Decimal(leverage),
            highest_leverage=Decimal(100),
        )

    assert profit(150, 100) == 900
    assert profit(150, 50) == 450
    assert profit(105, 50) == 250


@pytest.mark.parametrize(
    ("threshold", "open_price", "collateral", "leverage", "costs", "max_leverage", "expected"),
    [
        (25, "100", 10, 2, 2, 10, "62.50"),
        (10, "129.4", 250, 20, 7, 10, "124.405160"),
    ],
)
def test_liquidation_price_of_a_long_equals_the_published_figures(
    threshold: int,
    open_price: str,
    collateral: int,
    leverage: int,
    costs: int,
    max_leverage: int,
    expected: str,
) -> None:
    margin = formulae.liquidation_margin(
        Decimal(collateral), Decimal(leverage), Decimal(max_leverage), Decimal(threshold)
    )
    found = formulae.liquidation_price(
        Decimal(open_price),
        is_long=True,
        collateral=Decimal(collateral),
        leverage=Decimal(leverage),
        running_costs=Decimal(costs),
        margin=margin,
    )

    assert abs(found - Decimal(expected)) < Decimal("1e-6")


def test_funding_of_the_published_trade() -> None:
    long, short, rate = formulae.accrue_funding(BALANCED, 100)

    owed = formulae.carry(Decimal(0), long, Decimal("99.9"), Decimal(10))

    assert abs(owed - Decimal("5.04099396e-10")) < Decimal("1e-14")
    assert short == -2 * long  # half as many shorts share what the longs pay
    assert 0 < rate < BALANCED.max_rate


def test_the_default_take_profit_is_the_price_of_a_ninefold_gain() -> None:
    assert formulae.default_take_profit(Decimal(42510), Decimal(10), is_long=True) == 80769
    assert formulae.default_take_profit(Decimal(100), Decimal(5), is_long=False) == 0


def test_stop_losses_reach_no_further_than_85_percent() -> None:
    assert formulae.widest_stop_loss(Decimal(100), Decimal(10), is_long=True) == Decimal("91.5")
    assert formulae.widest_stop_loss(Decimal(100), Decimal(10), is_long=False) == Decimal("108.5")


def test_rollover_never_runs_backwards() -> None:
    assert formulae.accrue_rollover(Decimal(1), Decimal("0.5"), 10, 14) == 3
    assert formulae.accrue_rollover(Decimal(1), Decimal("0.5"), 14, 10) == 1


amounts = st.decimals(0, 10**9, places=6)


@given(
    long_oi=amounts,
    short_oi=amounts,
    rate=st.decimals(-3, 3, places=3).map(lambda d: d * Decimal("1e-9")),
    blocks=st.integers(0, 10**8),
)
def test_what_one_side_pays_the_other_receives(
    long_oi: Decimal, short_oi: Decimal, rate: Decimal, blocks: int
) -> None:
    state = replace(BALANCED, long_oi=long_oi, short_oi=short_oi, rate=rate)

    long, short, final = formulae.accrue_funding(state, state.block + blocks)

    if long_oi and short_oi:
        assert abs(long * long_oi + short * short_oi) < Decimal("1e-9")
    assert abs(final) <= max(abs(rate), state.max_rate)
