"""``/miner-positions``, ``/miner-positions/<id>`` and ``/miner-hotkeys``."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from runtime.settings import AccountSettings, VenueSettings
from tests.rest_server.world import (
    BTC,
    DAY,
    FUEL,
    HOUR,
    PLENTY,
    Make,
    World,
    fill,
    new_uuid,
    position,
    shown,
    strict_json,
)


def test_positions_are_grouped_by_hotkey_with_figures(world: World) -> None:
    now = world.now
    world.put(
        position("a", [fill("a1", 10, 2.0, now - 3 * HOUR), fill("a2", 0, 3.0, now - HOUR)]),
        position("a", [fill("a3", 10, 2.0, now - HOUR)]),
        position("b", [fill("b1", -5, 2.0, now - HOUR)]),
    )
    answer = world.get("/miner-positions")
    body = strict_json(answer.data)

    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert set(body) == {"a", "b"}
    assert body["a"]["n_positions"] == 2
    assert body["a"]["percentage_profitable"] == 1.0
    assert body["a"]["all_time_returns"] == body["a"]["positions"][0]["return_at_close"] > 1
    assert body["a"]["tier"] == 100
    assert [one["is_closed_position"] for one in body["a"]["positions"]] == [True, False]


def test_an_open_position_has_close_ms_zero_and_every_key(world: World) -> None:
    world.put(position("a", [fill("a1", 10, 2.0, world.now - HOUR)]))
    (one,) = shown(world.get("/miner-positions"), "a")

    assert one["close_ms"] == 0
    assert one["initial_entry_price"] == 2.0
    assert one["trade_pair"] == list(FUEL)
    assert one["orders"][0]["price_sources"] == []
    assert one["venue"]["quantity"] == "10"


def test_hotkeys_come_by_falling_returns(world: World) -> None:
    now = world.now
    for hotkey, exit_price in (("loser", 1.0), ("winner", 9.0), ("idle", None), ("middle", 2.1)):
        orders = [fill(f"{hotkey}1", 100, 2.0, now - 3 * HOUR)]
        if exit_price is not None:
            orders.append(fill(f"{hotkey}2", 0, exit_price, now - 2 * HOUR))
        world.put(position(hotkey, orders))
    body = json.loads(world.get("/miner-positions").data)

    assert list(body) == ["winner", "middle", "idle", "loser"]
    returns = [one["thirty_day_returns"] for one in body.values()]
    assert returns == sorted(returns, reverse=True)


def test_an_empty_state_is_an_empty_object(world: World) -> None:
    assert world.get("/miner-positions").get_json() == {}


def test_a_hotkey_is_quoted_like_any_json_string(world: World) -> None:
    hotkey = 'o2:"q\\uote", é'
    world.put(position(hotkey, [fill("a1", 1, 2.0, world.now - HOUR)]))

    assert list(strict_json(world.get("/miner-positions").data)) == [hotkey]


@pytest.mark.parametrize("tier", ["030", " 30", "200", "", "abc", "-1", "30.0"])
def test_a_tier_that_is_none_is_refused(world: World, tier: str) -> None:
    answer = world.get(f"/miner-positions?tier={tier}")

    assert answer.status_code == 400
    assert answer.get_json()["error"] == "Invalid tier value. Allowed values are 0, 30, 50, or 100"


@pytest.mark.parametrize(
    ("key", "query", "tier"),
    [("k30", "", 100), ("k30", "?tier=50", 50), ("k0", "?tier=30", 30), ("k50", "?tier=100", 100)],
)
def test_a_tier_above_the_keys_own_is_refused(world: World, key: str, query: str, tier: int) -> None:
    answer = world.get(f"/miner-positions{query}", key)

    assert answer.status_code == 403
    assert answer.get_json()["error"] == f"Your API key does not have access to tier {tier} data"


@pytest.mark.parametrize(("key", "tier"), [("k0", 0), ("k30", 0), ("k30", 30), ("k100", 50), ("k200", 100)])
def test_a_tier_up_to_the_keys_own_is_given(world: World, key: str, tier: int) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now - 2 * DAY)]))

    assert world.get(f"/miner-positions?tier={tier}", key).get_json()["a"]["tier"] == tier


def test_one_miner_is_the_same_dashboard_and_names_the_tier_only_where_something_is_delayed(
    world: World,
) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now - 2 * DAY)]))
    for key, tier in (("k0", 0), ("k30", 30), ("k50", 50), ("k100", 100)):
        everything = world.get(f"/miner-positions?tier={tier}", key).get_json()["a"]
        if tier == 100:
            del everything["tier"]
        assert world.get("/miner-positions/a", key).get_json() == everything


def test_an_unknown_miner_is_not_found_with_both_keys(world: World) -> None:
    answer = world.get("/miner-positions/nobody")
    body = answer.get_json()

    assert answer.status_code == 404
    assert body["error"] == "Miner ID nobody not found"
    assert body["positions"] == []


def test_a_key_limited_to_vanta_sees_only_vantas_pairs(world: World) -> None:
    now = world.now
    fuel = position("a", [fill("a1", 1, 2.0, now - HOUR), fill("a2", 0, 4.0, now - HOUR // 2)], FUEL)
    bitcoin = position("a", [fill("a3", 1, 2.0, now - HOUR)], BTC)
    world.put(fuel, bitcoin, position("b", [fill("b1", 1, 2.0, now - HOUR)], FUEL))
    body = world.get("/miner-positions", "kvanta").get_json()

    assert [one["trade_pair"][0] for one in body["a"]["positions"]] == ["BTCUSD"]
    assert body["a"]["n_positions"] == 1
    assert body["a"]["all_time_returns"] == 1.0
    assert body["b"]["positions"] == []
    assert "O2:" not in world.get("/miner-positions", "kvanta").text
    assert len(world.get("/miner-positions/a", "kvanta").get_json()["positions"]) == 1


def test_a_mark_moves_open_positions_only(world: World) -> None:
    now = world.now
    closed = position("a", [fill("a1", 10, 2.0, now - 3 * HOUR), fill("a2", 0, 3.0, now - HOUR)])
    world.put(closed, position("a", [fill("a3", 10, 2.0, now - HOUR)]))
    before = shown(world.get("/miner-positions"), "a")
    world.mark(5.0)
    after = shown(world.get("/miner-positions"), "a")

    assert after[0] == before[0]
    assert (before[1]["unrealized_pnl"], after[1]["unrealized_pnl"]) == (0.0, 30.0)
    assert after[1]["current_return"] == pytest.approx(1.0003)
    assert after[1]["venue"]["mark_price"] == "5"


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "sNaN", "no number"])
def test_a_mark_that_is_no_number_is_not_used(world: World, price: str) -> None:
    world.put(position("a", [fill("a1", 10, 2.0, world.now - HOUR)]))
    before = world.get("/miner-positions").data
    row = world.marks
    world.mark(2.0)
    row._connection.execute("update mark set price = ?, revision = revision + 1", (price,))
    row._connection.execute("update revision set number = number + 1")

    assert shown(world.get("/miner-positions"), "a") == json.loads(before)["a"]["positions"]


def test_an_entry_that_cannot_be_read_is_not_shown_and_breaks_nothing(world: World) -> None:
    from journal.entry import POSITIONS, Draft

    for number, body in enumerate((b"", b"{}", b"\xff", b'{"position": 1}', b"[" * 5000)):
        world.journal.append([Draft(POSITIONS, f"x|{number}", body)])
    world.put(position("a", [fill("a1", 1, 2.0, world.now - HOUR)]))
    answer = world.get("/miner-positions")

    assert list(answer.get_json()) == ["a"]
    assert answer.headers["X-Sequence"] == "6"


def test_a_replaced_record_replaces_what_is_shown(world: World) -> None:
    first = fill("a1", 10, 2.0, world.now - 2 * HOUR)
    world.put(position("a", [first]))
    world.get("/miner-positions")
    world.put(position("a", [first, fill("a2", 5, 3.0, world.now - HOUR)]))
    (one,) = shown(world.get("/miner-positions"), "a")

    assert one["net_quantity"] == 15.0
    assert one["position_uuid"] == new_uuid("a1")


def test_a_restart_shows_the_same(world: World) -> None:
    now = world.now
    world.put(
        position("a", [fill("a1", 10, 2.0, now - 3 * DAY), fill("a2", 0, 3.0, now - HOUR)]),
        position("b", [fill("b1", 10, 2.0, now - 2 * DAY)]),
    )
    world.mark(3.5)
    before = [world.get(f"/miner-positions?tier={tier}") for tier in (0, 30, 50, 100)]
    world.start()
    after = [world.get(f"/miner-positions?tier={tier}") for tier in (0, 30, 50, 100)]

    assert [one.data for one in after] == [one.data for one in before]
    assert [one.headers["ETag"] for one in after] == [one.headers["ETag"] for one in before]


def test_positions_that_left_the_window_still_count(world: World) -> None:
    """A year after it closed a position is no longer listed, but the figures keep it."""
    start = world.now
    world.put(
        position("a", [fill("a1", 10_000, 2.0, start - 3 * HOUR), fill("a2", 0, 3.0, start - 2 * HOUR)]),
        position("a", [fill("a3", 10_000, 2.0, start - 3 * HOUR), fill("a4", 0, 1.0, start - HOUR)]),
    )
    early = world.get("/miner-positions/a").get_json()
    world.clock.sleep(400 * 86_400)
    world.put(position("a", [fill("a5", 1, 2.0, world.now)]))
    late = world.get("/miner-positions/a").get_json()

    assert (len(early["positions"]), len(late["positions"])) == (2, 1)
    assert late["n_positions"] == 3
    assert late["all_time_returns"] == pytest.approx(early["all_time_returns"])
    assert late["percentage_profitable"] == 0.5
    assert world.get("/miner-positions/a", "k0").get_json()["n_positions"] == 2
    world.start()
    assert world.get("/miner-positions/a").get_json() == late


def test_hotkeys_are_those_of_metagraph_settings_and_state(make_world: Make, tmp_path: Path) -> None:
    metagraph = tmp_path / "metagraph.json"
    metagraph.write_text('["m1", "a"]')
    accounts = [AccountSettings(account="0x1"), AccountSettings(account="0x2", hotkey="own")]
    world = make_world(
        rest=msgspec.structs.replace(PLENTY, metagraph_file=str(metagraph)),
        settings_changes={"venues": {"o2": VenueSettings(accounts=accounts)}},
    )
    world.put(position("a", [fill("a1", 1, 2.0, world.now)]))
    world.put_size("sized", 5000)

    assert world.get("/miner-hotkeys", "k0").get_json() == ["a", "m1", "o2:0x1", "own", "sized"]


def test_no_hotkey_at_all_is_not_found(world: World) -> None:
    answer = world.get("/miner-hotkeys")

    assert answer.status_code == 404
    assert answer.get_json()["error"] == "No miner hotkeys found"


def test_before_the_state_is_there_answers_are_503(world: World) -> None:
    world.source.is_booted = False
    for path in (
        "/miner-positions",
        "/miner-positions/a",
        "/miner-hotkeys",
        "/validator-checkpoint",
        "/orders/a",
    ):
        answer = world.get(path)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
        assert int(answer.headers["Retry-After"]) > 0
