"""A long simulated history of many hotkeys: identities hold, and all of it equals a recomputation.

The full size (200 hotkeys, 90 days) runs in the soak; here it is the same test, smaller.
"""

from __future__ import annotations

import json
import math
import os
from random import Random

import pytest

from tests.validator.ledger.dense import checkpoints
from tests.validator.ledger.stage import Event, Stage
from tests.validator.ledger.world import DAY, HOUR, T0, VANTA_PAIRS, VENUE_PAIRS, history, walk
from tests.validator.statistics.reference import Reference
from tests.validator.statistics.stage import World, facts_of
from tests.validator.statistics.test_book import assert_close
from validator.ledger.checkpoint import PORTFOLIO
from vanta_api.records import Position

SEED = int(os.environ.get("VANTA_SOAK_VALIDATOR_SEED", "20250607"))


def play(hotkeys: int, days: int, kills: float) -> World:
    """Everything as it happened: positions appear in time, the book looks now and then and dies at times."""
    rng, end = Random(SEED), T0 + days * DAY
    marks = walk(rng, (*VENUE_PAIRS, *VANTA_PAIRS), T0, end)
    events: list[Event] = []
    for number in range(hotkeys):
        pairs = [*rng.sample(VENUE_PAIRS, rng.randrange(1, 4))]
        if number % 20 == 10:
            pairs += VANTA_PAIRS  # their independent recomputation is slow
        start = T0 + rng.randrange(max(1, days - 8)) * DAY if number % 3 == 0 else T0
        events += history(rng, marks, f"hk{number:04d}", pairs, start, end)
    events.sort(key=lambda one: one[0])
    stage = Stage(marks, killer=Random(SEED), odds=kills)
    looks = {
        *range(T0 + 6 * HOUR, end + 1, 6 * HOUR),
        *(rng.randrange(T0, end) // HOUR * HOUR for _ in range(days)),
    }
    stage.play(events, sorted(looks - {T0}))
    positions: dict[str, dict[str, Position]] = {}
    for _, one in events:
        positions.setdefault(one.miner_hotkey, {})[one.position_uuid] = one
    view = stage.ledgers()
    names = sorted(positions)
    return World(
        now_ms=end,
        marks=marks,
        stage=stage,
        events=events,
        positions={name: list(positions[name].values()) for name in names},
        bundles={name: view.bundle(name) or {} for name in names},
        facts={name: facts_of(rng, name, end) for name in names},
    )


def check_identities(world: World) -> None:
    """What must hold for any ledger."""
    for name, bundle in world.bundles.items():
        portfolio = bundle[PORTFOLIO]
        for pair, ledger in bundle.items():
            total, realized = 0.0, 0.0
            for one in ledger.cps:
                total += one.gain + one.loss
                realized += one.realized_pnl
                assert one.prev_portfolio_ret == pytest.approx(math.exp(total), rel=1e-9), (name, pair)
                assert one.prev_portfolio_realized_pnl == pytest.approx(realized, abs=1e-6)
                assert one.accum_ms == world.stage.rules.span_ms
                assert one.last_update_ms % world.stage.rules.span_ms == 0
                assert 0 < one.mdd <= 1.0
                assert 0 <= one.open_ms <= one.accum_ms
                assert one.mpv <= ledger.max_return
            assert portfolio.cps[-1].last_update_ms == ledger.cps[-1].last_update_ms
        product = math.prod(
            ledger.cps[-1].prev_portfolio_ret for pair, ledger in bundle.items() if pair != PORTFOLIO
        )
        assert portfolio.cps[-1].prev_portfolio_ret == pytest.approx(product, rel=1e-9)


def check_ledgers(world: World) -> None:
    """Every portfolio's checkpoints, minute by minute, once more."""
    through_ms = world.stage.book.through_ms or 0
    for name, bundle in world.bundles.items():
        expected = checkpoints(world.positions[name], world.marks, world.stage.rules.span_ms, through_ms)
        cps = bundle[PORTFOLIO].cps
        assert len(cps) == len(expected)
        for got, want in zip(cps, expected, strict=True):
            numbers = (got.prev_portfolio_ret, got.gain, got.loss, got.mdd, got.mpv)
            assert numbers == pytest.approx((want.ret, want.gain, want.loss, want.mdd, want.mpv), abs=1e-9), (
                name
            )
            assert got.prev_portfolio_realized_pnl == pytest.approx(want.realized, rel=1e-9, abs=1e-6)
            assert got.unrealized_pnl == pytest.approx(want.unrealized, rel=1e-9, abs=1e-5)


def check_statistics(world: World) -> None:
    """Every element once more."""
    plain = world.plain()
    reference = Reference(plain["ledgers"], world.positions, plain["facts"])
    expected, competitiveness = reference.elements(world.now_ms)
    found = json.loads(world.book().envelope(world.now_ms))

    assert len(found["data"]) == len(world.bundles)
    for one, other in zip(found["data"], expected, strict=True):
        assert_close(one, other, one["hotkey"])
    assert_close(found["network_data"]["asset_competitiveness"], competitiveness)


def check(hotkeys: int, days: int, kills: float) -> None:
    world = play(hotkeys, days, kills)
    print(
        f"seed {SEED}: {hotkeys} hotkeys, {days} days, {len(world.events)} orders, {world.stage.kills} kills"
    )
    assert world.stage.kills
    check_identities(world)
    check_ledgers(world)
    check_statistics(world)


def test_a_history_of_many_hotkeys() -> None:
    check(hotkeys=8, days=12, kills=0.05)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ninety_days_of_two_hundred_hotkeys() -> None:
    check(hotkeys=int(os.environ.get("VANTA_SOAK_HOTKEYS", "200")), days=90, kills=0.002)
