"""``/limit-orders/<id>`` and ``/orders/<id>``."""

from __future__ import annotations

import pytest

from rest_server.models import LimitOrder
from tests.rest_server.world import BTC, DAY, HOUR, World, new_uuid, plain, resting
from vanta_api.records import OrderSource, VenueFacts


def uuids(rows: list[dict[str, object]]) -> list[object]:
    return [row["order_uuid"] for row in rows]


def test_without_status_the_unfilled_orders_come_as_a_list(world: World) -> None:
    now = world.now
    world.put_orders(
        resting("a", 2, now - HOUR),
        resting("a", 1, now - 2 * HOUR),
        resting("a", 3, now - HOUR, src=int(OrderSource.LIMIT_FILLED)),
        resting("b", 4, now - HOUR),
    )
    rows = world.get("/limit-orders/a").get_json()

    assert uuids(rows) == [new_uuid(1), new_uuid(2)]
    assert set(rows[0]) == set(LimitOrder.__struct_fields__)
    assert rows[0]["trade_pair"] == ["O2:FUEL/USDC", "FUEL/USDC"]


def test_with_status_they_come_by_status(world: World) -> None:
    now = world.now
    world.put_orders(
        resting("a", 1, now - HOUR),
        resting("a", 2, now - HOUR, src=int(OrderSource.LIMIT_FILLED)),
        resting("a", 3, now - HOUR, src=int(OrderSource.LIMIT_CANCELLED)),
    )
    some = world.get("/limit-orders/a?status=cancelled,unfilled").get_json()
    every = world.get("/orders/a").get_json()

    assert {status: uuids(rows) for status, rows in some.items()} == {
        "unfilled": [new_uuid(1)],
        "cancelled": [new_uuid(3)],
    }
    assert {status: len(rows) for status, rows in every.items()} == {
        "unfilled": 1,
        "filled": 1,
        "cancelled": 1,
    }
    assert every["filled"][0] == plain(resting("a", 2, now - HOUR, src=6))


@pytest.mark.parametrize("route", ["/limit-orders/a", "/orders/a"])
@pytest.mark.parametrize("status", ["open", "unfilled,open", "", "unfilled,"])
def test_an_unknown_status_is_refused_by_name(world: World, route: str, status: str) -> None:
    answer = world.get(f"{route}?status={status}")

    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("Invalid status values: {")
    assert answer.get_json()["error"].endswith("Valid values are: unfilled, filled, cancelled")


def test_a_miner_without_orders_is_not_found(world: World) -> None:
    world.put_orders(resting("a", 1, world.now, src=int(OrderSource.LIMIT_CANCELLED)))

    assert world.get("/limit-orders/nobody").get_json()["error"] == "No limit orders found for miner nobody"
    assert world.get("/limit-orders/a").status_code == 404
    assert world.get("/orders/nobody").get_json()["error"] == "No orders found for miner nobody"
    assert world.get("/orders/a?status=unfilled").status_code == 404


def test_orders_need_tier_100(world: World) -> None:
    for key in ("k0", "k30", "k50"):
        answer = world.get("/orders/a", key)
        assert answer.status_code == 403
        assert answer.get_json()["error"] == "Your API key does not have access to tier 100 data"


def test_a_key_limited_to_vanta_sees_only_vantas_pairs(world: World) -> None:
    bitcoin = resting("a", 2, world.now, trade_pair_id=BTC[0], trade_pair=BTC)
    world.put_orders(resting("a", 1, world.now), bitcoin)

    assert uuids(world.get("/limit-orders/a", "kvanta").get_json()) == [new_uuid(2)]
    assert uuids(world.get("/orders/a", "kvanta").get_json()["unfilled"]) == [new_uuid(2)]


def test_a_delayed_tier_sees_an_order_only_24_hours_after_it_was_placed(world: World) -> None:
    placed = world.now
    world.put_orders(resting("a", 1, placed))

    assert world.get("/limit-orders/a", "k100").status_code == 200
    world.clock.sleep(DAY / 1000)
    assert world.get("/limit-orders/a", "k50").status_code == 404
    world.clock.sleep(0.001)
    assert uuids(world.get("/limit-orders/a", "k50").get_json()) == [new_uuid(1)]


def test_a_delayed_tier_learns_of_a_fill_24_hours_later(world: World) -> None:
    order = resting("a", 1, world.now - 3 * DAY)
    world.put_orders(order)
    world.clock.sleep(2 * HOUR / 1000)
    world.put_orders(resting("a", 1, order.processed_ms, src=int(OrderSource.LIMIT_FILLED), price=0.5))

    assert world.get("/limit-orders/a", "k100").status_code == 404
    (before,) = world.get("/limit-orders/a?status=unfilled,filled", "k0").get_json()["unfilled"]
    assert (before["src"], before["price"]) == (5, 0.0)
    world.clock.sleep(DAY / 1000)
    world.put_orders(resting("b", 2, world.now))  # something else is news at this very moment
    assert len(world.get("/limit-orders/a", "k0").get_json()) == 1
    world.clock.sleep(0.001)
    assert world.get("/limit-orders/a", "k0").status_code == 404
    after = world.get("/limit-orders/a?status=filled", "k0").get_json()
    assert uuids(after["filled"]) == [new_uuid(1)]


def test_an_order_first_seen_partly_filled_is_withheld_for_24_hours(world: World) -> None:
    """Nobody knows how much of it was filled yesterday."""
    facts = VenueFacts(
        name="o2", account="a", instrument="FUEL/USDC", filled="0.5", venue_ms=world.now - 3 * DAY
    )
    world.put_orders(resting("a", 1, world.now - 3 * DAY, venue=facts))

    assert world.get("/limit-orders/a", "k0").status_code == 404
    world.clock.sleep(DAY / 1000 + 0.001)
    assert world.get("/limit-orders/a", "k0").status_code == 200


def test_after_a_restart_a_delayed_tier_still_sees_the_older_state(world: World) -> None:
    order = resting("a", 1, world.now - 3 * DAY)
    world.put_orders(order)
    world.clock.sleep(1)
    world.put_orders(resting("a", 1, order.processed_ms, src=int(OrderSource.LIMIT_CANCELLED)))
    world.start()

    (row,) = world.get("/limit-orders/a", "k0").get_json()
    assert row["src"] == 5
    assert world.get("/limit-orders/a", "k100").status_code == 404
