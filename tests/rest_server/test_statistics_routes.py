"""``/statistics``: bodies, refusals, refreshing, and that delayed tiers are told nothing newer than 24 h."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from journal.entry import REGISTRY, Draft
from rest_server.statistics_shelf import REFRESH_MS
from tests.rest_server.ruled import (
    Case,
    boundary,
    check,
    eliminate,
    get,
    pay,
    penalise,
    put_bucket,
    select,
    spans,
    strangers,
    undemonstrated,
)
from tests.rest_server.world import BTC, DAY, HOUR, Make, World, fill, position, resting, strict_json
from validator.challenge import record
from validator.eliminations.requests import clear_plagiarism, report_plagiarism
from validator.ledger.checkpoint import SPAN_MS
from validator.registry import Registry
from validator.statistics.book import StatisticsBook

ALL, ONE = "statistics.statistics", "statistics.miner_statistics"


def with_fresh_ledger(world: World) -> None:
    spans(world, "a", 1)


def with_ledgers(world: World) -> None:
    spans(world, "a", 300, pairs=("BTCUSD",), gain=0.001, realized_pnl=10.0)
    spans(world, "b", 300, pairs=("BTCUSD",), gain=0.002, realized_pnl=20.0)


CASES = [
    *strangers(ALL, "/statistics"),
    *strangers(ONE, "/statistics/nobody/"),
    Case(ALL, 404, "Statistics data not found", get("/statistics")),
    Case(ALL, 404, "Statistics data not found", get("/statistics", "k50", given=with_fresh_ledger)),
    Case(ONE, 404, "Statistics data not found", get("/statistics/nobody/")),
    Case(ONE, 404, "Statistics data not found", get("/statistics/a/", "k0", given=with_fresh_ledger)),
    Case(ONE, 404, "Miner ID nobody not found", get("/statistics/nobody/", given=with_fresh_ledger)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence(world: World, case: Case) -> None:
    check(world, case)


def test_every_declared_refusal_is_in_the_table(world: World) -> None:
    assert undemonstrated(world, "statistics", CASES) == set()


def test_the_envelope_and_its_elements(world: World) -> None:
    with_ledgers(world)
    body = strict_json(world.get("/statistics").data)

    assert list(body) == [
        "version",
        "created_timestamp_ms",
        "created_date",
        "data",
        "constants",
        "network_data",
    ]
    assert body["version"] == world.settings.repo_version
    assert body["created_timestamp_ms"] == world.now
    assert {one["hotkey"] for one in body["data"]} == {"a", "b"}
    assert [one["weight"]["rank"] for one in body["data"]] == [1, 2]
    assert body["constants"]["TARGET_CHECKPOINT_DURATION_MS"] == SPAN_MS


def test_one_miners_element_is_bare_and_the_slash_may_be_missing(world: World) -> None:
    with_ledgers(world)
    elements = {one["hotkey"]: one for one in world.get("/statistics").get_json()["data"]}

    for path in ("/statistics/a/", "/statistics/a"):
        answer = world.get(path)
        assert answer.status_code == 200
        assert answer.get_json() == elements["a"]


@pytest.mark.parametrize(
    ("query", "everybody", "one"),
    [
        ("", True, True),
        ("?checkpoints=true", True, True),
        ("?checkpoints=TRUE", True, True),
        ("?checkpoints=false", False, False),
        ("?checkpoints=False", False, False),
        ("?checkpoints=1", False, True),
        ("?checkpoints=", False, True),
    ],
)
def test_checkpoints_are_left_out_as_vanta_does(world: World, query: str, everybody: bool, one: bool) -> None:
    spans(world, "a", 8)

    assert ("checkpoints" in world.get(f"/statistics{query}").get_json()["data"][0]) is everybody
    assert ("checkpoints" in world.get(f"/statistics/a/{query}").get_json()) is one


def test_registered_facts_are_in_the_element(world: World) -> None:
    with_ledgers(world)
    put_bucket(world, record.admitted("a", record.PROBATION, world.now - 10 * DAY))
    put_bucket(world, record.admitted("b", "SUBACCOUNT_CHALLENGE", world.now - DAY))
    select(world, "a")
    world.put_size("a", 50_000.0)
    report_plagiarism(Registry(world.journal), "a", world.now, "op", 0.75)
    element = world.get("/statistics/a/").get_json()

    assert element["challengeperiod"] == {
        "status": "probation",
        "start_time_ms": world.now - 10 * DAY,
        "remaining_time_ms": 50 * DAY,
    }
    assert element["plagiarism"] == 0.75
    assert element["account_size_info"]["account_size_statistics"]["value"] == 50_000.0
    assert element["asset_class_performance"]["crypto"]["rank"] == 1
    assert world.get("/statistics/b/").get_json()["challengeperiod"]["status"] == "testing"


def test_a_withdrawn_report_leaves_no_score(world: World) -> None:
    with_ledgers(world)
    registry = Registry(world.journal)
    report_plagiarism(registry, "a", world.now - 5, "op", 0.75)
    clear_plagiarism(registry, "a", world.now - 4, "op")

    assert world.get("/statistics/a/").get_json()["plagiarism"] is None


def test_who_is_out_is_not_in_the_statistics(world: World) -> None:
    with_ledgers(world)
    eliminate(world, "a", at_ms=world.now - HOUR)

    assert world.get("/statistics/a/").status_code == 404
    assert [one["hotkey"] for one in world.get("/statistics").get_json()["data"]] == ["b"]
    assert world.get("/statistics/a/", "k50").status_code == 200  # it does not know yet


def test_statistics_are_refreshed_once_a_minute(world: World) -> None:
    spans(world, "a", 8)
    first = world.get("/statistics")
    spans(world, "b", 8)
    world.clock.sleep((REFRESH_MS - 1) / 1000)
    assert world.get("/statistics", If_None_Match=first.headers["ETag"]).status_code == 304
    world.clock.sleep(0.001)
    second = world.get("/statistics", If_None_Match=first.headers["ETag"])

    assert second.status_code == 200
    assert {one["hotkey"] for one in second.get_json()["data"]} == {"a", "b"}


def test_only_whose_inputs_changed_is_measured_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    update = StatisticsBook.update

    def counted(self: StatisticsBook, hotkey: str, *more: Any) -> None:
        measured.append(hotkey)
        update(self, hotkey, *more)

    monkeypatch.setattr(StatisticsBook, "update", counted)
    world.put(*(position(hotkey, [fill(f"{hotkey}1", 1, 2.0, world.now - DAY)]) for hotkey in "abc"))
    for hotkey in "abc":
        spans(world, hotkey, 8)
    world.mark(2.0)
    world.get("/statistics")
    assert sorted(measured) == ["a", "b", "c"]
    measured.clear()
    world.clock.sleep(REFRESH_MS / 1000)
    world.mark(3.0)  # a price moves nothing that is measured
    world.get("/statistics")
    assert measured == []
    world.clock.sleep(REFRESH_MS / 1000)
    world.put(position("b", [fill("b1", 1, 2.0, world.now - DAY), fill("b2", 0, 3.0, world.now)]))
    select(world, "c")
    world.get("/statistics")
    assert sorted(measured) == ["b", "c"]


ROUTES = (
    "/statistics",
    "/statistics?checkpoints=false",
    "/statistics/a/",
    "/statistics/b/",
    "/eliminations",
    "/challenge-period/a",
    "/challenge-period/b?history=true",
    "/perf-ledger/a",
    "/debt-ledger",
    "/debt-ledger/a",
    "/penalty-ledger/b",
    "/emissions-ledger/a",
)


def past(world: World) -> None:
    """What happened more than 24 hours before the moment of the question."""
    world.put(
        position("a", [fill("a1", 1, 2.0, world.now - 9 * DAY), fill("a2", 0, 3.0, world.now - 8 * DAY)]),
        position("b", [fill("b1", 5, 2.0, world.now - 7 * DAY)]),
        position("b", [fill("b3", 1, 60_000.0, world.now - 3 * DAY)], BTC),
    )
    world.put_orders(resting("a", 1, world.now - 3 * DAY))
    for hotkey in "ab":
        spans(world, hotkey, 200, pairs=("BTCUSD",), gain=0.001, realized_pnl=3.0)
        penalise(world, hotkey)
        put_bucket(world, record.admitted(hotkey, record.CHALLENGE, world.now - 50 * DAY))
    pay(world, "a", 9, chunk_emissions=1.0)
    eliminate(world, "c", at_ms=world.now - DAY)
    select(world, "a")


def later(world: World, rng: random.Random, past_ms: int) -> None:
    """A day full of news, the past being told at ``past_ms``."""
    world.put(
        position("a", [fill(("a", rng.random()), 2, rng.uniform(1, 9), world.now)]),
        position("b", [fill("b1", 5, 2.0, past_ms - 7 * DAY), fill("b2", 0, rng.random(), world.now)]),
    )
    world.mark(rng.uniform(1, 9))
    for hotkey in "ab":
        spans(world, hotkey, 2, pairs=("BTCUSD",), gain=rng.random(), mdd=rng.random())
        penalise(world, hotkey, boundary(world), total=rng.random())
        before = record.admitted(hotkey, record.CHALLENGE, past_ms - 50 * DAY)
        put_bucket(world, record.moved(before, record.PROBATION, world.now, world.now))
    pay(world, "a", 1, chunk_emissions=rng.random())
    eliminate(world, "a", at_ms=world.now)
    select(world, "b", rng.choice(["crypto", "forex"]))
    report_plagiarism(Registry(world.journal), "b", world.now, "op", rng.random())
    world.put_size("a", rng.uniform(1, 1e6))
    body = json.dumps({"request": rng.random()}).encode()
    world.journal.append([Draft(REGISTRY, "elimination_request|b", body)])


def seen(world: World, key: str) -> list[tuple[int, bytes, str]]:
    """Every answer of the rules to a key: status, body, and entity tag without the epoch."""
    found = []
    for path in ROUTES:
        answer = world.get(path, key)
        body = answer.data if answer.status_code == 200 else answer.get_json()["error"].encode()
        found.append((answer.status_code, body, answer.headers.get("ETag", "").rpartition("-")[2]))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happened_today_delayed_tiers_are_told_the_same(make_world: Make, seed: int) -> None:
    """Two worlds with the same yesterday and another today give a delayed reader the very same bytes."""
    quiet, busy = make_world(), make_world()
    past_ms = quiet.now
    for world in (quiet, busy):
        past(world)
        world.clock.sleep((12 * HOUR + 5) / 1000)
    later(busy, random.Random(seed), past_ms)
    for world in (quiet, busy):
        world.clock.sleep(12 * HOUR / 1000)
    told = {key: seen(quiet, key) for key in ("k0", "kvanta0")}

    assert {key: seen(busy, key) for key in told} == told
    assert {status for status, _, _ in told["k0"]} == {200}
    assert seen(busy, "k100") != seen(quiet, "k100")
