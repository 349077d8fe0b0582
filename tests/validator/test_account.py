"""An account in figures: balances, buying power, drawdowns, leverage tiers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest_server.world import ACCOUNT_SIZE, HOUR, fill, position
from validator.account import account_size_data, drawdown, equity_of, volume_of
from validator.ledger.checkpoint import DAY_MS, SPAN_MS, Checkpoint
from validator.leverage import PORTFOLIO, pair_multiple, portfolio_multiple, tier_of
from vanta_api.records import Position

MIDNIGHT = 1_750_032_000_000 // DAY_MS * DAY_MS
NOW = MIDNIGHT + 5 * HOUR


def lost(usd: float) -> Position:
    """A closed position that lost so much, and paid 10 USD of fees."""
    orders = [fill("l1", 100, 100.0, NOW - 9 * HOUR), fill("l2", 0, 100.0 - usd / 100, NOW - 8 * HOUR)]
    return position("a", orders, fees="10")


def opened() -> Position:
    return position("a", [fill("o1", 10, 100.0, NOW - HOUR)])


def evening(end_ms: int, equity: float) -> Checkpoint:
    return Checkpoint(last_update_ms=end_ms, accum_ms=SPAN_MS, equity_ret=equity)


def test_the_balance_is_the_size_and_what_was_realised_less_fees() -> None:
    found = account_size_data([lost(500.0), opened()], ACCOUNT_SIZE, 2.0)

    assert found.total_realized_pnl == pytest.approx(-500.0)
    assert found.capital_used == 1000.0
    assert found.balance == pytest.approx(ACCOUNT_SIZE - 510.0)
    assert found.buying_power == pytest.approx(2 * (ACCOUNT_SIZE - 510.0) - 1000.0)
    assert found.max_return == 1.0


def test_drawdowns_are_measured_from_this_morning_and_from_the_best_evening() -> None:
    account = account_size_data([lost(500.0)], ACCOUNT_SIZE, 1.0)
    evenings = [evening(MIDNIGHT - DAY_MS, 1.10), evening(MIDNIGHT - SPAN_MS, 1.5), evening(MIDNIGHT, 1.05)]
    found = drawdown([lost(500.0)], account, evenings, 0.1, NOW)

    assert found.current_equity == found.current_balance == pytest.approx(0.9949)
    assert (found.daily_open_equity, found.eod_hwm, found.last_eod_equity) == (1.05, 1.10, 1.05)
    assert found.intraday_drawdown_pct == pytest.approx(100 * (1.05 - 0.9949) / 1.05)
    assert found.eod_drawdown_pct == pytest.approx(100 * 0.05 / 1.10)
    assert found.static_drawdown_pct == pytest.approx(0.51)
    assert found.static_eod_drawdown_pct == 0.0
    assert found.current_return == pytest.approx(-0.0051)
    assert found.intraday_drawdown_threshold == 0.1
    assert found.criteria == "trailing"


def test_without_an_evening_everything_is_measured_from_the_start() -> None:
    account = account_size_data([], ACCOUNT_SIZE, 1.0)
    found = drawdown([], account, [evening(MIDNIGHT + SPAN_MS, 0.5)], 0.1, NOW)

    assert (found.daily_open_equity, found.eod_hwm, found.last_eod_equity) == (1.0, 1.0, 1.0)
    assert (found.intraday_drawdown_pct, found.eod_drawdown_pct) == (0.0, 0.0)


@pytest.mark.parametrize("size", [0.0, 5e-324, 1e308])
def test_no_account_size_makes_figures_that_are_none(size: float) -> None:
    held = [lost(500.0), opened()]
    account = account_size_data(held, size, 24.0)
    found = drawdown(held, account, [], 0.1, NOW)

    for figure in (account.balance, account.buying_power, found.current_equity, found.intraday_drawdown_pct):
        assert figure == figure
        assert abs(figure) != float("inf")


def test_an_equity_that_is_not_known_follows_from_the_ledgers_totals() -> None:
    one = Checkpoint(
        last_update_ms=MIDNIGHT,
        prev_portfolio_realized_pnl=300.0,
        prev_portfolio_unrealized_pnl=-100.0,
        cumulative_fees_usd=50.0,
    )
    assert equity_of(one, 1000.0) == 1.15


def test_volume_counts_every_order() -> None:
    assert volume_of([opened(), opened()]) == 2000.0


@pytest.mark.parametrize(
    ("bucket", "size", "tier"),
    [
        ("SUBACCOUNT_CHALLENGE", 5_000_000.0, 1),
        ("PRO_CHALLENGE_DIRECT", 10.0, 1),
        ("SUBACCOUNT_FUNDED", 199_999.0, 2),
        (None, 200_000.0, 3),
        ("MAINCOMP", 999_999.0, 3),
        ("MAINCOMP", 1_000_000.0, 4),
    ],
)
def test_leverage_tiers(bucket: str | None, size: float, tier: int) -> None:
    assert tier_of(bucket, size) == tier


def test_multiples_by_tier_and_class() -> None:
    multiples: dict[str, Any] = {
        name: [portfolio_multiple(name, n) for n in (1, 2, 3, 4)] for name in PORTFOLIO
    }

    assert multiples["hl_all"] == [4.0, 7.0, 10.0, 12.0]
    assert all(found == sorted(found) for found in multiples.values())
    assert [pair_multiple(n) for n in (1, 2, 3, 4)] == [0.5, 1.0, 1.5, 2.0]
    assert portfolio_multiple("CRYPTO", 2) == 2.0
    assert portfolio_multiple(None, 4) == portfolio_multiple("gold", 1) == 1.0
