"""Metrics, ranks and risk against numpy and scipy, to 1e-9."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats  # type: ignore[import-untyped]

from tests.validator.ledger.world import DAY, HOUR, MINUTE, T0, VANTA_PAIRS, plain_order, position
from tests.validator.statistics import reference
from validator.ledger.checkpoint import PORTFOLIO, SPAN_MS, Checkpoint, Ledger
from validator.statistics import measures, metrics, ranking, risk
from validator.statistics.constants import printable
from validator.statistics.days import Day, class_checkpoints, class_of, complete_days
from vanta_api.records import Position

returns = st.lists(st.floats(-0.2, 0.2).map(lambda x: x if abs(x) > 1e-12 else 0.0), max_size=130)
scores = st.dictionaries(st.text(max_size=3), st.floats(-1e6, 1e6), max_size=40)


def close(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def checkpoints(values: Sequence[float], realized: Sequence[float] | None = None) -> list[Checkpoint]:
    """Four checkpoints a day, so that the days' returns are ``values``."""
    made = []
    for day, value in enumerate(values):
        for part in range(4):
            change = value / 4
            made.append(
                Checkpoint(
                    last_update_ms=T0 + day * DAY + (part + 1) * SPAN_MS,
                    accum_ms=SPAN_MS,
                    gain=max(0.0, change) + 0.01,
                    loss=min(0.0, change) - 0.01,
                    mdd=0.95,
                    realized_pnl=(realized[day] if realized else value * 1000) / 4,
                    unrealized_pnl=-5.0 if day % 2 else 5.0,
                )
            )
    return made


@given(returns)
@pytest.mark.parametrize("scope", ["overall", "crypto", "forex"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_metric_is_what_numpy_and_scipy_find(scope: str, weighted: bool, values: list[float]) -> None:
    cps = checkpoints(values)
    wire = [{name: getattr(cp, name) for name in Checkpoint.__struct_fields__} for cp in cps]
    days, expected = reference.metrics(wire, scope, weighted)
    found = measures.scope(scope, cps, complete_days(cps))

    assert found.days == days == len(values)
    for name, value in (found.weighted if weighted else found.plain).items():
        if values:
            assert value == close(expected[name]), name


@given(returns)
def test_time_weights_fall_from_the_newest_day_on(values: list[float]) -> None:
    weights = metrics.time_weights(len(values), 0.045)

    assert weights == close(list(reference.decay(len(values), 0.045)))
    assert weights == sorted(weights)


@given(returns, st.sampled_from([252, 365]))
def test_volatility_and_daily_drawdown(values: list[float], year: int) -> None:
    x = np.array(values)
    ones = np.ones(len(x))
    below = x < math.log(1.0389) / year

    assert metrics.volatility(values, year) == close(reference.spread(x, ones, year))
    assert metrics.downside_volatility(values, year) == close(reference.spread(x[below], ones[below], year))
    if values:
        cumulative = np.exp(np.cumsum(x))
        worst = float((cumulative / np.maximum.accumulate(cumulative)).min())
        assert metrics.daily_drawdown(values) == close(worst)


def test_too_little_is_said_plainly() -> None:
    assert metrics.mean([]) == 0.0
    assert metrics.variance([0.1]) == math.inf
    assert metrics.sharpe([0.1], 365) == 0.0
    assert metrics.statistical_confidence([0.1]) == -100.0
    assert metrics.statistical_confidence([0.1, 0.1]) == -100.0
    assert metrics.daily_drawdown([]) == metrics.instantaneous_drawdown([]) == 1.0
    assert metrics.raw_pnl([]) == 0.0
    assert metrics.daily_pnl([]) == []


@pytest.mark.parametrize(
    ("name", "stand_in"),
    [
        ("omega", 0),
        ("pnl", 0),
        ("sharpe", -100),
        ("sortino", -100),
        ("calmar", -100),
        ("statistical_confidence", -100),
    ],
)
def test_without_enough_days_a_metric_has_a_stand_in(name: str, stand_in: float) -> None:
    assert metrics.gated(name, 1.5, 59, 60) == stand_in
    assert metrics.gated(name, 1.5, 60, 60) == 1.5
    assert metrics.gated("return", 1.5, 0, 60) == 1.5


@pytest.mark.parametrize(
    ("drawdown", "expected"), [(1.0, 0.0), (0.9, 0.0), (0.85, 0.0), (0.95, 7.3), (0.99, 36.5)]
)
def test_calmar_is_nothing_without_a_drawdown_and_with_a_deep_one(drawdown: float, expected: float) -> None:
    assert metrics.calmar([0.001, 0.001], 365, drawdown) == close(expected)


def test_the_last_day_counts_the_loss_that_is_still_open() -> None:
    days = [Day(1, 0.0, 10.0, -50.0), Day(2, 0.0, 20.0, -7.0)]

    assert metrics.daily_pnl(days) == [10.0, 13.0]
    assert metrics.daily_pnl([*days, Day(3, 0.0, 1.0, 9.0)]) == [10.0, 20.0, 1.0]


@given(scores)
def test_percentiles_are_the_share_strictly_below(found: dict[str, float]) -> None:
    shares = ranking.percentiles(found)
    values = list(found.values())
    if len(values) > 1:
        assert list(shares.values()) == close(
            list(stats.percentileofscore(values, values, kind="strict") / 100)
        )
    else:
        assert list(shares.values()) == [1.0] * len(values)


@given(scores)
def test_ranks_count_from_the_best_and_keep_the_order_of_ties(found: dict[str, float]) -> None:
    rank = ranking.ranks(found)
    values = np.array(list(found.values()))

    places = np.argsort(np.argsort(-values, kind="stable"), kind="stable") + 1
    assert [rank[name] for name in found] == places.tolist()


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=30))
def test_softmax_shares_and_inequality(found: dict[str, float]) -> None:
    if found:
        assert ranking.softmax(found) == close(reference.softmax(found))
        inequality = ranking.gini(list(found.values()))
        assert inequality is None or inequality == close(reference.gini(list(found.values())) or 0.0)
    assert ranking.gini([0.0, 0.0]) is None
    total = sum(ranking.normalised(found).values())
    assert total == close(1.0) or total == 0.0


@given(scores)
def test_challenge_weights_are_evenly_spaced(found: dict[str, float]) -> None:
    weights = ranking.challenge_weights(found)

    assert sorted(weights.values(), reverse=True) == close(list(np.linspace(2.4e-5, 1.5e-5, num=len(found))))
    assert sorted(found, key=lambda name: -found[name]) == sorted(weights, key=lambda name: -weights[name])


@given(st.floats(-1e6, 1e6))
def test_the_sigmoid_is_the_logistic_function(value: float) -> None:
    exponent = max(-100.0, min(100.0, 4 * (value - 1.2)))

    assert risk.sigmoid(value, 1.2, 4) == close(float(special.expit(-exponent)))


@st.composite
def traded(draw: st.DrawFn) -> Position:
    kind = draw(st.sampled_from(["LONG", "SHORT"]))
    sign, now, orders = (1 if kind == "LONG" else -1), T0, []
    for number in range(draw(st.integers(1, 8))):
        size = sign * draw(st.floats(0.01, 0.3))
        orders.append(plain_order(kind, size, draw(st.floats(50, 150)), now, f"o{number}"))
        now += draw(st.integers(MINUTE, 30 * HOUR))
    if draw(st.booleans()):
        orders.append(plain_order("FLAT", 0.0, draw(st.floats(50, 150)), now, "flat"))
    return position("hk", draw(st.sampled_from(VANTA_PAIRS)), orders, 0.0)


@given(st.lists(traded(), max_size=6))
def test_risk_flags_and_their_weighted_share(positions: list[Position]) -> None:
    assert [risk.is_flagged(one) for one in positions] == [reference.flagged(one) for one in positions]
    assert risk.score(positions) == close(reference.risk_score(positions))


def martingale(gaps: Sequence[int], leverages: Sequence[float]) -> Position:
    """Adds to a long while the price falls."""
    now, orders = T0, []
    for number, (gap, leverage) in enumerate(zip(gaps, leverages, strict=True)):
        now += gap
        orders.append(plain_order("LONG", leverage, 100.0 - number, now, f"o{number}"))
    orders.append(plain_order("FLAT", 0.0, 120.0, now + HOUR, "flat"))
    return position("hk", "BTCUSD", orders, 0.0)


def test_all_three_kinds_of_risk_must_come_together() -> None:
    uneven, even = [0, HOUR, 5 * HOUR, 9 * HOUR], [0, HOUR, HOUR, HOUR]

    assert risk.is_flagged(martingale(uneven, [0.05, 0.05, 0.1, 0.2]))
    assert not risk.is_flagged(martingale(even, [0.05, 0.05, 0.1, 0.2]))
    assert not risk.is_flagged(martingale([0, HOUR], [0.05, 0.05]))
    assert risk.penalty(0.0) == close(1 / (1 + math.exp(-4.8)))
    assert risk.penalty(1.0) == close(1 / (1 + math.exp(-0.8)))


def test_only_whole_days_count_and_belong_to_the_day_they_began_in() -> None:
    cps = checkpoints([0.01, 0.02, 0.03])

    assert [day.number for day in complete_days(cps)] == [T0 // DAY + k for k in range(3)]
    assert [day.date for day in complete_days(cps)] == ["2025-06-02", "2025-06-03", "2025-06-04"]
    assert [day.log_return for day in complete_days(cps)] == close([0.01, 0.02, 0.03])
    assert [day.number for day in complete_days(cps[1:-1])] == [T0 // DAY + 1]


def test_a_forex_pair_skips_the_days_on_which_its_market_is_closed() -> None:
    cps = checkpoints([0.0] * 7)

    assert len(complete_days(cps, "EURUSD")) == 6
    assert len(complete_days(cps, "BTCUSD")) == len(complete_days(cps)) == 7


def test_classes_are_made_from_their_pairs() -> None:
    one, two = checkpoints([0.01, 0.02]), checkpoints([-0.03, 0.04])[4:]
    bundle = {
        PORTFOLIO: Ledger(cps=tuple(checkpoints([9.0, 9.0]))),
        "BTCUSD": Ledger(cps=tuple(one)),
        "O2:FUEL/USDC": Ledger(cps=tuple(two)),
        "EURUSD": Ledger(cps=()),
    }
    days = complete_days(class_checkpoints(bundle, "crypto"))

    assert [day.log_return for day in days] == close([0.01, 0.06])
    assert class_checkpoints(bundle, "forex") == []
    assert [class_of(pair) for pair in ("BTCUSD", "EURUSD", "O2:A/B", "ITHACA:X", "LIMITLESS:Y", "SPX")] == [
        "crypto",
        "forex",
        "crypto",
        "crypto",
        None,
        None,
    ]


def test_a_hotkey_without_anything_can_be_measured() -> None:
    found = measures.measure({}, [])

    assert found.engagement["n_checkpoints"] == 0
    assert found.penalty == close(1 / (1 + math.exp(-4.8)))
    assert found.volatility == {"annual": 100.0, "annual_downside": 100.0}


def test_constants_are_numbers_and_names() -> None:
    shown = printable("8.8.9")

    assert shown["SCORING_PNL_WEIGHT"] == 1.0
    assert shown["DAILY_CHECKPOINTS"] == 4
    assert sum(one["emission"] for one in shown["asset_class_breakdown"].values()) == 1.0
    assert all(isinstance(value, int | float | str | dict) for value in shown.values())
