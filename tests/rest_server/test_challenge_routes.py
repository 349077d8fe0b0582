"""``/challenge-period/<id>``: exact bodies, refusals, history, delay."""

from __future__ import annotations

from typing import Any

import pytest

from journal.entry import REGISTRY, Draft
from tests.rest_server.ruled import Case, check, get, put_bucket, strangers, undemonstrated
from tests.rest_server.world import DAY, HOUR, World
from validator.challenge import record
from validator.challenge.record import Challenge

ROUTE, PATH = "challenge.challenge_period", "/challenge-period/nobody"
NOT_READABLE = "Internal server error retrieving challenge period data"


def unreadable(world: World) -> None:
    world.journal.append([Draft(REGISTRY, record.key_of("nobody"), b"{}")])


CASES = [
    *strangers(ROUTE, PATH),
    Case(ROUTE, 404, "Miner ID nobody not found", get(PATH)),
    Case(ROUTE, 404, "Miner ID nobody not found", get(PATH, "k0")),
    Case(ROUTE, 404, "Miner ID nobody not found", get(PATH + "?history=true")),
    Case(ROUTE, 500, NOT_READABLE, get(PATH, given=unreadable)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence(world: World, case: Case) -> None:
    check(world, case)


def test_every_declared_refusal_is_in_the_table(world: World) -> None:
    assert undemonstrated(world, "challenge", CASES) == set()


def journey(now_ms: int) -> Challenge:
    """In the challenge since 40 days, in the main competition since 30 h, out since 2 h."""
    one = record.admitted("a", record.CHALLENGE, now_ms - 40 * DAY)
    one = record.moved(one, record.MAINCOMP, now_ms - 30 * HOUR, now_ms - 30 * HOUR, "promoted")
    return record.moved(one, record.ELIMINATED, now_ms - 2 * HOUR, now_ms - 2 * HOUR, "MAX_TOTAL_DRAWDOWN")


def told(world: World, key: str, query: str = "") -> Any:
    return world.get(f"/challenge-period/a{query}", key).get_json()


def test_the_present_bucket_is_told_with_its_beginning(world: World) -> None:
    put_bucket(world, record.admitted("a", record.PROBATION, world.now - HOUR))

    assert told(world, "k100") == {
        "status": "success",
        "hotkey": "a",
        "challenge_period": {"bucket": "PROBATION", "start_time_ms": world.now - HOUR},
        "timestamp": world.now,
    }


def test_the_history_is_oldest_first_and_only_an_elimination_has_a_reason(world: World) -> None:
    put_bucket(world, journey(world.now))

    assert told(world, "k100", "?history=TRUE") == {
        "status": "success",
        "hotkey": "a",
        "history": [
            {"bucket": "CHALLENGE", "start_time_ms": world.now - 40 * DAY},
            {"bucket": "MAINCOMP", "start_time_ms": world.now - 30 * HOUR},
            {
                "bucket": "ELIMINATED",
                "start_time_ms": world.now - 2 * HOUR,
                "reason": "MAX_TOTAL_DRAWDOWN",
            },
        ],
        "timestamp": world.now,
    }
    assert told(world, "k100")["challenge_period"]["reason"] == "MAX_TOTAL_DRAWDOWN"
    assert "history" not in told(world, "k100", "?history=1")


def test_delayed_tiers_see_the_bucket_of_24_hours_ago(world: World) -> None:
    put_bucket(world, journey(world.now))
    for key in ("k0", "k30", "k50"):
        assert told(world, key)["challenge_period"]["bucket"] == "MAINCOMP"
        assert [row["bucket"] for row in told(world, key, "?history=true")["history"]] == [
            "CHALLENGE",
            "MAINCOMP",
        ]
    world.clock.sleep((22 * HOUR) / 1000)
    assert told(world, "k0")["challenge_period"]["bucket"] == "MAINCOMP"
    world.clock.sleep(0.001)
    assert told(world, "k0")["challenge_period"]["bucket"] == "ELIMINATED"


def test_a_delayed_tier_does_not_know_who_is_new(world: World) -> None:
    put_bucket(world, record.admitted("a", record.CHALLENGE, world.now))
    assert world.get("/challenge-period/a", "k50").status_code == 404
    world.source.turns = False
    world.clock.sleep(DAY / 1000 + 0.001)

    assert told(world, "k50")["challenge_period"]["bucket"] == "CHALLENGE"


@pytest.mark.parametrize("bucket", [*sorted(record.BUCKETS), "SOMETHING_NEW"])
def test_every_bucket_is_told_by_its_name(world: World, bucket: str) -> None:
    put_bucket(world, record.admitted("a", bucket, world.now - 5))
    assert told(world, "k100")["challenge_period"]["bucket"] == bucket
