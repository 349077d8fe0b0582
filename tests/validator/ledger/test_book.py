"""Ledgers of many hotkeys: equal to an independent recomputation, and exact after any crash."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from journal.entry import LEDGER, POSITIONS, Draft
from tests.validator.ledger.dense import checkpoints
from tests.validator.ledger.stage import RULES, Event, Stage, minutes
from tests.validator.ledger.world import (
    DAY,
    HOUR,
    MINUTE,
    T0,
    VANTA_PAIRS,
    VENUE_PAIRS,
    MinuteMarks,
    history,
    order,
    position,
    walk,
)
from validator.ledger.account import Rules
from validator.ledger.checkpoint import PORTFOLIO, Ledger
from validator.ledger.record import THROUGH_KEY
from vanta_api.records import Position

SEED = 20250603


def last_of_each(events: Sequence[Event], hotkey: str, before_ms: int) -> list[Position]:
    """A hotkey's positions as they were known before a time."""
    known = {one.position_uuid: one for ms, one in events if one.miner_hotkey == hotkey and ms < before_ms}
    return list(known.values())


def assert_equal(
    ledger: Ledger, positions: Sequence[Position], stage: Stage, *, always_open: bool = True
) -> None:
    """The ledger says what a recomputation from the positions and marks says."""
    assert stage.book.through_ms is not None
    expected = checkpoints(positions, stage.marks, stage.rules.span_ms, stage.book.through_ms)  # type: ignore[arg-type]

    assert [one.last_update_ms for one in ledger.cps] == [one.end_ms for one in expected]
    for got, want in zip(ledger.cps, expected, strict=True):
        assert got.prev_portfolio_ret == pytest.approx(want.ret, rel=1e-9)
        assert got.gain == pytest.approx(want.gain, abs=1e-9)
        assert got.loss == pytest.approx(want.loss, abs=1e-9)
        assert got.mdd == pytest.approx(want.mdd, rel=1e-9)
        assert got.mpv == pytest.approx(want.mpv, rel=1e-9)
        assert got.prev_portfolio_realized_pnl == pytest.approx(want.realized, rel=1e-9, abs=1e-6)
        assert got.unrealized_pnl == pytest.approx(want.unrealized, rel=1e-9, abs=1e-6)
        assert got.accum_ms == stage.rules.span_ms
        if always_open:
            assert got.open_ms == want.open_ms
            assert got.n_updates == want.n_updates


@pytest.mark.parametrize("hours", [6, 12])
def test_a_ledger_kept_minute_by_minute_is_what_a_recomputation_finds(hours: int) -> None:
    rng, end = Random(SEED), T0 + 5 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS, T0, end)
    stage = Stage(marks, Rules(hours * HOUR, 120 * DAY, 24 * HOUR))
    stage.play(events, minutes(T0, end))
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    positions = last_of_each(events, "hk", end)
    assert_equal(bundle[PORTFOLIO], positions, stage)
    for pair in VENUE_PAIRS:
        assert_equal(bundle[pair], [one for one in positions if one.trade_pair[0] == pair], stage)


def test_positions_without_a_venue_are_kept_with_modelled_fees() -> None:
    rng, end = Random(SEED + 1), T0 + 6 * DAY
    marks = walk(rng, VANTA_PAIRS, T0, end)
    events = history(rng, marks, "hk", VANTA_PAIRS, T0, end)
    stage = Stage(marks)
    stage.play(events, minutes(T0, end, 10 * MINUTE))
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    assert any(one.carry_fee_loss < 0 for one in bundle["BTCUSD"].cps)
    assert_equal(bundle[PORTFOLIO], last_of_each(events, "hk", end), stage, always_open=False)
    weekend = next(one for one in bundle["EURUSD"].cps if one.start_ms == T0 + 5 * DAY)  # a Saturday
    assert weekend.open_ms == 0


def test_the_portfolio_is_the_product_of_its_pairs() -> None:
    rng, end = Random(SEED + 2), T0 + 4 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    stage = Stage(marks)
    stage.play(history(rng, marks, "hk", VENUE_PAIRS, T0, end), minutes(T0, end, HOUR))
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    for checkpoint in bundle[PORTFOLIO].cps:
        product, realized = 1.0, 0.0
        for pair in VENUE_PAIRS:
            found = [one for one in bundle[pair].cps if one.last_update_ms == checkpoint.last_update_ms]
            product *= found[0].prev_portfolio_ret if found else 1.0
            realized += found[0].realized_pnl if found else 0.0
        assert checkpoint.prev_portfolio_ret == pytest.approx(product, rel=1e-12)
        assert checkpoint.realized_pnl == pytest.approx(realized, abs=1e-9)


def test_how_often_the_book_looks_makes_no_difference() -> None:
    rng, end = Random(SEED + 3), T0 + 3 * DAY
    marks = walk(rng, (*VENUE_PAIRS, *VANTA_PAIRS), T0, end)
    events = history(rng, marks, "hk", (*VENUE_PAIRS, *VANTA_PAIRS), T0, end)
    found = []
    for step in (MINUTE, 7 * MINUTE, 6 * HOUR, 3 * DAY):
        stage = Stage(marks)
        stage.play(events, [*range(T0 + step, end, step), end])
        found.append(stage.latest(but=THROUGH_KEY))

    assert found[0]
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("number", range(6))
def test_killed_at_random_it_writes_what_an_uninterrupted_one_writes(number: int) -> None:
    rng, end = Random(SEED + 10 + number), T0 + 2 * DAY
    pairs = (*VENUE_PAIRS[:2], "BTCUSD")
    marks = walk(rng, pairs, T0, end)
    events = sorted(
        (one for n in range(4) for one in history(rng, marks, f"hk{n}", pairs, T0, end)),
        key=lambda one: one[0],
    )
    calm, wild = Stage(marks), Stage(marks, killer=Random(SEED + number), odds=0.04)
    for stage in (calm, wild):
        stage.play(events, minutes(T0, end, 5 * MINUTE))

    assert wild.kills > 15, f"seed {SEED + number}"
    assert wild.entries(POSITIONS) == calm.entries(POSITIONS)
    assert [(one.key, one.body) for one in wild.entries()] == [(one.key, one.body) for one in calm.entries()]


@pytest.mark.parametrize("hours", [1, 9, 30])
def test_after_a_downtime_it_writes_what_it_would_have_written(hours: int) -> None:
    rng, end = Random(SEED + 20), T0 + 3 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS, T0, end)
    awake, asleep = Stage(marks), Stage(marks)
    gap_ms = T0 + DAY + 100 * MINUTE
    awake.play(events, minutes(T0, end, 10 * MINUTE))
    ticks = [tick for tick in minutes(T0, end, 10 * MINUTE) if not gap_ms < tick < gap_ms + hours * HOUR]
    asleep.play(events, ticks)
    asleep.book = asleep._boot()

    assert asleep.latest(but=THROUGH_KEY) == awake.latest(but=THROUGH_KEY)


def late(events: Sequence[Event], delays: dict[int, int]) -> list[Event]:
    """The same events, some of them seen later: index → delay in ms."""
    moved = [(ms + delays.get(index, 0), one) for index, (ms, one) in enumerate(events)]
    return sorted(moved, key=lambda one: one[0])


def test_an_order_that_turns_up_late_corrects_what_was_finished() -> None:
    rng, end = Random(SEED + 30), T0 + 3 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS, T0, end)
    delays = {index: rng.randrange(20 * HOUR) for index in range(0, len(events), 5)}
    prompt, tardy = Stage(marks), Stage(marks)
    prompt.play(events, minutes(T0, end + DAY, 10 * MINUTE))
    in_order = late(events, delays)
    newest: dict[str, Position] = {}
    for index, (ms, one) in enumerate(in_order):  # a record never says less than an earlier one
        known = newest.get(one.position_uuid)
        if known is not None and len(known.orders) > len(one.orders):
            in_order[index] = (ms, known)
        newest[one.position_uuid] = in_order[index][1]
    tardy.play(in_order, minutes(T0, end + DAY, 10 * MINUTE))

    assert len(tardy.entries()) > len(prompt.entries())
    assert tardy.latest(but=THROUGH_KEY) == prompt.latest(but=THROUGH_KEY)


def lone(ms: int, closed_ms: int, uuid: str, pair: str = "O2:FUEL/USDC", exit_price: str = "110") -> Position:
    """A position of 100 units from 100 to another price."""
    return position(
        "hk",
        pair,
        [
            order(pair, "100", "100", ms, uuid),
            order(pair, "-100", exit_price, closed_ms, f"{uuid}x", flat=True),
        ],
    )


def test_an_order_from_before_the_correction_counts_from_the_first_open_span_on() -> None:
    stage = Stage(MinuteMarks())
    early = lone(T0 + HOUR, T0 + 2 * HOUR, "a")
    stage.play([(early.open_ms, early)], minutes(T0, T0 + 4 * DAY, HOUR))
    before = stage.latest(but=THROUGH_KEY)
    stage.append(lone(T0 + 3 * HOUR, T0 + 4 * HOUR, "b"))
    stage.play([], minutes(T0 + 4 * DAY, T0 + 5 * DAY, HOUR))
    after = stage.latest(but=THROUGH_KEY)
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    assert {key: after[key] for key in before} == before
    assert [one.prev_portfolio_ret for one in bundle[PORTFOLIO].cps][:12] == [1.01] * 12
    assert bundle[PORTFOLIO].cps[-1].prev_portfolio_ret == pytest.approx(1.01 * 1.01)
    total = sum(one.gain + one.loss for one in bundle[PORTFOLIO].cps)
    assert bundle[PORTFOLIO].cps[-1].prev_portfolio_ret == pytest.approx(2.718281828459045**total)


def test_an_order_taken_back_leaves_a_void_where_it_was() -> None:
    stage = Stage(MinuteMarks())
    stage.append(lone(T0 + HOUR, T0 + 2 * HOUR, "keep"))
    stage.append(lone(T0 + 7 * HOUR, T0 + 8 * HOUR, "gone"))
    stage.turn(T0 + 13 * HOUR)
    written = len(stage.entries())
    facts = lone(T0 + 7 * HOUR, T0 + 8 * HOUR, "gone")
    stage.append(
        Position(
            miner_hotkey="hk",
            position_uuid="gone",
            open_ms=facts.open_ms,
            trade_pair=facts.trade_pair,
            close_ms=facts.close_ms,
            is_closed_position=True,
            venue=facts.venue,
        )
    )
    stage.turn(T0 + 13 * HOUR)
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    assert [one.prev_portfolio_ret for one in bundle[PORTFOLIO].cps] == [1.01, 1.01]
    assert len(stage.entries()) == written + 1


def test_quiet_spans_are_not_written_and_read_as_voids() -> None:
    stage = Stage(MinuteMarks())
    stage.append(lone(T0 + HOUR, T0 + 2 * HOUR, "a", exit_price="90"))
    stage.turn(T0 + 10 * DAY)
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    assert [entry.key for entry in stage.entries() if entry.key != THROUGH_KEY] == [
        "perf|hk|6h|" + key_slot()
    ]
    cps = bundle[PORTFOLIO].cps
    assert len(cps) == 40
    assert [one.start_ms for one in cps[1:]] == [one.last_update_ms for one in cps[:-1]]
    assert {(one.open_ms, one.n_updates, one.gain, one.mdd, one.mpv) for one in cps[1:]} == {
        (0, 0, 0.0, 0.99, 0.99)
    }


def key_slot() -> str:
    return str((T0 + 6 * HOUR) // (6 * HOUR) % 484)


def test_without_marks_the_price_of_the_last_order_stands_in() -> None:
    stage = Stage(MinuteMarks())
    opened = position("hk", "O2:FUEL/USDC", [order("O2:FUEL/USDC", "100", "100", T0 + HOUR, "a", fee="50")])
    stage.append(opened)
    stage.turn(T0 + 12 * HOUR)
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    assert [one.prev_portfolio_ret for one in bundle[PORTFOLIO].cps] == [0.9995, 0.9995]
    assert [one.open_ms for one in bundle[PORTFOLIO].cps] == [5 * HOUR, 6 * HOUR]
    assert bundle[PORTFOLIO].last_known_prices == {}


def test_a_hotkey_that_is_seen_late_gets_its_whole_history() -> None:
    stage = Stage(MinuteMarks())
    stage.append(lone(T0, T0 + HOUR, "other"))
    stage.turn(T0 + 20 * DAY)
    record = lone(T0 + DAY, T0 + 15 * DAY, "new")
    stage.append(_of("late", record))
    stage.turn(T0 + 20 * DAY + MINUTE)
    bundle = stage.ledgers().bundle("late")

    assert bundle is not None
    assert bundle[PORTFOLIO].cps[0].start_ms == T0 + DAY
    assert len(bundle[PORTFOLIO].cps) == 19 * 4
    assert bundle[PORTFOLIO].cps[-1].prev_portfolio_ret == 1.1 - 0.09


def _of(hotkey: str, record: Position) -> Position:
    return position(hotkey, record.trade_pair[0], record.orders, record.account_size)


def closed_only(events: Sequence[Event]) -> list[Event]:
    """Without the positions that stay open."""
    closed = {one.position_uuid for _, one in events if one.is_closed_position}
    return [(ms, one) for ms, one in events if one.position_uuid in closed]


SHORT = Rules(span_ms=6 * HOUR, window_ms=2 * DAY, correction_ms=12 * HOUR)


def test_what_leaves_the_window_keeps_counting_in_the_value() -> None:
    rng, end = Random(SEED + 40), T0 + 9 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS[:2], T0, end)
    events += closed_only(history(rng, marks, "hk", VENUE_PAIRS[2:], T0, T0 + 2 * DAY))  # then silent
    events.sort(key=lambda one: one[0])
    short, long = Stage(marks, SHORT), Stage(marks)
    for stage in (short, long):
        stage.play(events, minutes(T0, end, HOUR))
    windowed, whole = short.ledgers().bundle("hk"), long.ledgers().bundle("hk")

    assert windowed is not None
    assert whole is not None
    assert VENUE_PAIRS[2] not in windowed
    assert len(windowed[PORTFOLIO].cps) == 8
    for got, want in zip(windowed[PORTFOLIO].cps, whole[PORTFOLIO].cps[-8:], strict=True):
        assert got.prev_portfolio_ret == pytest.approx(want.prev_portfolio_ret, rel=1e-12)
        assert got.prev_portfolio_realized_pnl == pytest.approx(want.prev_portfolio_realized_pnl, abs=1e-6)
        assert got.mdd == pytest.approx(want.mdd)
        assert got.gain == pytest.approx(want.gain, abs=1e-12)
    assert len({entry.key for entry in short.entries(LEDGER)}) <= 8 + 4 + 1


def test_settling_and_retiring_are_exact_after_a_crash() -> None:
    rng, end = Random(SEED + 50), T0 + 7 * DAY
    marks = walk(rng, VENUE_PAIRS[:2], T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS[:1], T0, end)
    events += closed_only(history(rng, marks, "hk", VENUE_PAIRS[1:2], T0, T0 + 2 * DAY))
    events.sort(key=lambda one: one[0])
    calm, wild = Stage(marks, SHORT), Stage(marks, SHORT, killer=Random(SEED), odds=0.05)
    for stage in (calm, wild):
        stage.play(events, minutes(T0, end, 20 * MINUTE))

    assert wild.kills > 15
    assert [(one.key, one.body) for one in wild.entries()] == [(one.key, one.body) for one in calm.entries()]


def test_a_body_that_cannot_be_read_is_passed_over() -> None:
    stage = Stage(MinuteMarks())
    stage.journal.append([Draft(POSITIONS, "hk|bad", b"{}")])
    stage.append(lone(T0, T0 + HOUR, "a"))
    stage.turn(T0 + 7 * HOUR)

    assert stage.ledgers().hotkeys() == ["hk"]
    assert stage._boot().accounts.keys() == {"hk"}


def test_rules_are_those_of_the_defaults() -> None:
    assert (RULES.span_ms, RULES.window_ms, RULES.correction_ms) == (6 * HOUR, 120 * DAY, DAY)
