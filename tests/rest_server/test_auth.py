"""Who may do what: every route with every kind of key."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rest_server.openapi import routes
from runtime.api_key_file import KeyTable, parse
from runtime.settings import RestSettings
from tests.rest_server.world import DAY, KEYS, PLENTY, Make, World, bearer, fill, position, resting

# route → lowest tier that gets 200; None: open to everybody; what the open ones need beyond that is below
TIERS: dict[str, int | None] = {
    "/miner-positions?tier=0": 0,
    "/miner-positions?tier=30": 30,
    "/miner-positions?tier=50": 50,
    "/miner-positions?tier=100": 100,
    "/miner-positions": 100,
    "/miner-positions/a": 0,
    "/miner-hotkeys": 0,
    "/limit-orders/a": 0,
    "/orders/a": 100,
    "/validator-checkpoint": 100,
    "/v1/events": 100,
    "/v1/events?stream=orders": 100,
    "/v1/events?stream=ledger": 100,
    "/v1/events?stream=registry": 200,
    "/trade-pairs": None,
    "/api/health": None,
    "/readyz": None,
    "/openapi.json": None,
    "/docs": None,
}
LEVELS = {"k0": 0, "k30": 30, "k50": 50, "k100": 100, "k200": 200}
REMOTE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def busy(world: World) -> World:
    """A world in which every route has something to say."""
    old = world.now - 3 * DAY
    world.put(position("a", [fill("a1", 1, 2.0, old)]))
    world.put_orders(resting("a", 1, old))
    return world


def get(world: World, path: str, headers: dict[str, str]) -> Any:
    return world.client.get(path, headers=headers, environ_overrides=REMOTE)


def test_the_matrix_knows_every_route(world: World) -> None:
    listed = {path.partition("?")[0].replace("/a", "/<minerid>", 1) for path in TIERS if "/a" in path[1:]}
    listed |= {path.partition("?")[0] for path in TIERS}
    known = {rule.rule for rule, _, _ in routes(world.app)}

    assert {rule for rule in known if rule not in listed} == {"/metrics"}


@pytest.mark.parametrize("path", TIERS)
@pytest.mark.parametrize("key", LEVELS)
def test_a_good_key_gets_what_its_tier_may_see(busy: World, path: str, key: str) -> None:
    needed = TIERS[path]
    expected = 200 if needed is None or LEVELS[key] >= needed else 403
    answer = get(busy, path, bearer(key))

    assert answer.status_code == expected
    if expected == 403:
        assert answer.get_json()["code"] == "insufficient_tier"


BAD_HEADERS: dict[str, dict[str, str]] = {
    "no key": {},
    "bare token": {"Authorization": "k200"},
    "basic": {"Authorization": "Basic k200"},
    "two spaces": {"Authorization": "Bearer  k200"},
    "trailing tab": {"Authorization": "Bearer k200\tx"},
    "wrong case of the key": {"Authorization": "Bearer K200"},
    "empty": {"Authorization": ""},
    "only the scheme": {"Authorization": "Bearer"},
    "scheme and a space": {"Authorization": "Bearer "},
    "unknown": {"Authorization": "Bearer nobody"},
    "two keys": {"Authorization": "Bearer k200, Bearer k200"},
    "prefix of a key": {"Authorization": "Bearer k20"},
    "longer than a key": {"Authorization": "Bearer k2000"},
    "other header": {"X-API-Key": "k200"},
    "cookie": {"Cookie": "Authorization=Bearer k200"},
    "not ascii": {"Authorization": "Bearer \xe9"},
}


@pytest.mark.parametrize("path", [path for path, tier in TIERS.items() if tier is not None])
@pytest.mark.parametrize("headers", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_without_a_good_key_there_is_nothing(busy: World, path: str, headers: dict[str, str]) -> None:
    answer = get(busy, path, headers)

    assert answer.status_code == 401
    assert answer.get_json()["error"] == "Unauthorized access"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert {"X-Sequence", "X-Epoch", "ETag"}.isdisjoint(answer.headers.keys())


@pytest.mark.parametrize("path", [path for path, tier in TIERS.items() if tier is not None])
@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "Authorization"])
def test_a_key_in_the_address_is_not_looked_at(busy: World, path: str, name: str) -> None:
    glue = "&" if "?" in path else "?"
    assert get(busy, f"{path}{glue}{name}=k200", {}).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_read_in_any_case(busy: World, scheme: str) -> None:
    assert get(busy, "/miner-hotkeys", {"Authorization": f"{scheme} k0"}).status_code == 200


def test_no_key_wrong_key_and_revoked_key_look_alike(busy: World) -> None:
    """Nothing tells a guesser how close a guess was."""
    answers = [get(busy, "/miner-hotkeys", headers) for headers in ({}, bearer("nobody"))]
    busy.keys.table = KeyTable(clock=busy.clock)
    answers.append(get(busy, "/miner-hotkeys", bearer("k100")))
    seen = []
    for answer in answers:
        body = answer.get_json()
        assert body.pop("request_id") == answer.headers.pop("X-Request-ID")
        for name in ("X-RateLimit-Remaining", "RateLimit"):
            del answer.headers[name]
        seen.append((answer.status_code, body, sorted(answer.headers.items())))

    assert seen[0] == seen[1] == seen[2]


def test_revocation_expiry_and_tier_changes_take_effect_at_the_next_request(busy: World) -> None:
    document = {**KEYS, "timed": {"key": "kt", "tier": 100, "expires": busy.now + 1000}}
    busy.keys.table = parse(json.dumps(document).encode(), busy.clock)
    assert get(busy, "/validator-checkpoint", bearer("kt")).status_code == 200
    busy.clock.sleep(1)
    assert get(busy, "/validator-checkpoint", bearer("kt")).status_code == 401

    document["hundred"] = {"key": "k100", "tier": 30}
    busy.keys.table = parse(json.dumps(document).encode(), busy.clock)
    assert get(busy, "/validator-checkpoint", bearer("k100")).status_code == 403


def test_a_key_without_the_rest_scope_is_refused(busy: World) -> None:
    answer = get(busy, "/miner-hotkeys", bearer("kws"))

    assert (answer.status_code, answer.get_json()["code"]) == (403, "scope_missing")


def test_an_odd_tier_gets_the_next_lower_one(busy: World) -> None:
    busy.keys.table = parse(b'{"odd": {"key": "odd", "tier": 45}}', busy.clock)

    assert get(busy, "/miner-positions/a", bearer("odd")).get_json()["tier"] == 30
    assert get(busy, "/miner-positions?tier=30", bearer("odd")).status_code == 200
    assert get(busy, "/miner-positions?tier=50", bearer("odd")).status_code == 403


def test_a_non_ascii_key_works(busy: World) -> None:
    busy.keys.table = parse('{"user": {"key": "schlüssel", "tier": 0}}'.encode(), busy.clock)
    header = {"Authorization": "Bearer schlüssel".encode().decode("latin-1")}

    assert get(busy, "/miner-hotkeys", header).status_code == 200


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 401),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.9"}, 401),
        ("203.0.113.9", {}, 401),
        ("203.0.113.9", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("203.0.113.9", bearer("k100"), 403),
        ("203.0.113.9", bearer("k200"), 200),
        ("203.0.113.9", bearer("nobody"), 401),
    ],
)
def test_metrics_are_for_this_machine_and_for_operators(
    world: World, address: str, headers: dict[str, str], status: int
) -> None:
    answer = world.client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})

    assert answer.status_code == status


def test_a_wrong_key_is_refused_on_open_routes_too(world: World) -> None:
    """Else they would be a free place to try keys."""
    for path in ("/api/health", "/trade-pairs", "/docs"):
        assert get(world, path, bearer("nobody")).status_code == 401


def test_guessing_is_slow_and_known_users_of_the_address_are_not_hurt(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, failed_auth_per_minute=5))
    assert get(world, "/readyz", bearer("k100")).status_code == 200
    statuses = [get(world, "/readyz", bearer(f"guess{n}")).status_code for n in range(7)]

    assert statuses == [401] * 5 + [429] * 2
    assert get(world, "/readyz", bearer("k200")).status_code == 429, "a lucky guess must not be told"
    assert get(world, "/readyz", bearer("k100")).status_code == 200
    elsewhere = world.client.get(
        "/readyz", headers=bearer("k200"), environ_overrides={"REMOTE_ADDR": "198.51.100.1"}
    )
    assert elsewhere.status_code == 200


def test_defaults_are_strict() -> None:
    assert RestSettings().failed_auth_per_minute <= 10
