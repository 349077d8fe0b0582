"""``/eliminations``: exact rows, refusals, and 24 hours of delay to the millisecond."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.entry import REGISTRY, Draft
from tests.rest_server.ruled import Case, check, eliminate, strangers, undemonstrated
from tests.rest_server.world import DAY, HOUR, Make, World
from validator.tiers import LAG_MS

ROUTE, PATH = "eliminations.eliminations", "/eliminations"
CASES = strangers(ROUTE, PATH)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence(world: World, case: Case) -> None:
    check(world, case)


def test_every_declared_refusal_is_in_the_table(world: World) -> None:
    assert undemonstrated(world, "eliminations", CASES) == set()


def test_rows_have_vantas_shape_and_order(world: World) -> None:
    eliminate(world, "b", "MAX_TOTAL_DRAWDOWN", world.now - 5, dd=12.25, price_info={"BTCUSD": 64000.5})
    eliminate(world, "a", "FAILED_CHALLENGE_PERIOD_TIME", world.now - HOUR, dd=-1.0)
    eliminate(world, "c", "ZOMBIE", world.now - 5)
    answer = world.get(PATH)

    assert answer.status_code == 200
    assert answer.get_json() == {
        "eliminations": [
            {
                "hotkey": "a",
                "dd": -1.0,
                "reason": "FAILED_CHALLENGE_PERIOD_TIME",
                "elimination_initiated_time_ms": world.now - HOUR,
                "price_info": {},
                "return_info": {},
            },
            {
                "hotkey": "b",
                "dd": 12.25,
                "reason": "MAX_TOTAL_DRAWDOWN",
                "elimination_initiated_time_ms": world.now - 5,
                "price_info": {"BTCUSD": 64000.5},
                "return_info": {},
            },
            {
                "hotkey": "c",
                "dd": None,
                "reason": "ZOMBIE",
                "elimination_initiated_time_ms": world.now - 5,
                "price_info": {},
                "return_info": {},
            },
        ]
    }


def test_nobody_out_is_an_empty_list(world: World) -> None:
    assert world.get(PATH, "k0").get_json() == {"eliminations": []}


def test_a_delayed_tier_learns_of_it_24_hours_later_to_the_millisecond(world: World) -> None:
    eliminate(world, "a")
    tags = {}
    for key in ("k0", "k30", "k50"):
        answer = world.get(PATH, key)
        assert answer.get_json() == {"eliminations": []}
        tags[key] = answer.headers["ETag"]
    world.clock.sleep(DAY / 1000)
    for key, tag in tags.items():
        assert world.get(PATH, key, If_None_Match=tag).status_code == 304
    world.clock.sleep(0.001)
    for key, tag in tags.items():
        answer = world.get(PATH, key, If_None_Match=tag)
        assert answer.status_code == 200
        assert [row["hotkey"] for row in answer.get_json()["eliminations"]] == ["a"]


def test_after_a_restart_the_delay_still_ends_to_the_millisecond(world: World) -> None:
    eliminate(world, "a")
    world.start()
    world.source.turns = False  # nothing but the request itself moves the state on
    assert world.get(PATH, "k0").get_json() == {"eliminations": []}
    world.clock.sleep(DAY / 1000 + 0.001)

    assert len(world.get(PATH, "k0").get_json()["eliminations"]) == 1


def test_an_unreadable_fact_is_left_out(world: World) -> None:
    world.journal.append([Draft(REGISTRY, "elimination|x", b"nonsense")])
    eliminate(world, "a")

    assert [row["hotkey"] for row in world.get(PATH).get_json()["eliminations"]] == ["a"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.integers(0, 3 * DAY), max_size=8), later=st.integers(0, 2 * DAY))
def test_what_a_tier_sees_is_exactly_what_is_old_enough(
    make_world: Make, ages: list[int], later: int
) -> None:
    """Lower tiers see a part of what tier 100 sees: the rows from before now - 24 h."""
    world = make_world()
    for n, age in enumerate(ages):
        eliminate(world, f"h{n}", at_ms=world.now - age)
    world.get(PATH, "k0")
    world.clock.sleep(later / 1000)
    everything = world.get(PATH, "k100").get_json()["eliminations"]

    assert len(everything) == len(ages)
    for key in ("k0", "k30", "k50"):
        seen = world.get(PATH, key).get_json()["eliminations"]
        assert seen == [
            row for row in everything if row["elimination_initiated_time_ms"] < world.now - LAG_MS
        ]
