"""``/development/order``: an account of its own that nobody but operators ever sees."""

from __future__ import annotations

import ast
import json
from typing import Any, Final

import pytest

from journal.entry import ACTIONS, DURABLE_STREAMS, Appended, Draft, UnavailableError
from rest_server.routes.development import NO_ACCESS
from tests.rest_server.entities import api_key, with_entity
from tests.rest_server.ruled import NO_SCOPE, Ask, Case, check, penalise, spans, undemonstrated
from tests.rest_server.world import BTC, World, fill, position, strict_json
from validator.orders.desk import ACTIONS as DESK_STREAM
from validator.orders.desk import DEVELOPMENT

ROUTE, PATH = "development.development_order", "/development/order"
LONG: Final[dict[str, Any]] = {"trade_pair_id": "BTCUSD", "order_type": "LONG", "leverage": 0.1}
LIMIT: Final = {**LONG, "execution_type": "LIMIT", "limit_price": 90_000.0}
FLAT: Final = {"trade_pair_id": "BTCUSD", "order_type": "FLAT"}
PLACES: Final = ("/miner-positions/DEVELOPMENT", "/limit-orders/DEVELOPMENT", "/orders/DEVELOPMENT")


def send(body: Any, key: str | None = "k200", **more: Any) -> Ask:
    """Post to a world in which bitcoin costs 100,000."""

    def ask(world: World) -> Any:
        world.mark(100_000, pair=BTC)
        return world.post(PATH, body, key, **more)

    return ask


def refused(problem: str, **body: Any) -> Case:
    return Case(ROUTE, 400, f"Signal error: {problem}", send({**LONG, **body}))


def with_an_entitys_key(world: World) -> Any:
    with_entity(world)
    return world.post(PATH, LONG, api_key(world))


def without_a_journal(world: World) -> Any:
    def refuse(drafts: list[Draft]) -> list[Appended]:
        raise UnavailableError("full")

    world.mark(100_000, pair=BTC)
    world.journal.append = refuse  # type: ignore[method-assign, assignment]
    return world.post(PATH, LONG, "k200")


CASES = [
    Case(ROUTE, 401, "Unauthorized access", send(LONG, None)),
    Case(ROUTE, 401, "Unauthorized access", send(LONG, "nobody")),
    Case(ROUTE, 403, NO_SCOPE, send(LONG, "kws")),
    *(Case(ROUTE, 403, NO_ACCESS, send(LONG, key)) for key in ("k0", "k30", "k50", "k100")),
    Case(ROUTE, 403, "Your API key belongs to another entity", with_an_entitys_key),
    Case(ROUTE, 400, "Content-Type must be application/json", send(b"{}", content_type="text/plain")),
    Case(ROUTE, 400, "Invalid JSON body", send(b"{")),
    Case(ROUTE, 400, "Invalid JSON body", send({})),
    Case(ROUTE, 400, "Invalid JSON body", send([LONG])),
    refused("Missing required field: order_type", order_type=None),
    refused("Invalid order_type: 'UP'. Valid values are: LONG, SHORT, FLAT", order_type="UP"),
    refused("Invalid trade pair: None", trade_pair_id=None),
    refused("Invalid trade pair: 'BTCEUR'", trade_pair_id="BTCEUR"),
    refused("Exactly one of leverage, value, quantity must be set, got none", leverage=None),
    refused("Exactly one of leverage, value, quantity must be set, got leverage, value", value=5),
    refused("leverage must be a finite number", leverage="much"),
    refused("leverage must be a finite number", leverage=True),
    refused("leverage must not be 0", leverage=0),
    refused("leverage must be positive for LONG orders", leverage=-0.1),
    refused("limit_price must be set for LIMIT orders", execution_type="LIMIT"),
    refused("limit_price must be greater than 0", execution_type="LIMIT", limit_price=0),
    refused(
        "FLAT order is not supported for LIMIT orders",
        execution_type="LIMIT",
        order_type="FLAT",
        limit_price=1,
    ),
    refused("order_uuid is required to cancel an order", execution_type="LIMIT_CANCEL"),
    refused("order_uuid must be text of 1 to 128 printable characters", order_uuid=5),
    refused(
        "No unfilled limit orders found for DEVELOPMENT (uuid=x)",
        execution_type="LIMIT_CANCEL",
        order_uuid="x",
    ),
    Case(ROUTE, 503, "Service temporarily unavailable", without_a_journal),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence_and_does_nothing(world: World, case: Case) -> None:
    check(world, case)
    assert world.journal.head(ACTIONS) == 0


def test_every_declared_refusal_is_shown(world: World) -> None:
    told = {text for _, _, text in undemonstrated(world, "development", CASES)}
    assert told <= {"Signal error: {problem}"}


def place(world: World, body: dict[str, Any], key: str = "k200") -> dict[str, Any]:
    """Place an order; what was told."""
    answer = send(body, key)(world)
    assert answer.status_code == 200, answer.get_json()
    world.clock.sleep(31)
    found: dict[str, Any] = strict_json(answer.data)
    assert found["status"] == "success"
    return found


def test_the_order_is_told_as_python_shows_it_and_as_an_object(world: World) -> None:
    told = place(world, {**LONG, "order_uuid": "mine"})

    assert (told["execution_type"], told["order_uuid"]) == ("MARKET", "mine")
    assert told["order"].startswith("{'")
    shown = ast.literal_eval(told["order"])
    assert shown == told["order_record"]
    assert (shown["trade_pair_id"], shown["order_type"], shown["leverage"]) == ("BTCUSD", "LONG", 0.1)
    assert shown["order_uuid"] == "mine"
    assert not {"miner_hotkey", "venue"} & set(shown)


def test_an_order_without_a_uuid_gets_one(world: World) -> None:
    first, second = place(world, LONG), place(world, LIMIT)

    assert len({first["order_uuid"], second["order_uuid"]}) == 2
    assert second["execution_type"] == "LIMIT"
    assert second["order_record"]["limit_price"] == 90_000.0


def test_a_cancellation_is_told_as_json(world: World) -> None:
    uuid = place(world, LIMIT)["order_uuid"]
    at_ms = world.now
    told = place(world, {"execution_type": "LIMIT_CANCEL", "order_uuid": uuid})

    assert told["execution_type"] == "LIMIT_CANCEL"
    assert json.loads(told["order"]) == told["order_record"]
    assert told["order_record"] == {
        "status": "cancelled",
        "order_uuid": uuid,
        "miner_hotkey": DEVELOPMENT,
        "cancelled_ms": at_ms,
        "num_cancelled": 1,
    }


def test_a_filled_limit_order_with_a_stop_makes_a_bracket_that_its_parent_cancels(world: World) -> None:
    told = place(world, {**LIMIT, "limit_price": 100_000.0, "stop_loss": 90_000.0, "order_uuid": "p"})
    resting = world.get("/limit-orders/DEVELOPMENT", "k200").get_json()
    cancelled = place(world, {"execution_type": "LIMIT_CANCEL", "order_uuid": "p"})

    assert told["order_uuid"] == "p"
    assert [row["order_uuid"] for row in resting] == ["p-bracket"]
    assert cancelled["order_record"]["num_cancelled"] == 1


def test_operators_see_the_account_and_nobody_else_does(world: World) -> None:
    place(world, LONG)
    place(world, LIMIT)
    with_entity(world)
    entity_key = api_key(world)

    shown = world.get("/miner-positions/DEVELOPMENT", "k200").get_json()
    (held,) = shown["positions"]
    assert (held["miner_hotkey"], held["trade_pair"][0]) == (DEVELOPMENT, "BTCUSD")
    assert "total_leverage" not in shown
    assert len(world.get("/limit-orders/DEVELOPMENT", "k500").get_json()) == 1
    by_status = world.get("/orders/DEVELOPMENT", "k200").get_json()
    assert [len(by_status[name]) for name in ("unfilled", "filled", "cancelled")] == [1, 0, 0]
    for path in PLACES:
        for key in ("k100", entity_key):
            assert world.get(path, key).status_code == 404, (path, key)


@pytest.mark.parametrize("key", ["k100", "k200", "k500"])
def test_the_account_is_in_no_list_no_checkpoint_and_no_stream(world: World, key: str) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now - 5)]))
    spans(world, "a", 4)
    penalise(world, "a")
    before = {name: world.journal.head(name) for name in DURABLE_STREAMS}
    place(world, {**LONG, "stop_loss": 90_000.0})
    place(world, LIMIT)

    for path in (
        *("/miner-hotkeys", "/miner-positions", "/validator-checkpoint", "/statistics", "/eliminations"),
        *("/debt-ledger", "/v1/events?after=0", "/miner-selections", "/hl-leaderboard"),
    ):
        answer = world.get(path, key)
        assert answer.status_code == 200, path
        assert DEVELOPMENT not in answer.get_data(as_text=True), path
    for path in ("/miner/DEVELOPMENT", "/perf-ledger/DEVELOPMENT", "/challenge-period/DEVELOPMENT"):
        assert world.get(path, key).status_code == 404, path
    after = {name: world.journal.head(name) for name in DURABLE_STREAMS}
    assert {name for name in after if after[name] != before[name]} == {ACTIONS}
    assert DESK_STREAM == ACTIONS


def test_the_account_outlives_a_restart(world: World) -> None:
    place(world, LONG)
    uuid = place(world, LIMIT)["order_uuid"]
    before = [world.get(path, "k200").get_json() for path in PLACES]
    world.start()

    assert [world.get(path, "k200").get_json() for path in PLACES] == before
    place(world, {"execution_type": "LIMIT_CANCEL", "order_uuid": uuid})
    place(world, FLAT)
    (held,) = world.get("/miner-positions/DEVELOPMENT", "k200").get_json()["positions"]
    assert held["is_closed_position"] is True


def test_without_a_first_order_there_is_no_account(world: World) -> None:
    assert [world.get(path, "k200").status_code for path in PLACES] == [404, 404, 404]
