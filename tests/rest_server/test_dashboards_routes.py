"""``/miner/<hotkey>``: the compact dashboard, its times and its readers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from rest_server.dossier import SINCE
from tests.rest_server.ruled import (
    NO_SCOPE,
    Case,
    check,
    eliminate,
    get,
    not_booted,
    put_bucket,
    spans,
    undemonstrated,
)
from tests.rest_server.world import BTC, DAY, FUEL, HOUR, World, fill, new_uuid, position, resting
from validator.challenge.record import admitted, moved
from validator.compact import MARGIN_MS
from vanta_api.records import OrderSource

ROUTE, PATH = "dashboards.miner", "/miner/a"
BAD_TIMES = ("", "-1", "+1", "1.5", "x", " 1", "9" * 17, "9007199254740993", "%D9%A1", "1e3")


def break_down(world: World) -> None:
    def crash() -> None:
        raise RuntimeError("inside")

    world.source.current = crash  # type: ignore[method-assign, assignment]


CASES = [
    Case(ROUTE, 401, "Unauthorized access", get(PATH, None)),
    Case(ROUTE, 401, "Unauthorized access", get(PATH, "nobody")),
    Case(ROUTE, 403, NO_SCOPE, get(PATH, "kws")),
    *(
        Case(ROUTE, 403, "Your API key does not have access to tier 100 data", get(PATH, key))
        for key in ("k0", "k30", "k50")
    ),
    *(
        Case(ROUTE, 400, f"{name} must be a time in ms", get(f"{PATH}?{name}={value}"))
        for name in SINCE
        for value in BAD_TIMES
    ),
    Case(ROUTE, 404, "Miner a not found", get(PATH)),
    Case(ROUTE, 404, "Miner DEVELOPMENT not found", get("/miner/DEVELOPMENT", "k500")),
    Case(ROUTE, 500, "Internal server error retrieving dashboard", get(PATH, given=break_down)),
    Case(ROUTE, 503, "The server is not ready yet", get(PATH, given=not_booted)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence(world: World, case: Case) -> None:
    check(world, case)


def test_every_declared_refusal_is_in_the_table(world: World) -> None:
    told = {(route, status, text) for route, status, text in undemonstrated(world, "dashboards", CASES)}
    assert {text for _, _, text in told} <= {"Miner {hotkey} not found", "{name} must be a time in ms"}


def dashboard(world: World, times: dict[str, int] | None = None, key: str = "k100") -> dict[str, Any]:
    """What a reader who has these times is told."""
    answer = world.get(f"{PATH}?{urlencode(times or {})}", key)
    assert answer.status_code == 200, answer.get_json()
    body = answer.get_json()
    assert body["status"] == "success"
    assert body["timestamp"] == world.now
    found: dict[str, Any] = body["dashboard"]
    return found


def times_of(told: dict[str, Any]) -> dict[str, int]:
    """The times that an answer asks to be sent next."""
    homes = ("positions", "limit_orders", "ledger", "statistics")
    return {
        name: told[home][name] for name, home in zip(SINCE, homes, strict=True) if name in told.get(home, {})
    }


def trade(world: World) -> None:
    """A closed position, an open one, a resting order, a bucket, a size and a ledger of five days."""
    now = world.now
    world.put_size("a", 50_000.0)
    closed = [fill("c1", 2, 10.0, now - 9 * DAY), fill("c2", 0, 15.0, now - 8 * DAY)]
    world.put(position("a", closed, BTC, fees="0.5"), position("a", [fill("o1", 4, 5.0, now - DAY)]))
    world.put_orders(
        resting("a", 1, now - HOUR),
        resting("a", 2, now - HOUR, src=int(OrderSource.LIMIT_CANCELLED)),
    )
    challenge = admitted("a", "CHALLENGE", now - 9 * DAY)
    put_bucket(world, moved(challenge, "MAINCOMP", now - 2 * DAY, now - 2 * DAY, "promoted"))
    spans(world, "a", 20)
    world.mark(6.0)


def test_everything_of_a_miner_is_told_to_who_begins(world: World) -> None:
    trade(world)
    told = dashboard(world)

    assert set(told) == {
        *("challenge_period", "drawdown", "account_size_data"),
        *("positions", "limit_orders", "ledger", "statistics"),
    }
    assert told["challenge_period"] == {"bucket": "MAINCOMP", "start_time_ms": world.now - 2 * DAY}
    closed, opened = (told["positions"]["positions"][new_uuid(seed)] for seed in ("c1", "o1"))
    assert (closed["tp"], closed["t"], closed["c"], closed["rp"]) == (
        BTC[1],
        "FLAT",
        world.now - 8 * DAY,
        pytest.approx(10.0),
    )
    assert set(closed["fo"]) == {new_uuid("c1"), new_uuid("c2")}
    assert (opened["tp"], opened["t"], opened["up"]) == (FUEL[1], "LONG", pytest.approx(4.0))
    assert "c" not in opened
    assert set(told["limit_orders"]["open_orders"]) == {new_uuid(1)}
    assert "closed_orders" not in told["limit_orders"]
    assert len(told["ledger"]["checkpoints"]) == 20
    assert {one["s"] for one in told["ledger"]["checkpoints"].values()} == {"CHALLENGE", "MAINCOMP"}
    assert len(told["statistics"]["daily_returns"]) == 4  # complete days in twenty spans of six hours
    size = told["account_size_data"]
    assert (size["account_size"], size["balance"]) == (50_000.0, pytest.approx(50_009.5))
    assert told["drawdown"]["criteria"] == "trailing"
    assert set(times_of(told)) == set(SINCE)


def test_who_sends_the_times_back_is_told_of_open_positions_alone(world: World) -> None:
    trade(world)
    world.clock.sleep(MARGIN_MS / 1000 + 1)
    times = times_of(dashboard(world))
    again = dashboard(world, times)

    assert set(again["positions"]["positions"]) == {new_uuid("o1")}
    assert not {"limit_orders", "statistics"} & set(again)
    assert "checkpoints" not in again["ledger"]
    assert times_of(again) == {"positions_time_ms": times["positions_time_ms"]}


def test_what_happens_meanwhile_is_told(world: World) -> None:
    trade(world)
    world.clock.sleep(MARGIN_MS / 1000 + 1)
    times = times_of(dashboard(world))
    world.clock.sleep(HOUR / 1000)
    now = world.now
    world.put(position("a", [fill("o1", 4, 5.0, now - DAY - HOUR), fill("o2", 0, 7.0, now - 1)]))
    world.put_orders(
        resting("a", 1, now - 2 * HOUR, src=int(OrderSource.LIMIT_FILLED)), resting("a", 3, now - 1)
    )
    told = dashboard(world, times)

    (closed,) = told["positions"]["positions"].values()
    assert closed["c"] == now - 1
    assert "all_time_returns" in told["positions"]
    assert set(told["limit_orders"]["open_orders"]) == {new_uuid(3)}
    assert told["limit_orders"]["closed_orders"] == [new_uuid(1)]


def test_what_was_learnt_within_the_last_moments_is_told_again(world: World) -> None:
    """A poll that ends now may bring something that happened seconds ago: bounds stay behind the present."""
    trade(world)
    world.put_orders(resting("a", 4, world.now))
    times = times_of(dashboard(world))

    assert times["limit_orders_time_ms"] <= world.now - MARGIN_MS
    assert new_uuid(4) in dashboard(world, times)["limit_orders"]["open_orders"]


def test_the_same_dashboard_has_the_same_tag_at_any_time(world: World) -> None:
    trade(world)
    world.clock.sleep(MARGIN_MS / 1000 + 1)  # until then the bounds move with the clock
    tag = world.get(PATH).headers["ETag"]
    world.clock.sleep(5)

    again = world.get(PATH, If_None_Match=tag)
    assert again.status_code == 304
    assert again.data == b""
    world.mark(7.0)
    assert world.get(PATH, If_None_Match=tag).status_code == 200


def test_a_key_limited_to_vanta_sees_vantas_pairs_alone(world: World) -> None:
    trade(world)
    told = dashboard(world, key="kvanta")

    assert set(told["positions"]["positions"]) == {new_uuid("c1")}
    assert "limit_orders" not in told


def test_who_is_out_shows_why(world: World) -> None:
    trade(world)
    eliminate(world, "a", "MAX_TOTAL_DRAWDOWN", dd=11.5)

    assert dashboard(world)["elimination"] == {
        "elimination_initiated_time_ms": world.now,
        "reason": "MAX_TOTAL_DRAWDOWN",
        "dd": 11.5,
    }


def test_a_miner_of_whom_only_a_bucket_is_known_is_found(world: World) -> None:
    put_bucket(world, admitted("a", "CHALLENGE", world.now))

    assert dashboard(world) == {"challenge_period": {"bucket": "CHALLENGE", "start_time_ms": world.now}}
