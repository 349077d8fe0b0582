"""Restoring from Vanta's own checkpoints, of every generation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journal.restored import (
    SEED_LEDGER,
    SEED_POSITION,
    newest_vanta,
    oldest_vanta,
    quiet,
    run,
    served_from,
    state_of,
)
from vanta_api.records import decode_order_message, decode_position_message

__all__ = ["quiet"]
pytestmark = pytest.mark.usefixtures("quiet")
Change = Callable[[dict[str, Any]], object]
POSITION = "positions.5C5.positions[0]"


def restored(tmp_path: Path, capsys: pytest.CaptureFixture[str], found: Any) -> dict[str, Any]:
    """What the command says; fails when it refuses."""
    (tmp_path / "c.json").write_text(json.dumps(found))
    code, facts = run(capsys, tmp_path / "c.json", "--data-dir", tmp_path / "data")
    assert code == 0, facts
    return facts


def test_the_first_generation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = restored(tmp_path, capsys, oldest_vanta())
    again = json.loads(served_from(tmp_path / "server", tmp_path / "data"))

    assert (facts["warnings"], facts["counts"]["positions"], facts["counts"]["orders"]) == ([], 1, 2)
    assert {name: row["bucket"] for name, row in again["challengeperiod"].items()} == {
        "5C5": "CHALLENGE",
        "5D6": "MAINCOMP",
    }
    assert again["eliminations"] == [
        {
            "hotkey": "5G1",
            "dd": None,
            "reason": "PLAGIARISM",
            "elimination_initiated_time_ms": 1711204151504,
            "price_info": {},
            "return_info": {},
        }
    ]
    shown = again["perf_ledgers"]["5C5"]["cps"]
    assert [{name: row[name] for name in SEED_LEDGER["cps"][0]} for row in shown] == SEED_LEDGER["cps"]
    (position,) = again["positions"]["5C5"]["positions"]
    assert position | {"orders": 0, "venue": 0} == position | {
        **{name: value for name, value in SEED_POSITION.items() if name != "orders"},
        "orders": 0,
        "venue": 0,
    }


def test_returns_of_historical_positions_are_not_recomputed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = oldest_vanta()
    found["positions"]["5C5"]["positions"][0]["return_at_close"] = 0.123456789
    restored(tmp_path, capsys, found)
    (entry,) = state_of(tmp_path / "data").latest["positions"].values()

    assert decode_position_message(entry.body).position.return_at_close == 0.123456789
    assert decode_position_message(entry.body).repo_version == "4.0.1"


def test_the_newest_generation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = restored(tmp_path, capsys, newest_vanta())
    state = state_of(tmp_path / "data")
    again = json.loads(served_from(tmp_path / "server", tmp_path / "data", "?perf_ledgers=bundle"))

    assert facts["counts"]["limit_orders"] == 1
    assert again["challengeperiod"] == newest_vanta()["challengeperiod"]
    assert again["asset_selections"] == {"5C5": "forex"}
    assert [row["account_size"] for row in again["miner_account_sizes"]["5C5"]] == [1e5, 2e5]
    assert set(again["perf_ledgers"]["5C5"]) == {"portfolio", "NZDUSD"}
    (order,) = [decode_order_message(one.body).order for one in state.latest["orders"].values()]
    assert (order.trade_pair, order.src, order.limit_price) == (
        ("NZDUSD", "NZD/USD", 7e-05, 0.001, 500.0),
        5,
        0.6,
    )
    opened = state.latest["positions"]["5C5|0f3f427f-6cbe-497c-af11-2fbef2ca3c11"]
    position = decode_position_message(opened.body).position
    assert (position.close_ms, position.unrealized_pnl, position.account_size) == (None, 3.5, 100000.0)


def test_limit_orders_are_read_in_the_readers_form_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = newest_vanta()
    (orders,) = found["limit_orders"]["NZDUSD"].values()
    del orders[0]["price"]
    found["limit_orders"] = {"5C5": orders}
    restored(tmp_path, capsys, found)

    assert list(state_of(tmp_path / "data").latest["orders"]) == ["5C5|limit-1"]


def test_buckets_with_their_whole_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = newest_vanta()
    found["challengeperiod"] = {
        "5C5": [
            {"bucket": "PROBATION", "bucket_start_time": 3000},
            {"bucket": "MAINCOMP", "bucket_start_time": 2000},
            {"bucket": "CHALLENGE", "bucket_start_time": 1000},
        ]
    }
    restored(tmp_path, capsys, found)
    body = json.loads(state_of(tmp_path / "data").latest["registry"]["challenge|5C5"].body)["challenge"]

    assert [step["bucket"] for step in body["history"]] == ["CHALLENGE", "MAINCOMP", "PROBATION"]
    assert (body["previous_bucket"], body["previous_bucket_start_time"]) == ("MAINCOMP", 2000)


def test_infinity_is_tolerated_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = newest_vanta()
    found["youngest_order_processed_ms"] = float("inf")
    found["positions"]["5C5"]["positions"][1]["net_value"] = float("nan")
    found["positions"]["5C5"]["positions"][0]["orders"][0]["order_uuid"] = "NaN, Infinity"
    facts = restored(tmp_path, capsys, found)

    assert facts["warnings"] == [
        "2 values that are no numbers (Infinity, NaN) count as absent: youngest_order_processed_ms"
    ]
    bodies = [entry.body for entry in state_of(tmp_path / "data").latest["positions"].values()]
    assert b'"NaN, Infinity"' in b"".join(bodies)


def test_what_we_have_no_room_for_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = newest_vanta()
    found["something_new"] = {}
    found["positions"]["5C5"]["positions"][0]["orders"][0]["trailing_stop"] = {"trailing_percent": 1}
    found["positions"]["5C5"]["positions"][0]["orders"][0]["trade_pair"] = "NZDUSD"

    assert restored(tmp_path, capsys, found)["warnings"] == [
        "fields that are not taken over: positions[].orders[].trailing_stop",
        "sections that are not taken over: something_new",
    ]


def test_bare_lists_of_positions_and_missing_sections_are_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = oldest_vanta()
    found["positions"] = {"5C5": found["positions"]["5C5"]["positions"], "5Empty": []}
    for name in ("version", "challengeperiod", "perf_ledgers"):
        del found[name]

    assert restored(tmp_path, capsys, found)["counts"]["hotkeys"] == 2


def first(found: dict[str, Any]) -> dict[str, Any]:
    position: dict[str, Any] = found["positions"]["5C5"]["positions"][0]
    return position


REFUSALS: list[tuple[Change, str, str]] = [
    (lambda c: c.pop("positions"), "positions", "missing"),
    (lambda c: c.pop("eliminations"), "eliminations", "missing"),
    (lambda c: c.pop("created_timestamp_ms"), "created_timestamp_ms", "missing"),
    (lambda c: c.pop("youngest_order_processed_ms"), "youngest_order_processed_ms", "missing"),
    (lambda c: c.pop("oldest_order_processed_ms"), "oldest_order_processed_ms", "missing"),
    (lambda c: c.update(created_timestamp_ms="soon"), "created_timestamp_ms", "expected"),
    (lambda c: c.update(created_timestamp_ms=-5), "created_timestamp_ms", "no time"),
    (lambda c: c.update(positions=[]), "positions", "expected"),
    (lambda c: first(c).pop("miner_hotkey"), f"{POSITION}.miner_hotkey", "missing"),
    (lambda c: first(c).update(miner_hotkey="5X"), f"{POSITION}.miner_hotkey", "is not 5C5"),
    (lambda c: first(c).pop("position_uuid"), f"{POSITION}.position_uuid", "missing"),
    (lambda c: first(c).pop("open_ms"), f"{POSITION}.open_ms", "missing"),
    (lambda c: first(c).update(open_ms=-1), f"{POSITION}.open_ms", "ms since 1970"),
    (lambda c: first(c).pop("trade_pair"), f"{POSITION}.trade_pair", "missing"),
    (lambda c: first(c).update(trade_pair=[]), f"{POSITION}.trade_pair", "expected"),
    (lambda c: first(c).update(current_return="good"), f"{POSITION}.current_return", "expected"),
    (lambda c: first(c).update(is_closed_position=1), f"{POSITION}.is_closed_position", "expected"),
    (lambda c: first(c).update(orders={}), f"{POSITION}.orders", "expected"),
    (lambda c: first(c)["orders"][1].pop("price"), f"{POSITION}.orders[1].price", "missing"),
    (lambda c: first(c)["orders"][1].update(price=-1), f"{POSITION}.orders[1].price", "0 or more"),
    (lambda c: first(c)["orders"][1].pop("processed_ms"), f"{POSITION}.orders[1].processed_ms", "missing"),
    (lambda c: first(c)["orders"][0].update(processed_ms=-1), f"{POSITION}.orders[0].processed_ms", "ms"),
    (lambda c: first(c)["orders"][1].pop("order_uuid"), f"{POSITION}.orders[1].order_uuid", "missing"),
    (lambda c: first(c)["orders"][1].pop("order_type"), f"{POSITION}.orders[1].order_type", "missing"),
    (lambda c: first(c)["orders"][1].update(order_type="UP"), f"{POSITION}.orders[1].order_type", "LONG"),
    (lambda c: first(c)["orders"].append(first(c)["orders"][0]), f"{POSITION}.orders[2].order_uuid", "twice"),
    (
        lambda c: c["positions"]["5C5"]["positions"].append(first(c)),
        "positions.5C5.positions[2].position_uuid",
        "twice",
    ),
    (lambda c: c["eliminations"][0].pop("reason"), "eliminations[0].reason", "missing"),
    (lambda c: c["eliminations"][0].update(dd="x"), "eliminations[0].dd", "expected"),
    (lambda c: c["challengeperiod"]["5C5"].pop("bucket"), "challengeperiod.5C5.bucket", "missing"),
    (lambda c: c.update(challengeperiod={"testing": {"a": "x"}}), "challengeperiod.testing", "expected"),
    (
        lambda c: c["miner_account_sizes"]["5C5"][1].pop("account_size"),
        "miner_account_sizes.5C5[1].account_size",
        "missing",
    ),
    (lambda c: c["asset_selections"].update({"5C5": 3}), "asset_selections.5C5", "expected"),
    (
        lambda c: c["perf_ledgers"]["5C5"]["NZDUSD"].update(cps=[{"gain": 1.0}]),
        "perf_ledgers.5C5.NZDUSD.cps[0].last_update_ms",
        "missing",
    ),
    (
        lambda c: c["perf_ledgers"].update({"5C5": {"cps": [{"last_update_ms": 2}, {"last_update_ms": 1}]}}),
        "perf_ledgers.5C5.cps[1].last_update_ms",
        "order",
    ),
    (
        lambda c: c["limit_orders"]["NZDUSD"]["5C5"][0].update(trade_pair_id="BTCUSD"),
        "limit_orders.NZDUSD.5C5[0].trade_pair_id",
        "is not NZDUSD",
    ),
    (
        lambda c: c["limit_orders"]["NZDUSD"]["5C5"][0].pop("order_uuid"),
        "limit_orders.NZDUSD.5C5[0].order_uuid",
        "missing",
    ),
    (lambda c: c.update(limit_orders=[]), "limit_orders", "expected"),
]


@pytest.mark.parametrize(("change", "path", "problem"), REFUSALS)
def test_what_vantas_restore_cannot_take_is_refused_with_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Change, path: str, problem: str
) -> None:
    found = newest_vanta()
    change(found)
    (tmp_path / "c.json").write_text(json.dumps(found))
    code, facts = run(capsys, tmp_path / "c.json", "--data-dir", tmp_path / "data")

    assert code == 1
    assert (facts["path"] or "").startswith(path), facts
    assert problem in facts["problem"], facts
    assert not (tmp_path / "data").exists()


def test_a_number_that_must_be_there_may_not_be_infinite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = newest_vanta()
    first(found)["open_ms"] = float("inf")
    (tmp_path / "c.json").write_text(json.dumps(found))
    code, facts = run(capsys, tmp_path / "c.json", "--data-dir", tmp_path / "data")

    assert (code, facts["path"]) == (1, f"{POSITION}.open_ms")
