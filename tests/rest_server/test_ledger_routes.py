"""Perf, penalty, emissions and debt ledgers over REST: bodies, refusals, shapes, delay, compression."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from journal.entry import LEDGER, Draft
from rest_server import rule_models as models
from tests.rest_server.ruled import (
    Case,
    boundary,
    check,
    get,
    pay,
    penalise,
    spans,
    strangers,
    undemonstrated,
)
from tests.rest_server.world import DAY, HOUR, World, strict_json
from validator.ledger.checkpoint import SPAN_MS

PERF, DEBT, ALL = "ledgers.perf_ledger", "ledgers.debt_ledger", "ledgers.debt_ledgers"
PENALTY, EMISSIONS = "ledgers.penalty_ledger", "ledgers.emissions_ledger"
NO_DEBT = "Debt ledger data not found"


def with_ledger(world: World) -> None:
    spans(world, "a", 8)


def with_penalties_only(world: World) -> None:
    penalise(world, "a")


def with_fresh_debt(world: World) -> None:
    spans(world, "a", 1)
    penalise(world, "a")


CASES = [
    *strangers(PERF, "/perf-ledger/nobody"),
    *strangers(DEBT, "/debt-ledger/nobody"),
    *strangers(ALL, "/debt-ledger"),
    *strangers(PENALTY, "/penalty-ledger/nobody"),
    *strangers(EMISSIONS, "/emissions-ledger/nobody"),
    Case(PERF, 503, "Perf ledger data not available", get("/perf-ledger/nobody")),
    Case(
        PERF,
        404,
        "Perf ledger data not found for miner nobody",
        get("/perf-ledger/nobody", given=with_ledger),
    ),
    Case(
        PERF,
        400,
        "Invalid shape value. Allowed values are bundle or flat",
        get("/perf-ledger/a?shape=round", given=with_ledger),
    ),
    Case(DEBT, 404, NO_DEBT, get("/debt-ledger/nobody")),
    Case(DEBT, 404, NO_DEBT, get("/debt-ledger/a", given=with_ledger)),
    Case(DEBT, 404, NO_DEBT, get("/debt-ledger/a", "k50", given=with_fresh_debt)),
    Case(ALL, 503, "Debt ledger data not available", get("/debt-ledger")),
    Case(ALL, 404, NO_DEBT, get("/debt-ledger", given=with_penalties_only)),
    Case(ALL, 404, NO_DEBT, get("/debt-ledger", "k0", given=with_fresh_debt)),
    Case(PENALTY, 404, "Penalty ledger data not found", get("/penalty-ledger/nobody")),
    Case(PENALTY, 404, "Penalty ledger data not found", get("/penalty-ledger/a", given=with_ledger)),
    Case(EMISSIONS, 404, "Emissions ledger data not found", get("/emissions-ledger/nobody")),
    Case(EMISSIONS, 404, "Emissions ledger data not found", get("/emissions-ledger/a", given=with_ledger)),
    Case(ALL, 500, "Internal server error retrieving debt ledger data", lambda world: broken(world, "")),
    Case(PERF, 500, "Internal server error retrieving perf ledger data", lambda world: broken(world, "a")),
]


def broken(world: World, hotkey: str) -> Any:
    """A defect of ours: it must not say anything about itself."""
    with_fresh_debt(world)
    world.get("/readyz")
    published = world.source.current()
    assert published is not None

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("inside")

    published.papers["a"] = Broken()  # type: ignore[index]
    world.source.turns = False
    return world.get(f"/perf-ledger/{hotkey}" if hotkey else "/debt-ledger")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence(world: World, case: Case) -> None:
    check(world, case)


def test_every_declared_refusal_is_in_the_table(world: World) -> None:
    assert undemonstrated(world, "ledgers", CASES) == set()


def of_type(body: Any, kind: Any) -> Any:
    """The body, which has exactly the fields of a documented type."""
    msgspec.convert(body, kind, strict=True)
    return body


def test_a_perf_ledger_comes_as_a_bundle_or_flat(world: World) -> None:
    spans(world, "a", 3, pairs=("BTCUSD", "O2:FUEL/USDC"), gain=0.1)
    bundle = world.get("/perf-ledger/a").get_json()
    flat = world.get("/perf-ledger/a?shape=flat").get_json()

    assert list(bundle) == ["a"]
    assert list(bundle["a"]) == ["portfolio", "BTCUSD", "O2:FUEL/USDC"]
    assert flat["a"] == bundle["a"]["portfolio"]
    assert [one["last_update_ms"] for one in flat["a"]["cps"]] == [
        boundary(world) - n * SPAN_MS for n in (2, 1, 0)
    ]
    assert flat["a"]["target_cp_duration_ms"] == SPAN_MS


def test_a_key_limited_to_vanta_sees_only_vantas_pairs(world: World) -> None:
    spans(world, "a", 2, pairs=("BTCUSD", "O2:FUEL/USDC"))
    assert list(world.get("/perf-ledger/a", "kvanta").get_json()["a"]) == ["portfolio", "BTCUSD"]


def test_a_debt_ledger_without_emissions_has_nulls(world: World) -> None:
    spans(world, "a", 3, realized_pnl=10.0)
    penalise(world, "a", total=0.5, challenge_period_status="MAINCOMP")
    ledger = of_type(world.get("/debt-ledger/a").get_json(), models.DebtLedger)
    overview = of_type(world.get("/debt-ledger").get_json(), dict[str, models.DebtSummary])

    assert ledger["total_checkpoints"] == 3
    assert ledger["summary"]["weighted_score"] == 1.02 * 0.5
    assert ledger["summary"]["cumulative_emissions_usd"] is None
    assert {row["penalties"]["challenge_period_status"] for row in ledger["checkpoints"]} == {"MAINCOMP"}
    assert overview == {
        "a": {
            "hotkey": "a",
            "total_checkpoints": 3,
            "cumulative_emissions_alpha": None,
            "cumulative_emissions_tao": None,
            "cumulative_emissions_usd": None,
            "portfolio_return": 1.02,
            "weighted_score": 1.02 * 0.5,
            "latest_checkpoint_ms": boundary(world),
            "net_pnl": 10.0,
            "total_fees": 0.0,
        }
    }


def test_emissions_join_where_there_are_any(world: World) -> None:
    spans(world, "a", 16)
    spans(world, "b", 16)
    for hotkey in "ab":
        penalise(world, hotkey)
    pay(world, "a", 3, chunk_emissions=2.0, chunk_emissions_usd=5.0)
    paid = of_type(world.get("/emissions-ledger/a").get_json(), models.EmissionsLedger)
    ledger = of_type(world.get("/debt-ledger/a").get_json(), models.DebtLedger)
    overview = world.get("/debt-ledger").get_json()

    assert (paid["coldkey"], paid["total_checkpoints"], paid["cumulative_emissions"]) == ("5Cold", 3, 6.0)
    assert paid["cumulative_emissions_tao"] is None
    assert [row["emissions"]["chunk_alpha"] for row in ledger["checkpoints"]] == [2.0] * 3
    assert {row["performance"]["accum_ms"] for row in ledger["checkpoints"]} == {2 * SPAN_MS}
    assert overview["a"]["cumulative_emissions_usd"] == 15.0
    assert overview["b"]["cumulative_emissions_usd"] is None  # the source does not know it
    assert overview["b"]["total_checkpoints"] == 16


def test_a_penalty_ledger_lists_every_span(world: World) -> None:
    spans(world, "a", 4)
    penalise(world, "a", boundary(world) - SPAN_MS, drawdown=0.0, total=0.0)
    ledger = of_type(world.get("/penalty-ledger/a").get_json(), models.PenaltyLedger)

    assert ledger["total_checkpoints"] == 2
    assert [row["last_processed_ms"] for row in ledger["checkpoints"]] == [
        boundary(world) - SPAN_MS,
        boundary(world),
    ]
    assert ledger["checkpoints"][0]["drawdown_penalty"] == 0.0


LEDGERS = ("/perf-ledger/a", "/debt-ledger/a", "/penalty-ledger/a", "/debt-ledger")


def ends_in(path: str, body: Any) -> list[int]:
    """The ends of the spans in an answer."""
    if path == "/perf-ledger/a":
        return [one["last_update_ms"] for one in body["a"]["portfolio"]["cps"]]
    if path == "/debt-ledger":
        return [body["a"]["latest_checkpoint_ms"]]
    return [one.get("timestamp_ms", one.get("last_processed_ms")) for one in body["checkpoints"]]


@pytest.mark.parametrize("path", LEDGERS)
def test_delayed_tiers_see_spans_that_ended_over_24_hours_ago(world: World, path: str) -> None:
    world.clock.sleep((SPAN_MS - world.now % SPAN_MS) / 1000)  # to a boundary
    spans(world, "a", 20)
    penalise(world, "a")
    end_ms = world.now
    everything = ends_in(path, world.get(path).get_json())
    assert everything[-1] == end_ms
    for key in ("k0", "k30", "k50"):
        seen = ends_in(path, world.get(path, key).get_json())
        assert seen[-1] == end_ms - DAY - SPAN_MS  # the one that ended 24 h ago is not older than that
    world.source.turns = False
    world.clock.sleep(0.001)
    assert ends_in(path, world.get(path, "k0").get_json())[-1] == end_ms - DAY
    world.clock.sleep((SPAN_MS - 1) / 1000)
    assert ends_in(path, world.get(path, "k0").get_json())[-1] == end_ms - DAY
    world.clock.sleep(0.001)
    tag = world.get(path, "k0").headers["ETag"]
    assert ends_in(path, world.get(path, "k0").get_json())[-1] == end_ms - DAY + SPAN_MS
    assert world.get(path, "k0", If_None_Match=tag).status_code == 304


def test_emissions_are_delayed_likewise(world: World) -> None:
    spans(world, "a", 2)
    pay(world, "a", 6, chunk_emissions=1.0)
    live, delayed = (world.get("/emissions-ledger/a", key).get_json() for key in ("k100", "k50"))

    assert live["total_checkpoints"] == 6
    assert all(row["chunk_end_ms"] < world.now - DAY for row in delayed["checkpoints"])
    assert 3 <= delayed["total_checkpoints"] <= 4


def test_a_later_correction_does_not_reach_delayed_tiers_early(world: World) -> None:
    """Penalties that changed an hour ago are not in what a lower tier is told."""
    spans(world, "a", 20)
    penalise(world, "a", total=1.0)
    before = world.get("/debt-ledger", "k0").get_json()
    penalise(world, "a", boundary(world), total=0.0)

    assert world.get("/debt-ledger", "k0").get_json() == before
    assert world.get("/debt-ledger", "k100").get_json()["a"]["weighted_score"] == 0.0


def test_an_eliminated_hotkeys_ledgers_stay(world: World) -> None:
    spans(world, "a", 3)
    penalise(world, "a")
    assert world.get("/debt-ledger/a").status_code == 200


def test_the_overview_is_compressed_where_wanted_and_the_same_in_every_coding(world: World) -> None:
    for n in range(30):
        spans(world, f"hotkey-{n:02}", 2)
        penalise(world, f"hotkey-{n:02}")
    plain = world.get("/debt-ledger", Accept_Encoding="identity")
    packed = world.get("/debt-ledger", Accept_Encoding="gzip")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] == plain.headers["ETag"]
    assert len(strict_json(plain.data)) == 30
    assert len(packed.data) < len(plain.data) / 4


def test_unreadable_entries_are_left_out(world: World) -> None:
    spans(world, "a", 2)
    penalise(world, "a")
    for key in ("penalty|a|6h|9", "emissions|a|720m|1", "penalty|b|6h|1", "emissions|odd"):
        world.journal.append([Draft(LEDGER, key, b"nonsense")])

    assert world.get("/debt-ledger/a").get_json()["total_checkpoints"] == 2
    assert world.get("/debt-ledger/b").status_code == 404
    assert world.get("/emissions-ledger/a").status_code == 404


def test_ledgers_survive_a_restart(world: World) -> None:
    spans(world, "a", 3, pairs=("BTCUSD",))
    penalise(world, "a")
    pay(world, "a", 2, chunk_emissions=1.0)
    paths = ("/perf-ledger/a", "/debt-ledger/a", "/penalty-ledger/a", "/emissions-ledger/a", "/debt-ledger")
    before = [world.get(path).data for path in paths]
    world.start()

    assert [world.get(path).data for path in paths] == before


def test_an_hour_is_no_news_where_there_are_no_ledgers(world: World) -> None:
    published = world.source.current()
    world.source.turns = False
    world.clock.sleep(2 * HOUR / 1000)

    assert world.source.current() is published
