"""Rates, quotas, addresses and metering."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter

from rest_server.addresses import Addresses, is_loopback, rate_unit
from rest_server.counters import Counters
from rest_server.limits import KNOWN_MAX, KNOWN_S, KnownPairs
from runtime.api_key_file import key_id_of, parse
from runtime.clock import FakeClock
from runtime.usage import merged
from tests.rest_server.world import HOUR, KEYS, PLENTY, Make, World, bearer, fill, position


def from_address(world: World, path: str, address: str, headers: dict[str, str] | None = None) -> Any:
    return world.client.get(path, headers=headers or {}, environ_overrides={"REMOTE_ADDR": address})


def test_a_key_has_a_rate_of_its_own_and_hears_what_is_left(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, requests_per_minute=3))
    answers = [world.get("/miner-hotkeys", "k0") for _ in range(5)]

    assert [one.status_code for one in answers] == [404, 404, 404, 429, 429]
    assert [one.headers["X-RateLimit-Remaining"] for one in answers] == ["2", "1", "0", "0", "0"]
    for one in answers:
        assert one.headers["X-RateLimit-Limit"] == "3"
        assert one.headers["RateLimit-Policy"] == '"key";q=3;w=60'
        assert one.headers["RateLimit"].startswith(f'"key";r={one.headers["X-RateLimit-Remaining"]};t=')
        assert 1 <= int(one.headers["X-RateLimit-Reset"]) <= 60
    assert answers[3].get_json()["code"] == "rate_limited"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert world.get("/miner-hotkeys", "k30").status_code == 404


def test_open_routes_are_limited_by_address(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, open_per_minute=2))
    statuses = [from_address(world, "/readyz", "203.0.113.1").status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert from_address(world, "/readyz", "203.0.113.2").status_code == 200
    assert from_address(world, "/readyz", "203.0.113.1", bearer("k0")).status_code == 200


def test_one_household_of_ipv6_addresses_is_one_client(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, open_per_minute=2))
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8:0:1::1"]

    assert [from_address(world, "/readyz", a).status_code for a in addresses] == [200, 200, 429, 200]


def test_the_keys_own_quota_comes_before_the_tiers(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, requests_per_day={"0": 1, "30": 3}))
    own = {"key": "own", "tier": 30, "quota": {"requests": 2}}
    world.keys.table = parse(json.dumps({**KEYS, "own": own}).encode(), world.clock)

    assert [world.get("/readyz", "k0").status_code for _ in range(2)] == [200, 429]
    assert [world.get("/readyz", "own").status_code for _ in range(3)] == [200, 200, 429]
    assert [world.get("/readyz", "k30").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert [world.get("/readyz", "k200").status_code for _ in range(5)] == [200] * 5


def test_a_used_up_quota_says_when_the_next_day_begins(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, requests_per_day={"0": 1}))
    world.get("/readyz", "k0")
    answer = world.get("/readyz", "k0")

    assert (answer.status_code, answer.get_json()["code"]) == (429, "quota_exceeded")
    wait_s = int(answer.headers["Retry-After"])
    world.clock.sleep(wait_s - 1)
    assert world.get("/readyz", "k0").status_code == 429
    world.clock.sleep(1)
    assert world.get("/readyz", "k0").status_code == 200


def test_bytes_count_as_they_were_sent(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, bytes_per_day={"100": 18_000}))
    world.put(position("a", [fill(n, 1, 2.0, world.now - HOUR) for n in range(20)]))
    plain = world.get("/miner-positions", "k100")
    packed = world.get("/miner-positions", "k100", Accept_Encoding="gzip")
    tag = plain.headers["ETag"]
    world.get("/miner-positions", "k100", If_None_Match=tag)
    world.client.head("/miner-positions", headers=bearer("k100"))
    assert len(packed.data) < len(plain.data) < 18_000
    assert world.usage.today(key_id_of("k100")) == (4, len(plain.data) + len(packed.data), 0)
    world.get("/miner-positions", "k100")
    requests, size, messages = world.usage.today(key_id_of("k100"))

    assert (requests, messages) == (5, 0)
    assert size > 18_000
    assert world.get("/readyz", "k100").status_code == 429


def test_usage_names_ids_and_is_kept(world: World) -> None:
    world.get("/readyz", "k0")
    world.get("/miner-positions", "k0")
    world.get("/readyz", None)
    world.get("/readyz", "nobody")
    world.usage.flush()
    (row,) = merged(world.directory / "usage")

    assert (row["key_id"], row["requests"], row["messages"]) == (key_id_of("k0"), 2, 0)


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ([], "10.0.0.1", "1.2.3.4", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", None, "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 10.0.0.2", "1.2.3.4"),
        (["10.0.0.0/8"], "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        (["10.0.0.1"], "10.0.0.1", "garbage", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        (["::1"], "::1", "[2001:db8::1]:80", "2001:db8::1"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4, garbage", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", ", ".join(["10.1.1.1"] * 100), "10.1.1.1"),
    ],
)
def test_forwarded_addresses_are_believed_as_far_as_the_proxies_are(
    trusted: list[str], peer: str, forwarded: str | None, client: str
) -> None:
    assert Addresses(trusted).client(peer, forwarded) == client


@given(st.text(max_size=50), st.text(max_size=20))
def test_any_header_gives_some_address(forwarded: str, peer: str) -> None:
    assert isinstance(Addresses(["0.0.0.0/0", "::/0"]).client(peer, forwarded), str)
    assert isinstance(rate_unit(peer), str)
    assert is_loopback(peer) in (True, False)


def test_a_bad_network_is_refused() -> None:
    with pytest.raises(ValueError):
        Addresses(["the proxy"])


def test_a_trusted_proxys_clients_are_told_apart(make_world: Make) -> None:
    world = make_world(rest=msgspec.structs.replace(PLENTY, open_per_minute=1, trusted_proxies=["127.0.0.1"]))

    def status(forwarded: str) -> int:
        code: int = world.client.get("/readyz", headers={"X-Forwarded-For": forwarded}).status_code
        return code

    assert [status("1.1.1.1"), status("2.2.2.2"), status("1.1.1.1"), status("9.9.9.9, 1.1.1.1")] == [
        200,
        200,
        429,
        429,
    ]


def test_known_pairs_are_bounded_and_age() -> None:
    clock = FakeClock()
    pairs = KnownPairs(clock)
    pairs.add("a", "k")
    assert pairs.has("a", "k")
    assert not pairs.has("b", "k")
    for n in range(KNOWN_MAX):
        pairs.add(str(n), "k")
    assert not pairs.has("a", "k")
    clock.advance(KNOWN_S)
    assert not pairs.has("5", "k")


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([0.0, 0.5, 7.0, 29.0, 61.0, 200.0])),
        max_size=60,
    ),
)
def test_no_minute_sees_more_than_twice_the_limit_and_an_idle_one_is_free(
    limit: int, hits: list[tuple[str, float]]
) -> None:
    """The sliding counter estimates; it never lets more through than a plain window's worst case."""
    clock = FakeClock()
    counters = Counters(clock)
    taken: dict[str, list[float]] = {"a": [], "b": []}
    for key, wait in hits:
        clock.advance(wait)
        now = clock.monotonic()
        recent = [at for at in taken[key] if at > now - 120]
        if counters.acquire_sliding_window_entry(key, limit, 60):
            taken[key].append(now)
        else:
            assert recent, "refused without any hit in two windows"
        assert len([at for at in taken[key] if at > now - 60]) <= 2 * limit
        assert len([at for at in taken[key] if int(at / 60) == int(now / 60)]) <= limit


def test_counters_do_not_grow_for_ever() -> None:
    clock = FakeClock()
    counters = Counters(clock)
    for n in range(1000):
        counters.acquire_sliding_window_entry(str(n), 1, 60)
    clock.advance(200)
    counters.acquire_sliding_window_entry("new", 1, 60)

    assert len(counters) == 1


def test_counters_serve_the_librarys_other_strategy_too() -> None:
    clock = FakeClock()
    limiter = FixedWindowRateLimiter(Counters(clock))
    item = RateLimitItemPerMinute(2)

    assert [limiter.hit(item, "x") for _ in range(3)] == [True, True, False]
    clock.advance(60)
    assert limiter.hit(item, "x")
