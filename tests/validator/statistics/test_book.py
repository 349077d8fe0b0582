"""The whole answer, against a second implementation; and that asking again costs and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.validator.ledger.world import DAY, HOUR, T0
from tests.validator.statistics.reference import Reference
from tests.validator.statistics.stage import World, world
from validator.ledger.checkpoint import Bundle
from validator.positions import truncate
from validator.statistics import Facts, StatisticsBook, seen_bundle, seen_facts, seen_positions
from validator.statistics.measures import Measures, measure
from validator.tiers import is_realtime
from vanta_api.records import Position

SEED = 20250606


@pytest.fixture(scope="module")
def simulated() -> World:
    """Twelve hotkeys over 70 days: enough for every metric to have a value for some."""
    return world(SEED, hotkeys=12, days=70)


def assert_close(found: Any, expected: Any, path: str = "") -> None:
    """Equal in shape, and in numbers to 1e-9."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), path
        assert set(found) == set(expected), path
        for key, value in expected.items():
            assert_close(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for index, value in enumerate(expected):
            assert_close(found[index], value, f"{path}[{index}]")
    elif isinstance(expected, float) or isinstance(found, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), path
    else:
        assert found == expected, path


def answer(made: StatisticsBook, now_ms: int, checkpoints: bool = True) -> dict[str, Any]:
    return msgspec.json.decode(made.envelope(now_ms, checkpoints))  # type: ignore[no-any-return]


def assert_reference(simulated: World, made: StatisticsBook) -> None:
    """Every element is what the reference finds."""
    plain = simulated.plain()
    expected, competitiveness = Reference(plain["ledgers"], simulated.positions, plain["facts"]).elements(
        simulated.now_ms
    )
    found = answer(made, simulated.now_ms)

    assert [one["hotkey"] for one in found["data"]] == [one["hotkey"] for one in expected]
    for one, other in zip(found["data"], expected, strict=True):
        assert_close(one, other, one["hotkey"])
    assert_close(found["network_data"], {"asset_competitiveness": competitiveness})


def test_every_element_is_what_a_second_implementation_finds(simulated: World) -> None:
    assert_reference(simulated, simulated.book())


def test_the_simulated_world_has_something_of_everything(simulated: World) -> None:
    elements = answer(simulated.book(), simulated.now_ms)["data"]
    confident = {one["scores"]["overall"]["sharpe"]["value"] > -100 for one in elements}
    statuses = {one["challengeperiod"].get("status") for one in elements}

    assert confident == {True, False}
    assert len(statuses) >= 3
    assert any(one["asset_class_performance"]["crypto"]["rank"] for one in elements)
    assert any(one["weight"]["value"] > 0.01 for one in elements)
    assert all(one["daily_returns"] for one in elements)


def test_the_dynamic_minimum_is_that_of_the_twentieth_longest() -> None:
    simulated = world(SEED + 1, hotkeys=45, days=30, gaps=0.98)
    for hotkey, facts in simulated.facts.items():
        simulated.facts[hotkey] = msgspec.structs.replace(facts, bucket=None)
    plain = simulated.plain()
    minimum = Reference(plain["ledgers"], simulated.positions, plain["facts"]).minimum

    assert 7 < minimum["crypto"] < 60
    assert_reference(simulated, simulated.book())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_hotkeys_are_no_special_trouble(simulated: World, count: int) -> None:
    few = World(
        simulated.now_ms,
        simulated.marks,
        simulated.stage,
        simulated.events,
        dict(list(simulated.positions.items())[:count]),
        dict(list(simulated.bundles.items())[:count]),
        {hotkey: Facts() for hotkey in list(simulated.bundles)[:count]},
    )
    made = few.book()

    assert len(answer(made, few.now_ms)["data"]) == count
    if count:
        assert_reference(few, made)


def test_a_drawdown_of_ten_percent_stops_all_scores_of_a_class() -> None:
    simulated = world(SEED + 2, hotkeys=6, days=20)
    worst = next(iter(simulated.bundles))
    bundle = dict(simulated.bundles[worst])
    cps = bundle["portfolio"].cps
    fallen = (*cps[:-1], msgspec.structs.replace(cps[-1], mdd=0.9))
    bundle["portfolio"] = msgspec.structs.replace(bundle["portfolio"], cps=fallen)
    simulated.bundles[worst] = bundle
    element = json.loads(simulated.book().element(worst) or b"")

    assert element["penalties"]["drawdown_threshold"] == element["penalties"]["total"] == 0.0
    assert element["scores"]["crypto"]["pnl"] == {}
    assert element["scores"]["overall"]["pnl"] != {}
    assert element["asset_class_performance"] == {}
    assert element["weight"]["value"] in (0.0, pytest.approx(1.5e-5, abs=1e-5))


def test_a_changed_hotkey_moves_everyones_place_and_measures_only_itself(
    simulated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = simulated.book()
    before = answer(made, simulated.now_ms)
    measured: list[int] = []

    def counting(bundle: Bundle, positions: Sequence[Position]) -> Measures:
        measured.append(1)
        return measure(bundle, positions)

    monkeypatch.setattr("validator.statistics.book.measure", counting)
    changed = list(simulated.bundles)[3]
    shorter = {
        name: msgspec.structs.replace(ledger, cps=ledger.cps[: len(ledger.cps) // 2])
        for name, ledger in simulated.bundles[changed].items()
    }
    made.update(changed, shorter, simulated.positions[changed][:3], simulated.facts[changed])
    after = answer(made, simulated.now_ms)
    monkeypatch.undo()
    again = World(
        **{
            **vars(simulated),
            "bundles": simulated.bundles | {changed: shorter},
            "positions": simulated.positions | {changed: simulated.positions[changed][:3]},
        }
    )

    assert measured == [1]
    assert after != before
    assert after == answer(again.book(), simulated.now_ms)
    assert_reference(again, made)


def test_asking_again_gives_the_same_bytes_and_removal_is_as_if_never_there(simulated: World) -> None:
    made = simulated.book()
    first = made.envelope(simulated.now_ms)
    revision = made.revision
    assert made.envelope(simulated.now_ms) == first
    assert made.revision == revision
    gone = next(iter(simulated.bundles))
    made.remove(gone)
    made.remove("nobody")

    assert made.revision == revision + 1
    assert made.element(gone) is None
    rest = World(**{**vars(simulated), "bundles": {k: v for k, v in simulated.bundles.items() if k != gone}})
    assert answer(made, simulated.now_ms) == answer(rest.book(), simulated.now_ms)


def test_an_element_is_the_one_in_the_envelope_with_or_without_checkpoints(simulated: World) -> None:
    made = simulated.book()
    for checkpoints in (True, False):
        found = answer(made, simulated.now_ms, checkpoints)
        for element in found["data"]:
            alone = json.loads(made.element(element["hotkey"], checkpoints) or b"")
            assert alone == element
            assert ("checkpoints" in alone) is checkpoints
    assert made.hotkeys() == [one["hotkey"] for one in found["data"]]


def test_the_envelope_says_when_and_with_which_constants(simulated: World) -> None:
    found = answer(simulated.book(), T0 + 70 * DAY + 1_500)

    assert list(found) == [
        "version",
        "created_timestamp_ms",
        "created_date",
        "data",
        "constants",
        "network_data",
    ]
    assert (found["version"], found["created_date"]) == ("8.8.9", "2025-08-11 00:00:01")
    assert [one["weight"]["rank"] for one in found["data"]] == list(range(1, 13))
    assert found["constants"]["SOFTMAX_TEMPERATURE"] == 0.15


def test_remaining_time_follows_the_clock_and_never_goes_below_nothing(simulated: World) -> None:
    made = StatisticsBook("8.8.9")
    made.update("hk", {}, [], Facts(bucket="CHALLENGE", bucket_start_ms=T0))
    left = [
        json.loads(made.element("hk", now_ms=T0 + days * DAY) or b"")["challengeperiod"]["remaining_time_ms"]
        for days in (0, 89, 91)
    ]

    assert left == [90 * DAY, DAY, 0]


def test_a_delayed_tier_sees_nothing_newer_than_a_day(simulated: World) -> None:
    view, now_ms = simulated.ledgers, simulated.now_ms + 3 * HOUR
    then_ms = now_ms - DAY

    def mark_then(pair: str) -> Decimal | None:
        known = simulated.marks.at(pair, then_ms - 1)
        return None if known is None else Decimal(known.price)

    for hotkey, positions in simulated.positions.items():
        bundle = seen_bundle(view, hotkey, 30, now_ms)
        seen = {one.position_uuid: one for one in seen_positions(positions, 30, now_ms, mark_then)}

        assert all(one.last_update_ms < then_ms for ledger in bundle.values() for one in ledger.cps)
        for one in positions:
            if is_realtime(one.position_uuid, 30):
                assert seen[one.position_uuid] == one
            else:
                assert seen.get(one.position_uuid) == truncate(one, then_ms, mark_then(one.trade_pair[0]))
        assert seen_bundle(view, hotkey, 100, now_ms) == simulated.bundles[hotkey]
        assert seen_positions(positions, 100, now_ms, mark_then) == positions
        kept = seen_facts(simulated.facts[hotkey], 0, now_ms).account_sizes
        assert all(record.update_time_ms < then_ms for record in kept)
        assert seen_facts(simulated.facts[hotkey], 100, now_ms) is simulated.facts[hotkey]
    assert seen_bundle(view, "nobody", 0, now_ms) == {}


def test_what_a_delayed_tier_may_not_see_cannot_move_its_statistics(simulated: World) -> None:
    now_ms = simulated.now_ms

    def delayed(cut: bool) -> StatisticsBook:
        made = StatisticsBook("8.8.9")
        for hotkey, positions in simulated.positions.items():
            known = [
                kept
                for one in positions
                if (kept := truncate(one, now_ms - DAY, None) if cut else one) is not None
            ]
            bundle = seen_bundle(simulated.ledgers, hotkey, 0, now_ms)
            made.update(hotkey, bundle, seen_positions(known, 0, now_ms, lambda _: None), Facts())
        return made

    assert delayed(cut=True).envelope(now_ms) == delayed(cut=False).envelope(now_ms)
