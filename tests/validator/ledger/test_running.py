"""The identities of a checkpoint, for any values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.ledger.checkpoint import (
    DAY_MS,
    LEAST,
    MOST,
    SPAN_MS,
    Checkpoint,
    Ledger,
    highest,
    trimmed,
    void_after,
    within_window,
)
from validator.ledger.curve import NOTHING
from validator.ledger.running import Running, Standing, clamped

T0 = 1_748_822_400_000
SEED_SAMPLE = [
    Checkpoint(
        accum_ms=21600000,
        gain=0.12586433994869853,
        last_update_ms=1714161050595,
        loss=-0.12587360888356938,
        n_updates=17213,
        open_ms=21599768,
        prev_portfolio_ret=0.9999907311080851,
    ),
    Checkpoint(
        accum_ms=21600000,
        gain=0.017040557887505504,
        last_update_ms=1714182650595,
        loss=-0.016984326534111933,
        n_updates=2219,
        open_ms=21599768,
        prev_portfolio_ret=1.0000469635212756,
    ),
]
values = st.floats(0.2, 3.0)
spans = st.lists(st.lists(values, max_size=30), min_size=1, max_size=6)


def run(values_by_span: list[list[float]]) -> list[tuple[Checkpoint, Standing]]:
    """Checkpoints of consecutive spans with these values at their ticks."""
    standing, made = Standing(initialization_time_ms=T0), []
    for number, found in enumerate(values_by_span):
        running = Running(standing)
        running.follow([(T0 + number * SPAN_MS + 60_000 * (k + 1), value) for k, value in enumerate(found)])
        standing = running.standing(NOTHING, 0.0, None, NOTHING)
        made.append((running.checkpoint(standing, T0 + (number + 1) * SPAN_MS, SPAN_MS, 0), standing))
    return made


@given(spans)
def test_returns_are_what_gains_and_losses_add_up_to(values_by_span: list[list[float]]) -> None:
    total = 0.0
    for checkpoint, _ in run(values_by_span):
        total += checkpoint.gain + checkpoint.loss
        assert checkpoint.prev_portfolio_ret == pytest.approx(math.exp(total), rel=1e-12)
        assert checkpoint.gain >= 0 >= checkpoint.loss


@given(spans)
def test_drawdown_and_peak_are_those_of_the_whole_history(values_by_span: list[list[float]]) -> None:
    seen, before = [1.0], 1.0
    for found, (checkpoint, standing) in zip(values_by_span, run(values_by_span), strict=True):
        drawdowns = [before / max(seen)]
        for value in found:
            seen.append(value)
            drawdowns.append(value / max(seen))
        assert checkpoint.mdd == min(drawdowns)
        assert checkpoint.mpv == max([before, *found])
        assert standing.max_return == max(seen)
        before = found[-1] if found else before


@given(spans)
def test_updates_count_the_ticks_that_changed_something(values_by_span: list[list[float]]) -> None:
    before = 1.0
    for found, (checkpoint, _) in zip(values_by_span, run(values_by_span), strict=True):
        changes = 0
        for value in found:
            changes, before = changes + (value != before), value
        assert checkpoint.n_updates == changes


@given(spans)
def test_a_span_without_values_is_the_void_after_the_one_before(values_by_span: list[list[float]]) -> None:
    *_, (last, standing), (empty, _) = run([*values_by_span, []])

    assert empty == void_after(last, standing.max_return, SPAN_MS)


def test_the_documented_checkpoints_agree_with_the_identity() -> None:
    total = 0.0
    for checkpoint in SEED_SAMPLE:
        total += checkpoint.gain + checkpoint.loss
        assert math.exp(total) == pytest.approx(checkpoint.prev_portfolio_ret, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-300, math.nan, math.inf, -math.inf, 1e300])
def test_nonsense_never_leaves_the_range_of_logarithms(value: float) -> None:
    running = Running(Standing(initialization_time_ms=T0))
    running.follow([(T0, value), (T0 + 1, 1.0)])

    assert clamped(value) in (LEAST, MOST)
    assert all(map(math.isfinite, (running.gain, running.loss, running.mdd, running.ret)))
    assert running.gain + running.loss == pytest.approx(0.0, abs=1e-9)


def ledger(count: int, **fields: object) -> Ledger:
    cps = tuple(
        Checkpoint(
            last_update_ms=T0 + (k + 1) * SPAN_MS,
            accum_ms=SPAN_MS,
            mpv=1.0 + k / 100,
            prev_portfolio_ret=1.0,
        )
        for k in range(count)
    )
    return Ledger(cps=cps, max_return=highest(cps), **fields)  # type: ignore[arg-type]


def test_the_oldest_checkpoints_leave_the_window() -> None:
    kept = within_window(ledger(20, target_ledger_window_ms=2 * DAY_MS))

    assert len(kept.cps) == 8
    assert kept.cps[-1].last_update_ms == T0 + 20 * SPAN_MS
    assert within_window(kept) is kept


def test_trimming_drops_what_ends_at_the_cut_or_later_and_knows_only_the_peaks_that_stay() -> None:
    whole = ledger(8)
    cut = trimmed(whole, T0 + 5 * SPAN_MS)

    assert [one.last_update_ms for one in cut.cps] == [T0 + k * SPAN_MS for k in range(1, 5)]
    assert cut.max_return == 1.03
    assert trimmed(whole, T0 + 9 * SPAN_MS) is whole
    assert trimmed(whole, T0).max_return == 1.0
