"""Every answer of the entity routes, held against what the routes declare."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from journal.entry import UnavailableError
from rest_server.entity_auth import receipt_of
from rest_server.errors import TEXTS
from rest_server.openapi import routes
from runtime.settings import EntitySettings
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
from tests.rest_server.world import Make, World, bearer, strict_json
from tests.validator.collateral.people import OTHER
from tests.validator.entities.people import creation, entity

OURS: Final = ("entities.", "entity_keys.", "entity_peers.", "subaccounts.")
ELSEWHERE: Final = frozenset((405, 413, 429, 431))  # tested for all routes at once
COMMON: Final = frozenset(
    (TEXTS[400][1], TEXTS[401][1], TEXTS[403][1], TEXTS[500][1], "The server is not ready yet")
)
NO_TIER: Final = "Your API key does not have access to tier 200 data"
NOT_OWNED: Final = "Coldkey does not own the specified hotkey"
NOT_YOURS: Final = "Your API key belongs to another entity"
NOT_JSON: Final = "Content-Type must be application/json"
OLD_CLIENT: Final = (
    "Your vanta-cli version 1.0.4 is outdated and no longer supported. Please upgrade to vanta-cli >= 1.0.5:"
    " pip install --upgrade git+https://github.com/taoshidev/vanta-cli.git"
)
BAD_CLIENT: Final = (
    "Invalid vanta-cli version format: new. Please reinstall vanta-cli:"
    " pip install --upgrade git+https://github.com/taoshidev/vanta-cli.git"
)
PLAIN: Final = {"entity_hotkey": ENTITY}
OUT: Final = {"entity_hotkey": ENTITY, "subaccount_id": 0}
EARNED: Final = {"subaccount_uuid": UUID, "start_time_ms": 0, "end_time_ms": 5}

Ask = Callable[[World], Any]


@dataclass(frozen=True)
class Case:
    """One refusal: the route, its status and sentence, and how it is provoked."""

    route: str
    status: int
    text: str
    ask: Ask

    def __str__(self) -> str:
        return f"{self.route}-{self.status}-{self.text[:30]}"


def post(
    path: str, body: Any, key: str | None = "k200", *, subaccounts: int | None = None, **more: Any
) -> Ask:
    """Post to a world, with an entity first where ``subaccounts`` says so."""

    def ask(world: World) -> Any:
        if subaccounts is not None:
            with_entity(world, subaccounts)
        return world.post(path, body, key, **more)

    return ask


def get(path: str, key: str | None = "k200", *, subaccounts: int | None = None) -> Ask:
    def ask(world: World) -> Any:
        if subaccounts is not None:
            with_entity(world, subaccounts)
        return world.get(path, key)

    return ask


def with_foreign_key(ask: Callable[[World, str], Any]) -> Ask:
    """Ask with the key of an entity about another one's affairs."""

    def asked(world: World) -> Any:
        with_entity(world)
        world.desk.clerk.register(entity("5Other"))
        return ask(world, api_key(world))

    return asked


def other(path: str, body: dict[str, Any]) -> Ask:
    return with_foreign_key(lambda world, key: world.post(path, {**body, "entity_hotkey": "5Other"}, key))


def replayed_registration(world: World) -> Any:
    body = registration()
    assert world.post("/entity/register", body).status_code == 200
    return world.post("/request-api-key", body)


def creation_with_a_used_signature(world: World) -> Any:
    with_entity(world)
    body = wish()
    world.desk.clerk.set_endpoint(ENTITY, "https://x.example", receipt_of(body))
    return world.post("/entity/create-subaccount", body)


def payout_of_anothers(world: World, key: str) -> Any:
    made = world.desk.clerk.create(creation("5Other"))
    return world.post(
        "/entity/subaccount/payout", {**EARNED, "subaccount_uuid": made.record.subaccount_uuid}, key
    )


def dashboard_of_anothers(path: str) -> Ask:
    def ask(world: World, key: str) -> Any:
        world.desk.clerk.create(creation("5Other"))
        return world.get(path.format("5Other_0"), key)

    return with_foreign_key(ask)


def posting(route: str, path: str, body: dict[str, Any], key: str | None = "k200") -> list[Case]:
    """What every posted body is refused for."""
    return [
        Case(route, 400, NOT_JSON, post(path, b"{}", key, content_type="text/plain")),
        Case(route, 400, "Invalid JSON body", post(path, b"{", key)),
        Case(route, 400, "Invalid JSON body", post(path, {}, key)),
        Case(route, 400, "Invalid JSON body", post(path, ["a"], key)),
        Case(route, 400, OLD_CLIENT, post(path, {**body, "version": "1.0.4"}, key)),
        Case(route, 400, BAD_CLIENT, post(path, {**body, "version": "new"}, key)),
    ]


def either_proof(route: str, path: str, body: dict[str, Any], proof: dict[str, Any], text: str) -> list[Case]:
    """What a route is refused for that takes a tier-200 key or a signature."""
    stolen = {**proof, "signature": signed(OWNERSHIP, OTHER)["signature"]}
    foreign = {name: value for name, value in proof.items() if name != "signature"}
    foreign["entity_hotkey"] = STRANGERS_HOTKEY
    return [
        Case(route, 401, "Unauthorized access", post(path, body, None)),
        Case(route, 401, "Unauthorized access", post(path, body, "nobody")),
        Case(route, 403, NO_TIER, post(path, body, "k100")),
        Case(route, 401, text, post(path, stolen, None, subaccounts=0)),
        Case(route, 401, text, post(path, {**proof, "signature": "0xzz"}, None, subaccounts=0)),
        Case(route, 401, text, post(path, {**proof, "signature": "ab" * 65}, None, subaccounts=0)),
        Case(route, 401, text, post(path, {**proof, "entity_coldkey": "5nobody"}, None, subaccounts=0)),
        Case(route, 403, NOT_OWNED, post(path, signed(foreign), None)),
        Case(route, 403, NOT_YOURS, other(path, body)),
    ]


def keyed(route: str, ask: Callable[[str | None], Ask]) -> list[Case]:
    """What a route is refused for that takes a tier-200 key only."""
    return [
        Case(route, 401, "Unauthorized access", ask(None)),
        Case(route, 401, "Unauthorized access", ask("nobody")),
        Case(route, 403, NO_TIER, ask("k100")),
    ]


def register_cases() -> list[Case]:
    route, path = "entities.register", "/entity/register"
    limit = "max_subaccounts must be an integer from 1 to 10000"
    collateral = "collateral_amount must be a non-negative number"
    return [
        *posting(route, path, PLAIN),
        *either_proof(
            route, path, PLAIN, registration(), "Invalid signature. Entity registration unauthorized"
        ),
        Case(route, 400, "Missing required field: entity_hotkey", post(path, {"a": 1})),
        Case(route, 400, "Missing required field: entity_coldkey", post(path, {"signature": "ab"}, None)),
        Case(route, 400, "Missing required field: signature", post(path, OWNERSHIP, None)),
        *(
            Case(route, 400, "entity_hotkey must be a hotkey", post(path, {"entity_hotkey": hotkey}))
            for hotkey in (5, None, "", "a b", "a_0", "x" * 129, "a|b", ["a"])
        ),
        *(
            Case(route, 400, collateral, post(path, {**PLAIN, "collateral_amount": amount}))
            for amount in (-1, "5", True, None, 1e16, 10**30)
        ),
        *(
            Case(route, 400, limit, post(path, {**PLAIN, "max_subaccounts": number}))
            for number in (0, -1, 10_001, 5.5, "5", True, None)
        ),
        Case(route, 400, f"Entity {ENTITY} already registered", post(path, PLAIN, subaccounts=0)),
        Case(
            route, 400, f"Entity {ENTITY} already registered", post(path, registration(), None, subaccounts=0)
        ),
    ]


def create_cases(route: str, path: str) -> list[Case]:
    return [
        *posting(route, path, PLAIN),
        *either_proof(route, path, PLAIN, wish(), "Invalid signature. Subaccount creation unauthorized"),
        Case(route, 400, "Missing required field: entity_hotkey", post(path, {"asset_class": "crypto"})),
        Case(
            route,
            400,
            "Missing required fields: account_size, asset_class, entity_coldkey",
            post(path, {**PLAIN, "signature": "ab"}, None),
        ),
        Case(
            route,
            400,
            "Missing required fields: signature",
            post(path, {**OWNERSHIP, "account_size": 1.0, "asset_class": "crypto"}, None),
        ),
        Case(route, 400, "entity_hotkey must be a hotkey", post(path, {"entity_hotkey": 7})),
        *(
            Case(
                route,
                400,
                "account_size must be a positive number",
                post(path, {**PLAIN, "account_size": size}),
            )
            for size in (0, -1, -0.5)
        ),
        *(
            Case(
                route, 400, "account_size must be a valid number", post(path, {**PLAIN, "account_size": size})
            )
            for size in ("25000", None, True, [], 1e16, 10**30)
        ),
        Case(route, 400, "account_size must be a positive number", post(path, wish(-5), None)),
        *(
            Case(
                route,
                400,
                "asset_class must be a non-empty string",
                post(path, {**PLAIN, "asset_class": name}),
            )
            for name in ("", 5, None, ["crypto"])
        ),
        Case(route, 400, "hl_address must be a non-empty string", post(path, {**PLAIN, "hl_address": ""})),
        Case(
            route,
            400,
            "payout_address must be a non-empty string",
            post(path, {**PLAIN, "payout_address": 5}),
        ),
        Case(route, 400, "bucket must be a string or a number", post(path, {**PLAIN, "bucket": {}})),
        *(
            Case(
                route,
                400,
                "Idempotency-Key must have 1 to 128 printable characters",
                lambda world, key=key: repeatable(world, path, key),  # type: ignore[misc]
            )
            for key in ("", "x" * 129, "caf\xe9")
        ),
        Case(route, 400, f"Entity {ENTITY} not registered", post(path, PLAIN)),
        Case(route, 400, f"Entity {ENTITY} not registered", post(path, wish(), None)),
        Case(route, 400, f"Entity {ENTITY} has reached maximum subaccounts (1)", _full(path)),
        Case(route, 409, "This signature was used for something else", creation_with_a_used_signature),
    ]


def repeatable(world: World, path: str, key: str) -> Any:
    """Post with an idempotency key."""
    return world.client.post(path, json=PLAIN, headers={**bearer("k200"), "Idempotency-Key": key})


def _full(path: str) -> Ask:
    def ask(world: World) -> Any:
        with_entity(world, 1, max_subaccounts=1)
        return world.post(path, PLAIN, "k200")

    return ask


def eliminate_cases() -> list[Case]:
    route, path = "entities.eliminate", "/entity/subaccount/eliminate"
    return [
        *keyed(route, lambda key: post(path, OUT, key)),
        *posting(route, path, OUT),
        Case(route, 400, "Missing required field: entity_hotkey", post(path, {"subaccount_id": 0})),
        Case(route, 400, "Missing required field: subaccount_id", post(path, PLAIN)),
        Case(route, 400, "entity_hotkey must be a hotkey", post(path, {**OUT, "entity_hotkey": {}})),
        *(
            Case(route, 400, "subaccount_id must be an integer", post(path, {**OUT, "subaccount_id": number}))
            for number in ("0", 0.5, True, None, 10**30)
        ),
        *(
            Case(route, 400, "reason must be a string", post(path, {**OUT, "reason": reason}))
            for reason in (5, None, "x" * 257)
        ),
        Case(route, 403, NOT_YOURS, other(path, OUT)),
        Case(route, 404, f"Entity {ENTITY} not found", post(path, OUT)),
        *(
            Case(
                route,
                404,
                f"Subaccount {number} not found for entity {ENTITY}",
                post(path, {**OUT, "subaccount_id": number}, subaccounts=1),
            )
            for number in (1, -1, 2**53)
        ),
    ]


def looking_cases() -> list[Case]:
    return [
        *keyed("entities.entity", lambda key: get(f"/entity/{ENTITY}", key)),
        Case(
            "entities.entity", 403, NOT_YOURS, with_foreign_key(lambda w, key: w.get("/entity/5Other", key))
        ),
        Case("entities.entity", 404, f"Entity {ENTITY} not found", get(f"/entity/{ENTITY}")),
        Case("entities.entity", 404, "Entity register not found", get("/entity/register")),
        *keyed("entities.entities", lambda key: get("/entities", key)),
    ]


def dashboard_cases() -> list[Case]:
    found = []
    for route, path in (
        ("subaccounts.subaccount", "/entity/subaccount/{}"),
        ("subaccounts.subaccount_news", "/v2/entity/subaccount/{}"),
    ):
        here = path.format(SUBACCOUNT)
        found += keyed(route, lambda key, here=here: get(here, key))  # type: ignore[misc]
        found += [
            Case(route, 403, NOT_YOURS, dashboard_of_anothers(path)),
            Case(route, 404, f"Subaccount {SUBACCOUNT} not found", get(here)),
            Case(
                route,
                404,
                f"Subaccount {ENTITY}_00 not found",
                get(path.format(ENTITY + "_00"), subaccounts=1),
            ),
            Case(route, 404, "Subaccount eliminate not found", get(path.format("eliminate"))),
        ]
    found += [
        Case(
            "subaccounts.subaccount_news",
            400,
            f"{name} must be a time in ms",
            get(f"/v2/entity/subaccount/{SUBACCOUNT}?{name}={value}", subaccounts=1),
        )
        for name in ("positions_time_ms", "daily_returns_time_ms")
        for value in ("-1", "x", "1.5", "", "9" * 17, "%D9%A1")
    ]
    return found


def payout_cases() -> list[Case]:
    route, path = "subaccounts.payout", "/entity/subaccount/payout"
    return [
        *keyed(route, lambda key: post(path, EARNED, key)),
        *posting(route, path, EARNED)[:4],
        Case(route, 400, "Missing required field: subaccount_uuid", post(path, {"start_time_ms": 0})),
        Case(route, 400, "Missing required field: end_time_ms", post(path, _without(EARNED, "end_time_ms"))),
        Case(route, 400, "subaccount_uuid must be a string", post(path, {**EARNED, "subaccount_uuid": 5})),
        *(
            Case(
                route,
                400,
                "Timestamps must be valid integers",
                post(path, {**EARNED, "start_time_ms": value}),
            )
            for value in ("0", 0.5, None, True, 10**30)
        ),
        Case(route, 400, "Timestamps must be non-negative", post(path, {**EARNED, "start_time_ms": -1})),
        Case(route, 400, "start_time_ms must be <= end_time_ms", post(path, {**EARNED, "start_time_ms": 6})),
        Case(route, 403, NOT_YOURS, with_foreign_key(payout_of_anothers)),
        Case(route, 404, f"Subaccount {UUID} not found or has no debt ledger data", post(path, EARNED)),
        Case(route, 404, f"Subaccount {UUID} not found or has no debt ledger data", _told_payout(path)),
    ]


def _told_payout(path: str) -> Ask:
    def ask(world: World) -> Any:
        assert world.post("/v1/entity/subaccounts", told(), "k200").status_code == 200
        return world.post(path, EARNED, "k200")

    return ask


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in body.items() if field != name}


def key_cases() -> list[Case]:
    route, path = "entity_keys.request_api_key", "/request-api-key"
    text = "Invalid signature. API key request unauthorized"
    foreign = signed({"entity_coldkey": COLDKEY, "entity_hotkey": STRANGERS_HOTKEY})
    return [
        *posting(route, path, registration(), None),
        Case(route, 401, "Unauthorized access", post(path, registration(), "nobody")),
        Case(route, 400, "Missing required field: entity_coldkey", post(path, {"a": 1}, None)),
        Case(route, 400, "Missing required field: signature", post(path, OWNERSHIP, None)),
        Case(
            route,
            400,
            "entity_hotkey must be a hotkey",
            post(path, {**registration(), "entity_hotkey": 5}, None),
        ),
        Case(route, 401, text, post(path, {**registration(), "signature": "ab" * 64}, None, subaccounts=0)),
        Case(route, 401, text, post(path, {**OWNERSHIP, "signature": 5}, "k200", subaccounts=0)),
        Case(route, 401, "Signature already used. Please sign the request anew", replayed_registration),
        Case(route, 403, NOT_OWNED, post(path, foreign, None)),
        Case(route, 403, f"Entity {ENTITY} not registered", post(path, registration(), None)),
    ]


def endpoint_cases() -> list[Case]:
    route, path = "entity_keys.set_endpoint", "/entity/set-endpoint"
    body = {**PLAIN, "endpoint_url": "https://entity.example"}
    either = "Exactly one of these parameters is required: hl_address, subaccount"
    asked = "entity_keys.endpoint"
    return [
        *posting(route, path, body),
        *either_proof(route, path, body, endpoint(), "Invalid signature. Endpoint update unauthorized"),
        Case(route, 400, "Missing required field: entity_hotkey", post(path, {"endpoint_url": "https://a"})),
        Case(route, 400, "Missing required field: endpoint_url", post(path, PLAIN)),
        Case(route, 400, "Missing required field: endpoint_url", post(path, OWNERSHIP, None)),
        Case(route, 400, "entity_hotkey must be a hotkey", post(path, {**body, "entity_hotkey": 5})),
        *(
            Case(
                route,
                400,
                "endpoint_url must be an http or https URL",
                post(path, {**body, "endpoint_url": url}),
            )
            for url in (
                5,
                "",
                "ftp://a",
                "https://",
                "javascript:alert(1)",
                "https://a b",
                "https://" + "a" * 2048,
            )
        ),
        Case(route, 404, f"Entity {ENTITY} not found", post(path, body)),
        Case(asked, 400, either, get("/entity/endpoint", None)),
        Case(asked, 400, either, get("/entity/endpoint?hl_address=a&subaccount=b", None)),
        Case(asked, 401, "Unauthorized access", get("/entity/endpoint?subaccount=a", "nobody")),
        Case(asked, 404, "Subaccount 0xabc not found", get("/entity/endpoint?hl_address=0xabc", None)),
        Case(asked, 404, "Subaccount a not found", get("/entity/endpoint?subaccount=a", None)),
        Case(
            asked,
            404,
            f"Entity {ENTITY} has no endpoint",
            get(f"/entity/endpoint?subaccount={SUBACCOUNT}", None, subaccounts=1),
        ),
    ]


def peer_cases() -> list[Case]:
    route, path = "entity_peers.receive_subaccount", "/v1/entity/subaccounts"

    def second(changes: dict[str, Any]) -> Ask:
        def ask(world: World) -> Any:
            assert world.post(path, told(), "k200").status_code == 200
            return world.post(path, told(**changes), "k200")

        return ask

    return [
        *keyed(route, lambda key: post(path, told(), key)),
        *posting(route, path, told())[:4],
        Case(
            route,
            400,
            "Invalid subaccount: Expected `int` >= 0 - at `$.subaccount_id`",
            _told(subaccount_id=-1),
        ),
        Case(
            route,
            400,
            "Invalid subaccount: Expected `float` > 0.0 - at `$.account_size`",
            _told(account_size=0),
        ),
        Case(
            route,
            400,
            "Invalid subaccount: synthetic_hotkey is not made of entity_hotkey and subaccount_id",
            _told(synthetic_hotkey=f"{ENTITY}_1"),
        ),
        Case(route, 400, "Invalid subaccount", _told(entity_hotkey="a_0", synthetic_hotkey="a_0_0")),
        Case(route, 403, NOT_YOURS, with_foreign_key(lambda world, key: world.post(path, told(), key))),
        Case(
            route,
            409,
            f"Subaccount 0 of entity {ENTITY} has another uuid",
            second({"subaccount_uuid": "another"}),
        ),
        Case(
            route,
            409,
            f"Subaccount uuid {UUID} belongs to another subaccount",
            second({"subaccount_id": 1, "synthetic_hotkey": f"{ENTITY}_1"}),
        ),
    ]


def _told(**changes: Any) -> Ask:
    return post("/v1/entity/subaccounts", told(**changes))


CASES: Final = [
    *register_cases(),
    *create_cases("entities.create_subaccount", "/entity/create-subaccount"),
    *create_cases("entities.create_hl_subaccount", "/entity/create-hl-subaccount"),
    *eliminate_cases(),
    *looking_cases(),
    *dashboard_cases(),
    *payout_cases(),
    *key_cases(),
    *endpoint_cases(),
    *peer_cases(),
]
CALLS: Final = {
    "entities.register": post("/entity/register", PLAIN),
    "entities.create_subaccount": post("/entity/create-subaccount", PLAIN, subaccounts=0),
    "entities.create_hl_subaccount": post("/entity/create-hl-subaccount", PLAIN, subaccounts=0),
    "entities.eliminate": post("/entity/subaccount/eliminate", OUT, subaccounts=1),
    "entities.entity": get(f"/entity/{ENTITY}", subaccounts=1),
    "entities.entities": get("/entities", subaccounts=1),
    "subaccounts.subaccount": get(f"/entity/subaccount/{SUBACCOUNT}", subaccounts=1),
    "subaccounts.subaccount_news": get(f"/v2/entity/subaccount/{SUBACCOUNT}", subaccounts=1),
    "subaccounts.payout": post("/entity/subaccount/payout", EARNED),
    "entity_keys.request_api_key": post("/request-api-key", registration(), None, subaccounts=0),
    "entity_keys.set_endpoint": post("/entity/set-endpoint", endpoint(), None, subaccounts=0),
    "entity_keys.endpoint": get(f"/entity/endpoint?subaccount={SUBACCOUNT}", None, subaccounts=1),
    "entity_peers.receive_subaccount": _told(subaccount_id=5, synthetic_hotkey=f"{ENTITY}_5"),
}
CRASHES: Final = {
    "entities.register": "Internal server error registering entity",
    "entities.create_subaccount": "Internal server error creating subaccount",
    "entities.create_hl_subaccount": "Internal server error creating subaccount",
    "entities.eliminate": "Internal server error eliminating subaccount",
    "entities.entity": "Internal server error retrieving entity",
    "entities.entities": "Internal server error retrieving entities",
    "subaccounts.subaccount": "Internal server error retrieving dashboard",
    "subaccounts.subaccount_news": "Internal server error retrieving dashboard",
    "subaccounts.payout": "Internal server error calculating payout",
    "entity_keys.request_api_key": "Internal server error requesting API key",
    "entity_keys.set_endpoint": "Internal server error setting endpoint",
    "entity_keys.endpoint": "Internal server error retrieving endpoint",
    "entity_peers.receive_subaccount": "Internal server error creating subaccount",
}
WRITERS: Final = (
    *("entities.register", "entities.create_subaccount", "entities.create_hl_subaccount"),
    *("entities.eliminate", "entity_keys.set_endpoint", "entity_peers.receive_subaccount"),
)


def refused(answer: Any) -> tuple[int, str]:
    body = strict_json(answer.data)
    assert set(body) >= {"error", "code", "request_id"}
    return answer.status_code, body["error"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_refusal(world: World, case: Case) -> None:
    assert refused(case.ask(world)) == (case.status, case.text)


def test_the_table_knows_every_sentence_that_the_routes_declare(world: World) -> None:
    """What OpenAPI promises is provoked here, and nothing here is undeclared."""
    declared = {
        (rule.endpoint, status, text)
        for rule, operation, _ in routes(world.app)
        if rule.endpoint.startswith(OURS)
        for status, texts in operation.failures.items()
        if status not in (*ELSEWHERE, 500, 503)
        for text in texts
        if text not in COMMON
    }
    patterns = {one: re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(one[2]))) for one in declared}

    def declarations(case: Case) -> set[tuple[str, int, str]]:
        return {
            one
            for one, pattern in patterns.items()
            if one[:2] == (case.route, case.status) and pattern.match(case.text)
        }

    for case in CASES:
        generic = case.text in COMMON or case.text.startswith("Missing required field")
        assert declarations(case) or generic, str(case)
    assert declared - {one for case in CASES for one in declarations(case)} == set()


@pytest.mark.parametrize("route", CALLS)
def test_disabled_entities_are_not_available(make_world: Make, route: str) -> None:
    world = make_world(settings_changes={"entities": EntitySettings(enabled=False)})

    assert refused(CALLS[route](world)) == (503, "Entity management not available")


@pytest.fixture
def prepared(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which the call of ``route`` needs no further preparation."""
    if request.getfixturevalue("route") != "entities.register":
        with_entity(world)
    monkeypatch.setattr(f"{__name__}.with_entity", lambda *_: None)
    return world


@pytest.mark.parametrize("route", WRITERS)
def test_a_journal_that_takes_nothing_makes_writing_unavailable(
    prepared: World, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_drafts: Any) -> Any:
        raise UnavailableError("disk full")

    monkeypatch.setattr(prepared.journal, "append", full)
    answer = CALLS[route](prepared)

    assert refused(answer) == (503, "Entity management not available")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("route", CALLS)
def test_a_fault_of_ours_has_the_routes_own_sentence(
    prepared: World, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the secret is k200")

    for name in ("entity", "everybody", "subaccount", "by_uuid", "is_registered"):
        monkeypatch.setattr(prepared.desk.entities, name, crash)
    answer = CALLS[route](prepared)

    assert refused(answer) == (500, CRASHES[route])
    assert "secret" not in answer.get_data(as_text=True)
    assert ("detail" in answer.get_json()) == (route == "subaccounts.payout")
