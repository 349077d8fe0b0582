"""The debt ledger: what is joined, that nothing is invented, and that checkpoints follow each other."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.debt.ledgers import DAY, T0, cp, run
from validator.debt.emissions import Chunk
from validator.debt.join import debt_ledger, debt_summary, joined, without_gaps
from validator.debt.penalty import Values
from validator.debt.penalty_record import History, PenaltyRecord, penalty_ledger
from validator.ledger.checkpoint import SPAN_MS, Checkpoint

HALF_DAY = DAY // 2


def penalties(*changes: tuple[int, Values]) -> History:
    """Values from the end of the nth span on."""
    return History(
        PenaltyRecord(hotkey="a", end_ms=T0 + n * SPAN_MS, span_ms=SPAN_MS, values=values)
        for n, values in changes
    )


FULL = penalties((1, Values()))


def chunk(n: int, length_ms: int = HALF_DAY, **amounts: float) -> Chunk:
    """The nth chunk after T0."""
    start_ms = T0 + n * length_ms
    return Chunk(chunk_start_ms=start_ms, chunk_end_ms=start_ms + length_ms, **amounts)  # type: ignore[arg-type]


def test_without_emissions_a_checkpoint_exists_where_performance_and_penalties_do() -> None:
    late = penalties((3, Values(total=0.5)))
    found = joined(run(5), SPAN_MS, late, [])

    assert [(one.performance.last_update_ms - T0) // SPAN_MS for one in found] == [3, 4, 5]
    row = debt_ledger("a", found)["checkpoints"][0]
    assert set(row["emissions"].values()) == {None}
    assert debt_summary("a", found)["cumulative_emissions_usd"] is None


def test_the_running_span_is_no_checkpoint() -> None:
    running = Checkpoint(last_update_ms=T0 + 3 * SPAN_MS - 5, accum_ms=SPAN_MS - 5)
    assert len(joined([*run(2), running], SPAN_MS, FULL, [])) == 2


def test_derived_figures_follow_the_rules() -> None:
    one = cp(
        T0 + SPAN_MS,
        prev_portfolio_ret=1.25,
        realized_pnl=100.0,
        unrealized_pnl=-30.0,
        spread_fee_loss=-0.001,
        carry_fee_loss=-0.002,
        mdd=0.97,
        mpv=1.3,
        open_ms=5,
        n_updates=7,
    )
    values = Values(
        drawdown=1.0,
        risk_profile=0.9,
        min_collateral=0.01,
        risk_adjusted_performance=0.4,
        total=0.009,
        challenge_period_status="MAINCOMP",
    )
    ledger = debt_ledger("a", joined([one], SPAN_MS, penalties((1, values)), []))

    assert ledger == {
        "hotkey": "a",
        "total_checkpoints": 1,
        "summary": {
            "cumulative_emissions_alpha": None,
            "cumulative_emissions_tao": None,
            "cumulative_emissions_usd": None,
            "portfolio_return": 1.25,
            "weighted_score": 1.25 * 0.009,
            "total_fees": -0.003,
        },
        "checkpoints": [
            {
                "timestamp_ms": T0 + SPAN_MS,
                "timestamp_utc": "2026-02-03T06:00:00+00:00",
                "emissions": {
                    "chunk_alpha": None,
                    "chunk_tao": None,
                    "chunk_usd": None,
                    "avg_alpha_to_tao_rate": None,
                    "avg_tao_to_usd_rate": None,
                    "tao_balance_snapshot": None,
                    "alpha_balance_snapshot": None,
                },
                "performance": {
                    "portfolio_return": 1.25,
                    "realized_pnl": 100.0,
                    "unrealized_pnl": -30.0,
                    "net_pnl": 70.0,
                    "spread_fee_loss": -0.001,
                    "carry_fee_loss": -0.002,
                    "total_fees": -0.003,
                    "max_drawdown": 0.97,
                    "max_portfolio_value": 1.3,
                    "open_ms": 5,
                    "accum_ms": SPAN_MS,
                    "n_updates": 7,
                },
                "penalties": {
                    "drawdown": 1.0,
                    "risk_profile": 0.9,
                    "min_collateral": 0.01,
                    "risk_adjusted_performance": 0.4,
                    "cumulative": 0.009,
                    "challenge_period_status": "MAINCOMP",
                },
                "derived": {"return_after_fees": 1.25, "weighted_score": 1.25 * 0.009},
            }
        ],
    }
    assert debt_ledger("a", []) == {
        "hotkey": "a",
        "total_checkpoints": 0,
        "summary": {},
        "checkpoints": [],
    }


def test_the_summary_has_vantas_fields() -> None:
    found = joined(run(2, prev_portfolio_ret=1.1), SPAN_MS, FULL, [])
    assert debt_summary("a", found) == {
        "hotkey": "a",
        "total_checkpoints": 2,
        "cumulative_emissions_alpha": None,
        "cumulative_emissions_tao": None,
        "cumulative_emissions_usd": None,
        "portfolio_return": 1.1,
        "weighted_score": 1.1,
        "latest_checkpoint_ms": T0 + 2 * SPAN_MS,
        "net_pnl": 0.0,
        "total_fees": 0.0,
    }


def test_chunks_twice_as_long_join_two_spans() -> None:
    cps = [
        cp(T0 + (n + 1) * SPAN_MS, realized_pnl=n, mdd=1 - n / 100, mpv=1 + n / 10, n_updates=1, gain=0.1)
        for n in range(5)
    ]
    found = joined(cps, SPAN_MS, FULL, [chunk(0, chunk_emissions=1.0), chunk(1, chunk_emissions=2.0)])

    assert [one.performance.last_update_ms for one in found] == [T0 + HALF_DAY, T0 + DAY]
    second = found[1].performance
    assert (second.accum_ms, second.realized_pnl, second.n_updates) == (HALF_DAY, 5, 2)
    assert (second.mdd, second.mpv) == (0.97, 1.3)
    assert second.gain == pytest.approx(0.2)
    assert [one.emissions and one.emissions.chunk_emissions for one in found] == [1.0, 2.0]
    assert debt_summary("a", found)["cumulative_emissions_alpha"] == 3.0


def test_chunks_half_as_long_are_added_up() -> None:
    parts = [
        chunk(n, SPAN_MS // 2, chunk_emissions=1.0, avg_tao_to_usd_rate=float(n), chunk_emissions_usd=2.0)
        for n in range(4)
    ]
    parts[3] = Chunk(chunk_start_ms=parts[3].chunk_start_ms, chunk_end_ms=parts[3].chunk_end_ms)
    found = joined(run(2), SPAN_MS, FULL, parts)

    assert [one.emissions.chunk_emissions for one in found if one.emissions] == [2.0, None]
    assert found[0].emissions is not None
    assert found[0].emissions.avg_tao_to_usd_rate == 1.0


def test_chunks_that_fit_no_span_count_as_unknown() -> None:
    length_ms = 4 * 3_600_000
    found = joined(run(4), SPAN_MS, FULL, [chunk(n, length_ms, chunk_emissions=1.0) for n in range(6)])

    assert len(found) == 4
    assert all(one.emissions is None for one in found)


def test_with_emissions_a_checkpoint_exists_only_between_the_first_and_the_last() -> None:
    chunks = [chunk(n, chunk_emissions=1.0) for n in (1, 3)]
    found = joined(run(12), SPAN_MS, FULL, chunks)

    ends = [(one.performance.last_update_ms - T0) // HALF_DAY for one in found]
    assert ends == [2, 3, 4]
    assert [one.emissions is None for one in found] == [False, True, False]  # the hole is not filled in


def test_a_gap_in_the_performance_begins_the_ledger_anew() -> None:
    cps = [*run(3), *run(2, T0 + DAY)]
    found = joined(cps, SPAN_MS, FULL, [])

    assert [one.performance.last_update_ms for one in found] == [T0 + DAY + SPAN_MS, T0 + DAY + 2 * SPAN_MS]


def test_a_penalty_ledger_has_a_checkpoint_for_every_span_with_penalties() -> None:
    history = penalties((2, Values(total=0.9)), (4, Values(total=0.5, challenge_period_status="MAINCOMP")))
    ledger = penalty_ledger("a", [T0 + n * SPAN_MS for n in range(1, 6)], history)

    assert ledger["total_checkpoints"] == 4
    assert [row["total_penalty"] for row in ledger["checkpoints"]] == [0.9, 0.9, 0.5, 0.5]
    assert ledger["checkpoints"][-1] == {
        "last_processed_ms": T0 + 5 * SPAN_MS,
        "drawdown_penalty": 1.0,
        "risk_profile_penalty": 1.0,
        "min_collateral_penalty": 1.0,
        "risk_adjusted_performance_penalty": 1.0,
        "total_penalty": 0.5,
        "challenge_period_status": "MAINCOMP",
    }


spans = st.lists(st.tuples(st.booleans(), st.floats(0.5, 2), st.floats(-1e6, 1e6)), min_size=1, max_size=40)
paid = st.lists(st.tuples(st.booleans(), st.none() | st.floats(0, 1e6)), max_size=25)


@given(spans, paid, st.sampled_from([SPAN_MS // 2, SPAN_MS, HALF_DAY, DAY]), st.integers(1, 10))
def test_a_debt_ledger_is_contiguous_and_adds_up(
    steps: list[tuple[bool, float, float]],
    amounts: list[tuple[bool, float | None]],
    length_ms: int,
    first: int,
) -> None:
    """Whatever is missing where: equal steps in time, on multiples of their length, and no invented sums."""
    cps = [
        cp(T0 + (n + 1) * SPAN_MS, prev_portfolio_ret=ret, realized_pnl=pnl)
        for n, (is_there, ret, pnl) in enumerate(steps)
        if is_there
    ]
    chunks = [
        chunk(n, length_ms, **({} if amount is None else {"chunk_emissions": amount}))
        for n, (is_there, amount) in enumerate(amounts)
        if is_there
    ]
    found = joined(cps, SPAN_MS, penalties((first, Values(total=0.5))), chunks)
    ledger: dict[str, Any] = debt_ledger("a", found)
    longest_ms = max(SPAN_MS, length_ms) if chunks else SPAN_MS

    times = [row["timestamp_ms"] for row in ledger["checkpoints"]]
    assert all(later - one == longest_ms for one, later in pairwise(times))
    assert all(ms % longest_ms == 0 for ms in times)
    assert all(ms >= T0 + first * SPAN_MS for ms in times)
    told = [row["emissions"]["chunk_alpha"] for row in ledger["checkpoints"]]
    known = [value for value in told if value is not None]
    if ledger["checkpoints"]:
        total = ledger["summary"]["cumulative_emissions_alpha"]
        assert total == (math.fsum(known) if known else None)
        whole = math.fsum(amount for is_there, amount in amounts if is_there and amount is not None)
        assert total is None or total <= whole + 1e-6
    for row in ledger["checkpoints"]:
        performance = row["performance"]
        assert row["derived"]["weighted_score"] == performance["portfolio_return"] * 0.5
        assert performance["net_pnl"] == performance["realized_pnl"] + performance["unrealized_pnl"]
        assert performance["accum_ms"] == longest_ms


@given(st.lists(st.integers(0, 60), unique=True))
def test_without_gaps_keeps_the_newest_run(ends: list[int]) -> None:
    cps = [cp(n * SPAN_MS) for n in sorted(ends)]
    kept = without_gaps(cps, SPAN_MS)

    assert kept == cps[len(cps) - len(kept) :]
    if len(kept) < len(cps):
        assert kept[0].last_update_ms - cps[len(cps) - len(kept) - 1].last_update_ms > SPAN_MS
