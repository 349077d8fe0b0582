"""The formulas of penalties, against independent calculations, and what may enter them."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.debt.ledgers import DAY, T0, bundle, cp, run
from tests.validator.make import HOUR, pair, plain_order
from validator.debt.penalty import PERFORMANCE_UNTIL_MS, Penalties, Terms, Thresholds
from validator.ledger.checkpoint import SPAN_MS, Checkpoint
from validator.positions import rebuild
from vanta_api.records import Order, Position

NONE = Terms()
GOOD_RISK = 1 / (1 + math.exp(4 * (0 - 1.2)))  # the risk profile of who never was reckless


def orders(*steps: tuple[str, float, float, int]) -> list[Order]:
    """Kind, leverage, price and hours after T0."""
    return [
        plain_order(kind, price, T0 + hour * HOUR, leverage=leverage, order_uuid=f"o{n}")
        for n, (kind, leverage, price, hour) in enumerate(steps)
    ]


def position(*steps: tuple[str, float, float, int]) -> Position:
    made = orders(*steps)
    return rebuild("a", made, pair("BTCUSD"), 100_000.0, position_uuid=f"p{made[0].processed_ms}")


# Adds to a losing long three times, ever more, at uneven times; closed at a loss at 50 h.
RECKLESS = (
    ("LONG", 0.05, 100.0, 1),
    ("LONG", 0.06, 95.0, 2),
    ("LONG", 0.08, 90.0, 12),
    ("LONG", 0.1, 85.0, 14),
    ("FLAT", 0.0, 80.0, 50),
)
CALM = (("LONG", 0.1, 100.0, 3), ("FLAT", 0.0, 101.0, 5))


def test_every_whole_span_has_penalties_and_the_running_one_has_not() -> None:
    cps = [*run(3), Checkpoint(last_update_ms=T0 + 4 * SPAN_MS - 1, accum_ms=SPAN_MS - 1)]
    assert Penalties(bundle(cps), []).ends() == [T0 + n * SPAN_MS for n in (1, 2, 3)]
    assert Penalties({}, []).ends() == []


@pytest.mark.parametrize(("mdd", "expected"), [(0.9001, 1.0), (0.9, 0.0), (0.5, 0.0), (1.0, 1.0)])
def test_a_drawdown_of_ten_per_cent_ends_everything(mdd: float, expected: float) -> None:
    cps = [cp(T0 + SPAN_MS), cp(T0 + 2 * SPAN_MS, mdd=mdd), cp(T0 + 3 * SPAN_MS)]
    penalties = Penalties(bundle(cps), [])

    found = [penalties.at(T0 + n * SPAN_MS, NONE).drawdown for n in (1, 2, 3)]
    assert found == [1.0, expected, expected]
    assert penalties.at(T0 + 3 * SPAN_MS, NONE).total == pytest.approx(expected * GOOD_RISK)


def test_the_threshold_is_configurable() -> None:
    cps = [cp(T0 + SPAN_MS, mdd=0.94)]
    strict = Penalties(bundle(cps), [], Thresholds(drawdown_percent=5))
    assert strict.at(T0 + SPAN_MS, NONE).drawdown == 0.0


@pytest.mark.parametrize(
    ("usd", "expected"), [(None, 1.0), (149_999.99, 0.01), (150_000.0, 1.0), (0.0, 0.01)]
)
def test_too_little_collateral_leaves_a_hundredth(usd: float | None, expected: float) -> None:
    values = Penalties(bundle(run(1)), []).at(T0 + SPAN_MS, Terms(collateral_usd=usd))
    assert values.min_collateral == expected
    assert values.total == pytest.approx(expected * GOOD_RISK)


def test_a_subaccounts_total_is_never_reduced() -> None:
    terms = Terms(collateral_usd=0.0, is_subaccount=True, status="SUBACCOUNT_CHALLENGE")
    values = Penalties(bundle([cp(T0 + SPAN_MS, mdd=0.5)]), []).at(T0 + SPAN_MS, terms)

    assert (values.drawdown, values.min_collateral, values.total) == (0.0, 0.01, 1.0)
    assert values.challenge_period_status == "SUBACCOUNT_CHALLENGE"


def test_recklessness_counts_from_the_order_that_shows_it() -> None:
    penalties = Penalties(bundle(run(12)), [position(*RECKLESS), position(*CALM)])
    found = [penalties.at(T0 + hour * HOUR, NONE).risk_profile for hour in (6, 12, 18, 48, 54)]

    assert found[0] == pytest.approx(GOOD_RISK)
    assert found[1] < GOOD_RISK  # two new heights while losing
    assert found[4] < GOOD_RISK
    lost = position(*RECKLESS).return_at_close
    won = position(*CALM).return_at_close
    share = lost**100 / (lost**100 + won**100)
    assert found[4] == pytest.approx(1 / (1 + math.exp(4 * (share - 1.2))))


def test_orders_after_the_span_do_not_enter() -> None:
    """The same as if the later orders had never been placed."""
    whole = Penalties(bundle(run(12)), [position(*RECKLESS), position(*CALM)])
    for hour in range(6, 60, 6):
        kept = [steps[: sum(step[3] <= hour for step in steps)] for steps in (RECKLESS, CALM)]
        then = [position(*steps) for steps in kept if steps]
        alone = Penalties(bundle(run(12)), then)
        end_ms = T0 + hour * HOUR
        assert whole.at(end_ms, NONE) == alone.at(end_ms, NONE)


def series(days: int, seed: int) -> list[Checkpoint]:
    """Days of four spans each, with small gains and losses."""
    found = []
    for n in range(days * 4):
        step = ((n * 7919 + seed * 104729) % 1000 - 480) / 100_000
        found.append(cp(T0 + (n + 1) * SPAN_MS, gain=max(step, 0), loss=min(step, 0), mdd=0.97, n_updates=1))
    return found


def independent(cps: list[Checkpoint], year: int, ratios: dict[str, float]) -> float:
    """The penalty for risk-adjusted performance, from its formulas."""
    days = [sum(one.gain + one.loss for one in cps[n : n + 4]) for n in range(0, len(cps) // 4 * 4, 4)]
    mean = statistics.fmean(days)
    excess = mean * year - 0.0389
    below = [x for x in days if x < math.log(1.0389) / year]
    deviation = math.sqrt(statistics.pvariance(days) * year)
    downside = math.sqrt(statistics.pvariance(below) * year) if len(below) > 1 else math.inf
    lost = 100 * (1 - min(one.mdd for one in cps))
    found = {
        "sharpe": excess / max(deviation, 0.01),
        "sortino": excess / max(downside, 0.01),
        "calmar": mean * year * 100 / lost if 0 < lost < 10 else 0.0,
        "omega": sum(x for x in days if x > 0) / max(abs(sum(x for x in days if x <= 0)), 0.01),
    }
    if len(days) < 60:
        found = {"sharpe": -100.0, "sortino": -100.0, "calmar": -100.0, "omega": 0.0}
    reached = sum(min(value, 10.0) for value in found.values()) / 4 / (sum(ratios.values()) / 4)
    exponent = max(-100.0, min(100.0, -14 * (reached - 0.6)))
    return 0.2 + 0.8 / (1 + math.exp(exponent))


CRYPTO = {"sharpe": 1.0, "sortino": 1.0, "calmar": 2.0, "omega": 1.4}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("days", [10, 59, 60, 90])
def test_risk_adjusted_performance_follows_its_formula(seed: int, days: int) -> None:
    cps = series(90, seed)
    end_ms = T0 + days * DAY
    terms = Terms(asset_class="crypto")
    values = Penalties(bundle(run(360), BTCUSD=cps), []).at(end_ms, terms)

    expected = independent(cps[: days * 4], 365, CRYPTO)
    assert values.risk_adjusted_performance == pytest.approx(expected, abs=1e-9)
    assert 0.2 <= values.risk_adjusted_performance <= 1.0


def test_performance_is_0_without_a_class_and_none_in_classes_that_are_not_judged() -> None:
    penalties = Penalties(bundle(run(4), BTCUSD=run(4)), [])
    by_class = {
        name: penalties.at(T0 + DAY, Terms(asset_class=name)).risk_adjusted_performance
        for name in (None, "equities", "forex", "crypto")
    }

    assert (by_class[None], by_class["equities"], by_class["forex"]) == (0.0, 1.0, 1.0)  # no forex was traded
    assert by_class["crypto"] == pytest.approx(0.2, abs=1e-6)  # less than 60 days


def test_performance_is_part_of_the_total_until_february_2026() -> None:
    for start_ms, counts in ((PERFORMANCE_UNTIL_MS - DAY, True), (PERFORMANCE_UNTIL_MS, False)):
        cps = run(1, start_ms)
        values = Penalties(bundle(cps), []).at(start_ms + SPAN_MS, NONE)
        assert (values.total == 0.0) is counts


@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(-0.1, 0.1)), min_size=1, max_size=40),
    st.sampled_from([None, "crypto", "forex", "indices"]),
    st.none() | st.floats(0, 1e6),
)
def test_penalties_are_multipliers_and_never_look_ahead(
    steps: list[tuple[float, float]], asset_class: str | None, usd: float | None
) -> None:
    """Between 0 and 1 each, and what comes later changes none of them."""
    cps = [
        cp(T0 + (n + 1) * SPAN_MS, mdd=mdd, gain=max(step, 0), loss=min(step, 0))
        for n, (mdd, step) in enumerate(steps)
    ]
    terms = Terms(asset_class=asset_class, collateral_usd=usd)
    whole = Penalties(bundle(cps, BTCUSD=cps), [position(*RECKLESS)])
    for n in range(1, len(cps) + 1):
        end_ms = T0 + n * SPAN_MS
        values = whole.at(end_ms, terms)
        assert values == Penalties(bundle(cps[:n], BTCUSD=cps[:n]), [position(*RECKLESS)]).at(end_ms, terms)
        for value in (values.drawdown, values.risk_profile, values.min_collateral, values.total):
            assert 0.0 <= value <= 1.0
