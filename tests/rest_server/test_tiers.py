"""What a tier may see: nothing newer than 24 hours that is not real-time for it, by any way.

The strongest test compares two worlds that differ only in what happened within the last 24 hours: no
delayed reader may be able to tell them apart.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_server.audience import TIERS, Audience
from rest_server.published import Published
from rest_server.shown import hold
from tests.rest_server.histories import START, Script, Step, a_world, histories, seed_with_share, setup
from tests.rest_server.world import DAY, HOUR, World, fill, new_uuid, position, shown
from validator.aggregates import aggregates
from validator.tiers import is_realtime, share_of
from vanta_api.wire import from_vanta

KEY_OF = {0: "k0", 30: "k30", 50: "k50", 100: "k100"}
Seen = tuple[Any, ...]


def everything(world: World, tier: int) -> dict[str, Seen]:
    """All that a reader of this tier can find out, epochs apart (they are random)."""
    key = KEY_OF[tier]
    paths = [f"/miner-positions?tier={t}" for t in TIERS if t <= tier]
    paths += [f"/{route}/{hotkey}" for route in ("miner-positions", "limit-orders") for hotkey in "ab"]
    paths += ["/limit-orders/a?status=filled,cancelled,unfilled", "/miner-hotkeys", "/api/health", "/readyz"]
    found: dict[str, Seen] = {}
    for path in paths:
        answer = world.get(path, key)
        body = answer.get_json()
        if isinstance(body, dict):
            body.pop("request_id", None)
        headers = dict(answer.headers)
        for name in ("X-Request-ID", "X-Epoch", "RateLimit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            headers.pop(name, None)
        if "ETag" in headers:
            headers["ETag"] = headers["ETag"].rpartition("-")[2]
        found[path] = (answer.status_code, body, headers)
    return found


@settings(max_examples=60, deadline=None)
@given(histories)
def test_what_happened_within_24_hours_cannot_be_told_by_any_delayed_reader(history: list[Step]) -> None:
    """Positions of share >= 50 are real-time for nobody below tier 100."""
    with a_world() as full, a_world() as without:
        end = START + sum(step.after_ms for step in history) + DAY // 2
        for world, until in ((full, None), (without, end - DAY)):
            setup(world)
            Script(world, until_ms=until, shares=(50, 100)).play(history)
            world.clock.sleep((end - world.now) / 1000)
        for tier in (0, 30, 50):
            assert everything(full, tier) == everything(without, tier)


@settings(max_examples=40, deadline=None)
@given(histories, st.lists(st.sampled_from([1, HOUR, 7 * HOUR, DAY - 1, DAY, 3 * DAY]), max_size=4))
def test_time_alone_brings_every_view_where_a_fresh_start_would(
    history: list[Step], waits: list[int]
) -> None:
    """Nothing reads the journal any more; only the clock moves. Every transition must come by itself."""
    with a_world() as world:
        setup(world)
        Script(world).play(history)
        for tier in TIERS:
            world.get(f"/miner-positions?tier={tier}")
        world.source.turns = False
        for wait in waits:
            world.clock.sleep(wait / 1000)
            moved, fresh = world.follower.current(), world.new_follower().current()
            assert moved is not None
            assert fresh is not None
            assert views(moved) == views(fresh)


def views(published: Published) -> list[Any]:
    found: list[Any] = []
    for tier in TIERS:
        for only_vanta in (False, True):
            audience = Audience(tier, only_vanta)
            made = published.miner_positions(audience)
            found.append((audience, json.loads(made.body("identity")), made.tag))
            found += [published.resting(hotkey, audience) for hotkey in "ab"]
    return found


@settings(max_examples=40, deadline=None)
@given(histories)
def test_each_tier_is_a_mix_of_live_and_delayed_positions_with_figures_of_its_own(
    history: list[Step],
) -> None:
    """0 is a part of 30, 30 of 50, 50 of 100: what is real-time for a tier is so for every higher one."""
    with a_world() as world:
        setup(world)
        Script(world).play(history)
        answers = {tier: world.get(f"/miner-positions?tier={tier}") for tier in TIERS}
        for hotkey in ("a", "b"):
            live = {one["position_uuid"]: one for one in shown(answers[100], hotkey)}
            delayed = {one["position_uuid"]: one for one in shown(answers[0], hotkey)}
            for tier in TIERS:
                seen = {one["position_uuid"]: one for one in shown(answers[tier], hotkey)}
                realtime = {uuid: one for uuid, one in live.items() if share_of(uuid) < tier}
                older = {uuid: one for uuid, one in delayed.items() if share_of(uuid) >= tier}
                assert seen == {**older, **realtime}
                check_figures(answers[tier].get_json()[hotkey], world.now)
        check_times(answers[0].get_json(), world.now - DAY)


def check_figures(dashboard: dict[str, Any], now_ms: int) -> None:
    """The figures are those of the listed positions."""
    expected = aggregates([from_vanta(one) for one in dashboard["positions"]], now_ms)
    for name in ("all_time_returns", "thirty_day_returns", "n_positions", "percentage_profitable"):
        assert dashboard[name] == pytest.approx(expected[name])


def check_times(value: Any, threshold_ms: int) -> None:
    """No time in the answer is as new as the threshold."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("_ms") and inner is not None:
                assert inner < threshold_ms, name
            check_times(inner, threshold_ms)
    elif isinstance(value, list):
        for inner in value:
            check_times(inner, threshold_ms)


@settings(max_examples=30, deadline=None)
@given(histories)
def test_an_answer_that_changed_never_keeps_its_tag(history: list[Step]) -> None:
    with a_world() as world:
        setup(world)
        script = Script(world)
        bodies: dict[tuple[int, str], bytes] = {}
        tags: dict[int, str] = {}
        for step in history:
            script.play([step])
            for tier in TIERS:
                path, key = f"/miner-positions?tier={tier}", KEY_OF[tier]
                known = tags.get(tier)
                answer = world.get(path, key, **({"If-None-Match": known} if known else {}))
                if answer.status_code == 304:
                    assert world.get(path, key).data == bodies[tier, known or ""]
                else:
                    tag = tags[tier] = answer.headers["ETag"]
                    assert bodies.setdefault((tier, tag), answer.data) == answer.data


def test_a_position_turns_visible_exactly_when_its_order_is_older_than_24_hours(world: World) -> None:
    setup(world)
    seed = seed_with_share("p", 60, 100)
    world.put(position("a", [fill(seed, 1, 2.0, world.now)]))

    def uuids() -> set[str]:
        return {one["position_uuid"] for one in shown(world.get("/miner-positions?tier=50", "k50"), "a")}

    world.clock.sleep(DAY / 1000)
    assert new_uuid(seed) not in uuids()
    world.clock.sleep(0.001)
    assert new_uuid(seed) in uuids()


def test_the_worked_example_of_a_position_that_closed_within_24_hours(world: World) -> None:
    """Opened 30 h ago, closed 1 h ago: tier 0 still sees it open with one order."""
    now = world.now
    seed = seed_with_share("w", 60, 100)
    world.put(position("a", [fill(seed, 10, 2.0, now - 30 * HOUR), fill("w2", 0, 3.0, now - HOUR)]))
    (delayed,) = shown(world.get("/miner-positions?tier=0"), "a")
    (live,) = shown(world.get("/miner-positions"), "a")

    assert (delayed["is_closed_position"], len(delayed["orders"]), delayed["close_ms"]) == (False, 1, 0)
    assert (live["is_closed_position"], len(live["orders"])) == (True, 2)


def test_a_young_position_is_absent_and_its_hotkey_stays(world: World) -> None:
    world.put(position("a", [fill(seed_with_share("y", 60, 100), 1, 2.0, world.now - 2 * HOUR)]))

    assert shown(world.get("/miner-positions?tier=50"), "a") == []
    assert world.get("/miner-positions?tier=0").get_json()["a"]["n_positions"] == 0


def test_a_history_that_is_found_late_shows_from_the_first_minute(world: World) -> None:
    """An account that is tracked since a minute ago may have weeks of orders behind it."""
    orders = [fill(("late", n), 1, 2.0, world.now - (10 - n) * DAY, observed_ms=world.now) for n in range(10)]
    world.put(position("a", orders, observed_ms=world.now))
    (one,) = shown(world.get("/miner-positions?tier=0"), "a")

    assert len(one["orders"]) == 9
    assert one["venue"]["observed_ms"] < world.now - DAY


def test_an_open_position_is_valued_at_the_price_of_24_hours_ago(world: World) -> None:
    world.put(position("a", [fill(seed_with_share("v", 60, 100), 10, 2.0, world.now - DAY)]))
    world.mark(3.0)
    world.clock.sleep(HOUR / 1000)
    world.mark(5.0)

    def pnl(tier: int) -> float:
        (one,) = shown(world.get(f"/miner-positions?tier={tier}"), "a")
        result: float = one["unrealized_pnl"]
        return result

    assert (pnl(100), pnl(0)) == (30.0, 0.0)
    world.source.turns = False
    world.clock.sleep((DAY - HOUR) / 1000)
    assert pnl(0) == 0.0
    world.clock.sleep(0.001)
    assert pnl(0) == 10.0
    world.clock.sleep(HOUR / 1000)
    assert pnl(0) == 30.0


def test_the_delayed_sequence_is_that_of_24_hours_ago(world: World) -> None:
    setup(world)
    world.clock.sleep(DAY / 1000)
    world.put(position("a", [fill("s1", 1, 2.0, world.now)]))

    def sequence(tier: int) -> str:
        world.clock.sleep(1.1)
        header: str = world.get(f"/miner-positions?tier={tier}").headers["X-Sequence"]
        return header

    assert (sequence(100), sequence(50), sequence(0)) == ("3", "2", "2")
    world.clock.sleep(DAY / 1000)
    assert (sequence(100), sequence(50), sequence(0)) == ("3", "3", "3")


def test_the_delayed_sequence_is_never_early(world: World) -> None:
    setup(world)
    world.clock.sleep(DAY / 1000)

    def fresh() -> int:
        follower = world.new_follower()
        follower.turn()
        published = follower.current()
        assert published is not None
        return published.delayed.sequence

    assert fresh() == 0
    world.clock.sleep(0.001)
    assert fresh() == 2


def test_a_position_leaves_the_returns_of_120_days_by_time_alone(world: World) -> None:
    opened = world.now
    world.put(position("a", [fill("w1", 1000, 2.0, opened), fill("w2", 0, 3.0, opened + HOUR)]))
    world.source.turns = False

    def returns() -> float:
        value: float = world.get("/miner-positions/a").get_json()["thirty_day_returns"]
        return value

    world.follower.turn()
    world.clock.sleep(120 * DAY / 1000 - 0.001)
    assert returns() > 1.0
    world.clock.sleep(0.001)
    assert returns() == 1.0


@given(st.text(max_size=20), st.sampled_from(TIERS))
def test_real_time_is_decided_as_everywhere_else(seed: str, tier: int) -> None:
    held = hold(position("a", [fill(seed, 1, 2.0, START)]), None, None, START)
    is_live = Audience(tier).view_of(held) is held.live

    assert is_live == is_realtime(held.record.position_uuid, tier)


@given(st.integers(0, 99))
def test_a_share_equal_to_the_tier_is_delayed(share: int) -> None:
    held = replace(hold(position("a", [fill("x", 1, 2.0, START)]), None, None, START), share=share)

    for tier in TIERS:
        assert (Audience(tier).view_of(held) is held.live) == (share < tier)


def test_a_wall_clock_that_jumps_ahead_shows_nothing_early(world: World) -> None:
    seed = seed_with_share("j", 60, 100)
    world.put(position("a", [fill(seed, 1, 2.0, world.now)]))
    world.clock._now_ms += 2 * DAY  # type: ignore[attr-defined]  # the monotonic clock does not move

    assert shown(world.get("/miner-positions?tier=0"), "a") == []
    world.clock.sleep(DAY / 1000 + 0.001)
    assert len(shown(world.get("/miner-positions?tier=0"), "a")) == 1
