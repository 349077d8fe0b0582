"""Ledgers on the wire and back from the journal: shapes, voids, delay."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.ledger.stage import RULES, Stage, minutes
from tests.validator.ledger.world import DAY, HOUR, T0, VENUE_PAIRS, history, walk
from validator.ledger.account import Rules
from validator.ledger.checkpoint import PORTFOLIO, SPAN_MS, WINDOW_MS, Checkpoint, Ledger
from validator.ledger.record import LedgerRecord, PerfCheckpoint, key_of, slots
from validator.ledger.shapes import from_wire, to_bundle, to_flat
from validator.ledger.view import Ledgers, assembled
from vanta_api.wire import WireError

SEED = 20250604
SEED_CPS: list[dict[str, Any]] = [
    {
        "accum_ms": 21600000,
        "gain": 0.12586433994869853,
        "last_update_ms": 1714161050595,
        "loss": -0.12587360888356938,
        "n_updates": 17213,
        "open_ms": 21599768,
        "prev_portfolio_ret": 0.9999907311080851,
    },
    {
        "accum_ms": 21600000,
        "gain": 0.017040557887505504,
        "last_update_ms": 1714182650595,
        "loss": -0.016984326534111933,
        "n_updates": 2219,
        "open_ms": 21599768,
        "prev_portfolio_ret": 1.0000469635212756,
    },
]
numbers = st.floats(-5, 5)


@pytest.fixture(scope="module")
def stage() -> Stage:
    """Five days of one hotkey, with a quiet one between."""
    rng, end = Random(SEED), T0 + 5 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS[:1], T0, T0 + 2 * DAY)
    closed = {one.position_uuid for _, one in events if one.is_closed_position}
    events = [(ms, one) for ms, one in events if one.position_uuid in closed]
    events += history(rng, marks, "hk", VENUE_PAIRS[1:], T0 + 4 * DAY, end)
    made = Stage(marks)
    made.play(events, minutes(T0, end, HOUR))
    return made


def test_checkpoints_follow_each_other_without_gaps(stage: Stage) -> None:
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    for ledger in bundle.values():
        assert all(one.accum_ms == SPAN_MS for one in ledger.cps)
        assert [one.start_ms for one in ledger.cps[1:]] == [one.last_update_ms for one in ledger.cps[:-1]]
        assert ledger.cps[-1].last_update_ms == stage.book.through_ms
    assert any(one.open_ms == 0 for one in bundle[PORTFOLIO].cps)


def test_a_delayed_reader_sees_a_prefix(stage: Stage) -> None:
    view = stage.ledgers()
    whole = view.bundle("hk")
    for before_ms in range(T0 + DAY, T0 + 5 * DAY, 5 * HOUR):
        seen = view.bundle("hk", before_ms)

        assert whole is not None
        assert seen is not None
        for name, ledger in seen.items():
            kept = tuple(one for one in whole[name].cps if one.last_update_ms < before_ms)
            assert ledger.cps == kept
            assert ledger.max_return == max([1.0, *(one.mpv for one in kept)])
            assert all(known[1] < before_ms for known in ledger.last_known_prices.values())


def test_nothing_is_seen_before_the_first_boundary_or_of_strangers(stage: Stage) -> None:
    view = stage.ledgers()

    assert view.bundle("hk", T0 + HOUR) is None
    assert view.bundle("nobody") is None
    assert view.body("nobody") is None
    assert Ledgers().bundle("hk") is None
    assert view.hotkeys() == ["hk"]


def test_the_answers_have_both_shapes(stage: Stage) -> None:
    view = stage.ledgers()
    bundle = json.loads(view.body("hk", "bundle") or b"")
    flat = json.loads(view.body("hk", "flat") or b"")

    assert list(bundle["hk"]) == [PORTFOLIO, *sorted(set(bundle["hk"]) - {PORTFOLIO})]
    assert flat["hk"] == bundle["hk"][PORTFOLIO]
    assert set(flat["hk"]) == {
        "initialization_time_ms",
        "max_return",
        "target_cp_duration_ms",
        "target_ledger_window_ms",
        "cps",
        "last_known_prices",
    }
    assert set(SEED_CPS[0]) < set(flat["hk"]["cps"][0])


def test_a_revision_moves_with_entries_and_boundaries(stage: Stage) -> None:
    view = Ledgers()
    seen = []
    for entry in stage.entries():
        view.take(entry.key, entry.body, entry.sequence)
        seen.append(view.revision("hk"))

    assert len(set(seen)) == len(seen)


def test_the_seeds_ledger_is_read_and_written_unchanged() -> None:
    read = from_wire({"cps": SEED_CPS})
    written = to_flat(read[PORTFOLIO])["cps"]

    assert list(read) == [PORTFOLIO]
    assert [{name: one[name] for name in SEED_CPS[0]} for one in written] == SEED_CPS
    assert read[PORTFOLIO].target_cp_duration_ms == 21600000


@given(
    st.lists(st.tuples(st.integers(1, SPAN_MS), numbers, numbers, st.text(max_size=5)), max_size=5),
    st.sampled_from([True, False]),
)
def test_what_is_written_is_read_back(rows: list[tuple[int, float, float, str]], flat: bool) -> None:
    cps = tuple(
        Checkpoint(
            last_update_ms=T0 + (k + 1) * SPAN_MS,
            accum_ms=accum,
            gain=gain,
            equity_ret=loss,
            extra={"novel": note},
        )
        for k, (accum, gain, loss, note) in enumerate(rows)
    )
    ledger = Ledger(initialization_time_ms=T0, cps=cps, last_known_prices={"BTCUSD": (1.5, T0)})
    wire = to_flat(ledger) if flat else to_bundle({PORTFOLIO: ledger, "BTCUSD": ledger})
    read = from_wire(json.loads(json.dumps(wire)))

    assert read == ({PORTFOLIO: ledger} if flat else {PORTFOLIO: ledger, "BTCUSD": ledger})


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], "perf_ledger"),
        ({"portfolio": 3}, "portfolio.cps"),
        ({"cps": {}}, "cps"),
        ({"cps": [3]}, "cps[0]"),
        ({"cps": [{}]}, "cps[0].last_update_ms"),
        ({"cps": [{"last_update_ms": "x"}]}, "cps[0].last_update_ms"),
        ({"cps": [{"last_update_ms": 1, "gain": float("nan")}]}, "cps[0].gain"),
        ({"cps": [{"last_update_ms": 1, "n_updates": True}]}, "cps[0].n_updates"),
        ({"cps": [{"last_update_ms": 2}, {"last_update_ms": 1}]}, "cps"),
        ({"cps": [], "last_known_prices": {"X": 3}}, "last_known_prices"),
        ({"cps": [], "max_return": None}, "max_return"),
    ],
)
def test_a_bad_ledger_is_refused_with_the_field(value: object, where: str) -> None:
    with pytest.raises(WireError, match="^" + where.replace("[", r"\[").replace("]", r"\]")):
        from_wire(value)


def record(end_ms: int, span_ms: int, ret: float) -> PerfCheckpoint:
    checkpoint = Checkpoint(
        last_update_ms=end_ms, accum_ms=span_ms, prev_portfolio_ret=ret, mpv=ret, open_ms=1
    )
    one = LedgerRecord(checkpoint=checkpoint, initialization_time_ms=T0, max_return=2.0)
    return PerfCheckpoint(
        hotkey="hk",
        end_ms=end_ms,
        target_cp_duration_ms=span_ms,
        target_ledger_window_ms=WINDOW_MS,
        ledgers={PORTFOLIO: one},
    )


def test_spans_of_another_length_fit_together() -> None:
    records = [
        record(T0 + 6 * HOUR, 6 * HOUR, 1.1),
        record(T0 + 12 * HOUR, 6 * HOUR, 1.2),
        record(T0 + 18 * HOUR, 6 * HOUR, 1.3),
        record(T0 + 24 * HOUR, 12 * HOUR, 1.4),
    ]
    made = assembled(records, T0 + 36 * HOUR)

    assert made is not None
    assert [(one.start_ms - T0, one.prev_portfolio_ret) for one in made[PORTFOLIO].cps] == [
        (0, 1.1),
        (6 * HOUR, 1.2),
        (12 * HOUR, 1.4),
        (24 * HOUR, 1.4),
    ]
    assert made[PORTFOLIO].cps[-1].mdd == 0.7


def test_keys_go_round() -> None:
    count = slots(SPAN_MS, WINDOW_MS)
    keys = {key_of("hk", T0 + k * SPAN_MS, SPAN_MS, WINDOW_MS) for k in range(3 * count)}

    assert len(keys) == count == 484


def test_changing_the_length_of_a_span_goes_on_from_the_last_common_boundary() -> None:
    rng, end = Random(SEED + 1), T0 + 3 * DAY
    marks = walk(rng, VENUE_PAIRS, T0, end)
    events = history(rng, marks, "hk", VENUE_PAIRS, T0, end)
    stage = Stage(marks)
    ticks = [*minutes(T0, T0 + DAY + 19 * HOUR, HOUR)]
    stage.play([one for one in events if one[0] < ticks[-1]], ticks)
    stage.rules = Rules(12 * HOUR, RULES.window_ms, RULES.correction_ms)
    stage.book = stage._boot()
    stage.play([one for one in events if one[0] >= ticks[-1]], minutes(ticks[-1], end, HOUR))
    bundle = stage.ledgers().bundle("hk")

    assert bundle is not None
    ends = [(one.last_update_ms - T0) // HOUR for one in bundle[PORTFOLIO].cps]
    assert ends == [6, 12, 18, 24, 30, 36, 48, 60, 72]
    total = sum(one.gain + one.loss for one in bundle[PORTFOLIO].cps)
    assert bundle[PORTFOLIO].cps[-1].prev_portfolio_ret == pytest.approx(2.718281828459045**total, rel=1e-12)


def test_a_body_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Ledgers().take("perf_through", b'{"perf_through":{}}', 1)
    assert Ledgers().take("something else", b"{}", 1) is None
