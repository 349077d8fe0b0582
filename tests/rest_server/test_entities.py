"""Entities at work: what is answered, what clients really send, replays, keys, eliminations."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from journal.entry import POSITIONS, REGISTRY
from rest_server.entity_models import AllEntities, Created, DashboardAnswer, OneEntity
from tests.rest_server.entities import (
    COLDKEY,
    ENTITY,
    OWNERSHIP,
    STRANGERS_HOTKEY,
    SUBACCOUNT,
    UUID,
    api_key,
    endpoint,
    registration,
    signed,
    told,
    wish,
    with_entity,
)
from tests.rest_server.world import HOUR, PLENTY, Make, World, fill, position, resting, shown, strict_json
from tests.validator.collateral.people import OTHER
from tests.validator.entities.people import creation
from validator.gate import Gate
from validator.registry import Registry

SEED_HOTKEY = "5GhDr3xy...abc"


def created(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.get_json()
    body = answer.get_json()
    assert body["status"] == "success"
    found: dict[str, Any] = body["subaccount"]
    return found


# The examples of the documentation


def test_the_documented_workflow(world: World) -> None:
    """Register, create, look, eliminate: requests and answers as documented."""
    answer = world.post(
        "/entity/register",
        {"entity_hotkey": SEED_HOTKEY, "collateral_amount": 5000.0, "max_subaccounts": 10},
        "k200",
    )
    assert answer.get_json() == {
        "status": "success",
        "message": f"Entity {SEED_HOTKEY} registered successfully",
        "entity_hotkey": SEED_HOTKEY,
    }
    made = []
    for number in range(2):
        answer = world.post("/entity/create-subaccount", {"entity_hotkey": SEED_HOTKEY}, "k200")
        assert answer.get_json()["message"] == f"Subaccount {number} created successfully"
        made.append(created(answer))
    found = world.get(f"/entity/{SEED_HOTKEY}", "k200").get_json()
    everybody = world.get("/entities", "k200").get_json()
    answer = world.post(
        "/entity/subaccount/eliminate",
        {"entity_hotkey": SEED_HOTKEY, "subaccount_id": 0, "reason": "manual_elimination"},
        "k200",
    )

    assert made[0] == {
        "subaccount_id": 0,
        "subaccount_uuid": made[0]["subaccount_uuid"],
        "synthetic_hotkey": f"{SEED_HOTKEY}_0",
        "status": "active",
        "created_at_ms": world.now,
        "eliminated_at_ms": None,
        "account_size": 100_000.0,
        "asset_class": "crypto",
        "hl_address": None,
        "payout_address": None,
    }
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made[0]["subaccount_uuid"]
    )
    assert found == {
        "status": "success",
        "entity": {
            "entity_hotkey": SEED_HOTKEY,
            "subaccounts": {"0": made[0], "1": made[1]},
            "next_subaccount_id": 2,
            "collateral_amount": 5000.0,
            "max_subaccounts": 10,
            "registered_at_ms": world.now,
            "endpoint_url": None,
        },
    }
    assert everybody == {
        "status": "success",
        "entities": {SEED_HOTKEY: found["entity"]},
        "entity_count": 1,
        "timestamp": world.now,
    }
    assert answer.get_json() == {"status": "success", "message": "Subaccount 0 eliminated successfully"}


def test_what_is_left_out_has_its_default(world: World) -> None:
    world.post("/entity/register", {"entity_hotkey": ENTITY}, "k200")
    row = world.get(f"/entity/{ENTITY}", "k200").get_json()["entity"]

    assert (row["collateral_amount"], row["max_subaccounts"], row["subaccounts"]) == (0.0, 500, {})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"/entity/{ENTITY}", OneEntity),
        ("/entities", AllEntities),
        (f"/entity/subaccount/{SUBACCOUNT}", DashboardAnswer),
    ],
)
def test_answers_have_the_documented_types(world: World, path: str, kind: Any) -> None:
    with_entity(world, 2)
    msgspec.json.decode(world.get(path, "k200").data, type=kind)
    msgspec.json.decode(world.post("/entity/create-subaccount", wish(), None).data, type=Created)


# What clients send


CLI = [
    pytest.param({"version": "3.0.3"}, id="with its version"),
    pytest.param({"ptncli_version": "2.0.0"}, id="with the version's older name"),
    pytest.param({}, id="without a version"),
]


@pytest.mark.parametrize("unsigned", CLI)
def test_the_command_line_client_registers_creates_and_fetches_its_key(
    world: World, unsigned: dict[str, Any]
) -> None:
    """It sends no key, and reads numbers with a format that null would break."""
    answer = world.post("/entity/register", registration(**unsigned)).get_json()
    assert (answer["status"], answer["entity_hotkey"]) == ("success", ENTITY)
    row = created(world.post("/entity/create-subaccount", {**wish(25000.0), **unsigned}))
    assert f"{row['account_size']:,.2f}" == "25,000.00"
    assert f"{row['asset_class']:>8}" == "  crypto"
    assert (row["synthetic_hotkey"], row["subaccount_id"], row["status"]) == (SUBACCOUNT, 0, "active")
    assert isinstance(row["subaccount_uuid"], str)
    key = world.post("/request-api-key", registration(**unsigned)).get_json()["api_key"]
    assert isinstance(key, str)


@pytest.mark.parametrize("size", [25000, 25000.0, 0.1, 1e-5, 1e15, 123456789.123])
@pytest.mark.parametrize("prefix", ["", "0x"])
def test_a_creation_is_verified_as_sent(world: World, size: float, prefix: str) -> None:
    with_entity(world, 0)
    body = wish(size)
    body["signature"] = prefix + body["signature"]

    assert created(world.post("/entity/create-subaccount", body))["account_size"] == size


def test_a_creation_may_be_signed_with_the_size_as_a_float_and_sent_as_a_whole_number(world: World) -> None:
    with_entity(world, 0)
    body = {**wish(25000.0), "account_size": 25000}

    assert created(world.post("/entity/create-subaccount", body))["account_size"] == 25000.0
    assert (
        world.post("/entity/create-subaccount", {**wish(25000), "account_size": 25000.5}).status_code == 401
    )


def test_whatever_else_is_sent_is_signed_too(world: World) -> None:
    with_entity(world, 0)
    more = {
        "hl_address": "0xAbC",
        "payout_address": "0xdef",
        "bucket": "SUBACCOUNT_CHALLENGE",
        "pro_account_size": 50000,
        "eod_hwm_threshold": 0.05,
        "intraday_drawdown_threshold": 0.04,
    }
    row = created(world.post("/entity/create-hl-subaccount", wish(**more)))

    assert {name: row[name] for name in more} == more
    for name in more:
        changed = {**wish(**more), name: "other"}
        assert world.post("/entity/create-subaccount", changed).status_code == 401, name
    assert created(world.post("/entity/create-subaccount", {**wish(), "hl_address": None}))


def test_an_operators_key_needs_no_signature_and_is_not_asked_for_one(world: World) -> None:
    body = {"entity_hotkey": ENTITY, "entity_coldkey": "nobody", "signature": "nonsense"}
    assert world.post("/entity/register", body, "k200").status_code == 200
    assert world.post("/entity/create-subaccount", {"entity_hotkey": ENTITY}, "k200").status_code == 200


def test_a_weak_key_with_a_good_signature_is_enough(world: World) -> None:
    assert world.post("/entity/register", registration(), "k0").status_code == 200
    assert world.post("/entity/create-subaccount", wish(), "k100").status_code == 200
    assert world.post("/entity/create-subaccount", wish(), "nobody").status_code == 401


def test_the_web_app_asks_for_endpoints_dashboards_and_payouts(world: World) -> None:
    """A payout with a field that is not ours; no history is 404, which the app shows as none."""
    with_entity(world, 0)
    row = created(world.post("/entity/create-subaccount", wish(hl_address="0xAbC")))
    assert world.post("/entity/set-endpoint", endpoint()).get_json() == {
        "status": "success",
        "message": f"Endpoint for entity {ENTITY} set successfully",
        "entity_hotkey": ENTITY,
        "endpoint_url": "https://entity.example/api",
    }
    for query in ("hl_address=0xabc", "hl_address=0xABC", f"subaccount={SUBACCOUNT}"):
        assert world.get(f"/entity/endpoint?{query}", None).get_json() == {
            "status": "success",
            "entity_hotkey": ENTITY,
            "endpoint_url": "https://entity.example/api",
        }
    dashboard = world.get(f"/v2/entity/subaccount/{SUBACCOUNT}?checkpoints_time_ms=0", "k200")
    assert dashboard.status_code == 200
    asked = {
        "hl_address": "0xabc",
        "subaccount_uuid": row["subaccount_uuid"],
        "start_time_ms": 0,
        "end_time_ms": world.now,
    }
    assert world.post("/entity/subaccount/payout", asked, "k200").status_code == 404


# Replays


def test_a_captured_creation_creates_nothing_more(world: World) -> None:
    with_entity(world, 0)
    body = wish()
    first = created(world.post("/entity/create-subaccount", body))
    head = world.journal.head(REGISTRY)
    shouted = {**body, "signature": "0x" + body["signature"].upper()}
    again = [created(world.post("/entity/create-subaccount", one)) for one in (body, shouted)]
    world.start()

    assert again == [first, first]
    assert created(world.post("/entity/create-hl-subaccount", body)) == first
    assert world.journal.head(REGISTRY) == head
    assert created(world.post("/entity/create-subaccount", wish()))["subaccount_id"] == 1


def test_an_idempotency_key_makes_a_retry_safe(world: World) -> None:
    with_entity(world, 0)

    def create(key: str, **more: Any) -> int:
        headers = {"Authorization": "Bearer k200", "Idempotency-Key": key}
        body = {"entity_hotkey": ENTITY, **more}
        answer = world.client.post("/entity/create-subaccount", json=body, headers=headers)
        return int(created(answer)["subaccount_id"])

    assert [create("a"), create("a"), create("b"), create("a"), create("a", account_size=5)] == [
        0,
        0,
        1,
        0,
        2,
    ]


def test_an_old_endpoint_request_does_not_set_it_back(world: World) -> None:
    with_entity(world)
    old = endpoint("https://old.example")
    for body in (old, endpoint("https://new.example"), old):
        answer = world.post("/entity/set-endpoint", body)
    assert answer.get_json()["endpoint_url"] == "https://new.example"


def test_whoever_saw_a_registration_cannot_fetch_the_key(world: World) -> None:
    seen = registration()
    world.post("/entity/register", seen)
    assert world.post("/request-api-key", seen).status_code == 401
    assert world.post("/request-api-key", {**seen, "signature": "0x" + seen["signature"]}).status_code == 401
    assert world.post("/request-api-key", registration()).status_code == 200


# Keys


def test_an_entitys_key_is_always_the_same_and_nothing_of_it_is_kept(world: World) -> None:
    with_entity(world)
    key = api_key(world)
    world.start()

    assert api_key(world) == key
    secret = (world.settings.data_dir / "entity_api_key.secret").read_text().strip()
    kept = b"".join(entry.body for entry in world.journal.read(REGISTRY, 0).entries).decode()
    for text in (key, key.rpartition(".")[2], secret):
        assert text not in kept


def test_an_entitys_key_is_tier_200_for_that_entity(world: World) -> None:
    with_entity(world)
    world.post("/entity/register", {"entity_hotkey": "5Other"}, "k200")
    key = api_key(world)
    world.put(position("miner", [fill("m", 1, 2.0, world.now - HOUR)]))

    assert list(world.get("/entities", key).get_json()["entities"]) == [ENTITY]
    assert world.get(f"/entity/subaccount/{SUBACCOUNT}", key).status_code == 200
    assert created(world.post("/entity/create-subaccount", {"entity_hotkey": ENTITY}, key))
    assert (
        world.post(
            "/entity/set-endpoint", {"entity_hotkey": ENTITY, "endpoint_url": "https://a"}, key
        ).status_code
        == 200
    )
    assert (
        world.post(
            "/entity/subaccount/eliminate", {"entity_hotkey": ENTITY, "subaccount_id": 1}, key
        ).status_code
        == 200
    )
    assert world.get("/validator-checkpoint", key).status_code == 200
    assert len(shown(world.get("/miner-positions", key), "miner")) == 1
    for path in ("/entity/5Other", "/v1/events?stream=registry"):
        assert world.get(path, key).status_code == 403, path
    remote = {"REMOTE_ADDR": "203.0.113.9"}
    headers = {"Authorization": f"Bearer {key}"}
    assert world.client.get("/metrics", headers=headers, environ_overrides=remote).status_code == 403


@pytest.mark.parametrize("change", ["", "x", "cut", "other entity", "upper"])
def test_a_changed_key_opens_nothing(world: World, change: str) -> None:
    with_entity(world)
    world.post("/entity/register", {"entity_hotkey": "5Other"}, "k200")
    key = api_key(world)
    wrong = {
        "": "",
        "x": key + "x",
        "cut": key[:-1],
        "other entity": key.replace(ENTITY, "5Other"),
        "upper": key.upper(),
    }[change]
    assert world.get("/entities", wrong).status_code == 401


# Dashboards


def traded(world: World) -> None:
    """A subaccount with a closed and an open position and a resting order."""
    with_entity(world, 0)
    world.desk.clerk.create(creation(ENTITY, account_size=10_000.0))
    old = world.now - 2 * HOUR
    world.put(
        position(SUBACCOUNT, [fill("c1", 10, 2.0, old), fill("c2", 0, 3.0, old + HOUR)]),
        position(SUBACCOUNT, [fill("o1", 100, 2.0, world.now - HOUR)]),
    )
    world.put_orders(resting(SUBACCOUNT, 1, world.now - HOUR))
    world.mark(2.5)


def dashboard_of(world: World, hotkey: str = SUBACCOUNT) -> dict[str, Any]:
    answer = world.get(f"/entity/subaccount/{hotkey}", "k200")
    assert answer.status_code == 200
    found: dict[str, Any] = strict_json(answer.data)["dashboard"]
    return found


def test_the_dashboard_shows_open_positions_only(world: World) -> None:
    traded(world)
    seen = dashboard_of(world)
    (opened,) = seen["positions"]["positions"]

    assert (opened["is_closed_position"], opened["close_ms"], opened["unrealized_pnl"]) == (False, 0, 50.0)
    assert seen["positions"]["total_leverage"] == opened["net_leverage"]
    assert seen["positions"]["n_positions"] == 2
    assert [order["limit_price"] for order in seen["limit_orders"]] == [0.5]
    assert seen["account_size_data"]["account_size"] == 10_000.0
    assert seen["account_size_data"]["total_realized_pnl"] == 10.0
    assert seen["drawdown"]["current_equity"] == pytest.approx(1.006)
    assert (seen["elimination"], seen["challenge_period"], seen["residual"]) == (None, None, [])
    assert set(seen["subaccount_info"]) >= {
        *(
            "synthetic_hotkey",
            "entity_hotkey",
            "subaccount_id",
            "status",
            "created_at_ms",
            "eliminated_at_ms",
        ),
        *("account_size", "asset_class"),
    }


def test_a_subaccount_that_never_traded_has_no_positions(world: World) -> None:
    with_entity(world)
    seen = dashboard_of(world)

    assert (seen["positions"], seen["ledger"], seen["statistics"], seen["limit_orders"]) == (
        None,
        None,
        None,
        [],
    )


@pytest.mark.parametrize(
    "form", ["{0}", "W/{1}", '"x", {0}', "{0} , W/{1}", "*", ' {0},"y"', "{1}"], ids=range(7)
)
@pytest.mark.parametrize("path", ["/entity/subaccount/{}", "/v2/entity/subaccount/{}"])
def test_an_unchanged_dashboard_is_not_sent_again(world: World, path: str, form: str) -> None:
    traded(world)
    address = path.format(SUBACCOUNT)
    first = world.get(address, "k200")
    tag = first.headers["ETag"]
    world.clock.sleep(0.004)
    again = world.get(address, "k200", If_None_Match=form.format(tag, tag.removeprefix("W/")))

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    world.mark(3.0)
    changed = world.get(address, "k200", If_None_Match=tag)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert changed.get_json()["timestamp"] == world.now > first.get_json()["timestamp"]


def test_registered_facts_move_the_tag_too(world: World) -> None:
    with_entity(world)
    tag = world.get(f"/entity/subaccount/{SUBACCOUNT}", "k200").headers["ETag"]
    world.post("/entity/subaccount/eliminate", {"entity_hotkey": ENTITY, "subaccount_id": 0}, "k200")
    answer = world.get(f"/entity/subaccount/{SUBACCOUNT}", "k200", If_None_Match=tag)

    assert answer.status_code == 200
    assert answer.get_json()["dashboard"]["subaccount_info"]["status"] == "eliminated"


def test_head_has_the_headers_of_get(world: World) -> None:
    traded(world)
    path = f"/entity/subaccount/{SUBACCOUNT}"
    headers = {"Authorization": "Bearer k200"}
    head, whole = world.client.head(path, headers=headers), world.get(path, "k200")

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == whole.headers["ETag"]


def test_the_compact_dashboard_tells_only_what_is_new(world: World) -> None:
    traded(world)
    first = world.get(f"/v2/entity/subaccount/{SUBACCOUNT}", "k200").get_json()["dashboard"]
    times = {
        "positions_time_ms": first["positions"]["positions_time_ms"],
        "limit_orders_time_ms": first["limit_orders"]["limit_orders_time_ms"],
    }
    query = "&".join(f"{name}={ms}" for name, ms in times.items())
    second = world.get(f"/v2/entity/subaccount/{SUBACCOUNT}?{query}", "k200").get_json()["dashboard"]

    assert len(first["positions"]["positions"]) == 2
    assert len(first["limit_orders"]["open_orders"]) == 1
    assert [one["t"] for one in second["positions"]["positions"].values()] == ["LONG"]  # its value moves
    assert "limit_orders" not in second
    assert {"ledger", "statistics"}.isdisjoint(first)
    (closed,) = [one for one in first["positions"]["positions"].values() if "c" in one]
    assert closed["rp"] == 10.0
    assert len(closed["fo"]) == 2


# Eliminations


def test_an_elimination_closes_what_is_open_for_good(world: World) -> None:
    """Closed at the price of the moment, by an entry like any other, so that everybody is told."""
    traded(world)
    before = world.journal.head(POSITIONS)
    answer = world.post(
        "/entity/subaccount/eliminate",
        {"entity_hotkey": ENTITY, "subaccount_id": 0, "reason": "poor_performance"},
        "k200",
    )
    again = world.post("/entity/subaccount/eliminate", {"entity_hotkey": ENTITY, "subaccount_id": 0}, "k200")
    entries = world.journal.read(POSITIONS, before).entries
    record = json.loads(entries[0].body)["position"]
    last = record["orders"][-1]

    assert answer.get_json()["message"] == "Subaccount 0 eliminated successfully"
    assert (again.status_code, again.get_json()["message"]) == (200, "Subaccount 0 already eliminated")
    assert len(entries) == 1
    assert (record["is_closed_position"], record["close_ms"], record["realized_pnl"]) == (
        True,
        world.now,
        50.0,
    )
    assert (last["order_type"], last["src"], last["price"]) == ("FLAT", 3, 2.5)
    assert last["order_uuid"] == record["position_uuid"][::-1]
    seen = dashboard_of(world)
    assert seen["positions"]["positions"] == []
    assert seen["elimination"]["reason"] == "poor_performance"
    assert seen["challenge_period"]["bucket"] == "ELIMINATED"
    assert [one["quantity"] for one in seen["residual"]] == ["100"]
    assert seen["limit_orders"] == []
    assert seen["subaccount_info"]["eliminated_at_ms"] == world.now


def test_what_the_venue_still_holds_changes_nothing_any_more(world: World) -> None:
    traded(world)
    world.post("/entity/subaccount/eliminate", {"entity_hotkey": ENTITY, "subaccount_id": 0}, "k200")
    head = world.journal.head(POSITIONS)
    journal, world.journal = world.journal, Gate(world.journal, Registry(world.journal))  # type: ignore[assignment]
    grown = position(SUBACCOUNT, [fill("o1", 100, 2.0, world.now - HOUR), fill("o2", 50, 2.6, world.now)])
    world.put(grown, position("miner", [fill("m", 1, 2.0, world.now)]))
    world.journal = journal

    assert world.journal.head(POSITIONS) == head + 1  # the miner's
    seen = dashboard_of(world)
    assert seen["positions"]["positions"] == []
    assert [one["quantity"] for one in seen["residual"]] == ["150"]


def test_without_a_price_positions_are_closed_at_price_0(world: World) -> None:
    with_entity(world)
    world.put(position(SUBACCOUNT, [fill("o1", 100, 2.0, world.now - HOUR)]))
    world.post("/entity/subaccount/eliminate", {"entity_hotkey": ENTITY, "subaccount_id": 0}, "k200")
    (closed,) = world.get(f"/miner-positions/{SUBACCOUNT}", "k200").get_json()["positions"]

    assert (closed["orders"][-1]["src"], closed["orders"][-1]["price"]) == (1, 0.0)
    assert closed["current_return"] == 1.0


def test_an_eliminated_subaccounts_place_is_free_but_its_id_is_not(world: World) -> None:
    with_entity(world, 2, max_subaccounts=2)
    world.post("/entity/subaccount/eliminate", {"entity_hotkey": ENTITY, "subaccount_id": 1}, "k200")
    row = created(world.post("/entity/create-subaccount", {"entity_hotkey": ENTITY}, "k200"))

    assert row["subaccount_id"] == 2
    hotkeys = world.get("/miner-hotkeys", "k0").get_json()
    assert {f"{ENTITY}_0", f"{ENTITY}_2"} <= set(hotkeys)
    assert f"{ENTITY}_1" not in hotkeys


# Other nodes


def test_a_receiver_is_idempotent_and_raises_the_next_id(world: World) -> None:
    body = told(subaccount_id=7, synthetic_hotkey=f"{ENTITY}_7")
    answers = [world.post("/v1/entity/subaccounts", body, "k200").get_json() for _ in range(2)]
    row = created(world.post("/entity/create-subaccount", {"entity_hotkey": ENTITY}, "k200"))
    entity = world.get(f"/entity/{ENTITY}", "k200").get_json()["entity"]

    assert answers == [{"status": "success", "is_new": True}, {"status": "success", "is_new": False}]
    assert row["subaccount_id"] == 8
    assert list(entity["subaccounts"]) == ["7", "8"]
    assert entity["subaccounts"]["7"]["subaccount_uuid"] == UUID
    assert (entity["next_subaccount_id"], entity["max_subaccounts"]) == (9, 500)


def test_signatures_of_others_open_nothing(world: World) -> None:
    """The owner's coldkey with a stranger's signature, a stranger's coldkey, another hotkey."""
    with_entity(world, 0)
    forged = [
        signed(OWNERSHIP, OTHER),
        signed({**OWNERSHIP, "entity_coldkey": OTHER.ss58_address}, OTHER),
        {**registration(), "entity_hotkey": STRANGERS_HOTKEY},
        {**registration(), "entity_coldkey": OTHER.ss58_address},
        {**OWNERSHIP, "signature": "00" * 64},
    ]
    statuses = [world.post("/request-api-key", body).status_code for body in forged]

    assert statuses == [401, 403, 401, 401, 401]
    assert COLDKEY not in world.get("/entities", "k200").get_data(as_text=True)


def test_guessing_signatures_is_slow(make_world: Make) -> None:
    """A request with neither key nor signature counts as a failed authentication."""
    world = make_world(rest=msgspec.structs.replace(PLENTY, failed_auth_per_minute=3))
    statuses = [world.post("/entity/register", {"entity_hotkey": "a"}).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
