"""Helpers of the restore's tests: checkpoints to restore from, the command, and what a directory holds."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from structlog.testing import capture_logs

from journal.__main__ import main
from journal.entry import Draft
from journal.layout import boot_state, open_reader
from journal.marks import MarkStore
from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from journal.state import State
from journal.store import Store
from rest_server.audience import Audience
from rest_server.checkpoint_document import Form, checkpoint
from rest_server.follower import Follower
from runtime.clock import FakeClock
from runtime.settings import Settings
from tests.rest_server.complete import archived_draft, drafts, position_draft, positions

MADE_MS = 1_750_000_000_000
NONCE = b'{"floor_ms": 1, "used": {}}'


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run inside the tests' process: they must not tie its logs to a captured stream."""
    monkeypatch.setattr("runtime.logs.configure", lambda *_: None)
    with capture_logs():
        yield


def own_checkpoint(directory: Path, query: str = "", hotkeys: int = 3) -> bytes:
    """A checkpoint of this product with something in every section."""
    clock = FakeClock(MADE_MS)
    journal = MemoryJournal(clock=clock)
    journal.append(drafts(MADE_MS, hotkeys))
    figures = {"positions": 2, "lasted": 2, "profitable": 1, "growth": 1.5, "zeros": 0}
    journal.append([archived_draft("hk1", "BTCUSD", **figures), Draft("registry", "nonce|a::b", NONCE)])
    return served(directory, journal, query)


def served_from(directory: Path, data: Path, query: str = "") -> bytes:
    """The checkpoint of a server that starts on the restored data directory."""
    journal = SqliteJournal(data / "journal" / "journal.sqlite3")
    try:
        return served(directory, journal, query)
    finally:
        journal.close()


def served(directory: Path, journal: Store, query: str = "") -> bytes:
    """What a server answers at ``MADE_MS``; ``query`` as in its route."""
    directory.mkdir(parents=True, exist_ok=True)
    marks = MarkStore(directory / "marks.sqlite3")
    try:
        follower = Follower(journal, marks, State(), FakeClock(MADE_MS), "8.8.9")
        follower.boot()
        published = follower.current()
        assert published is not None
        return checkpoint(published, Audience(100), form_of(query)).body("identity")
    finally:
        marks.close()


def form_of(query: str) -> Form:
    """The form that a query asks for."""
    asked = dict(parse_qsl(query.lstrip("?")))
    return Form(
        "by_hotkey" if asked.get("limit_orders") == "by_hotkey" else "by_pair",
        "bundle" if asked.get("perf_ledgers") == "bundle" else "flat",
        asked.get("facts") == "all",
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """``python -m journal restore ... --json``; its exit code and what it printed."""
    capsys.readouterr()
    code = main(["restore", *map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert facts["exit_code"] == code
    return code, facts


def tree(directory: Path) -> dict[str, str]:
    """Every file below and the digest of its content."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def state_of(data: Path) -> State:
    """The present State of a data directory."""
    settings = Settings(data_dir=data)
    reader = open_reader(settings)
    try:
        return boot_state(settings, reader)
    finally:
        reader.close()


def hotkeys_of(data: Path) -> set[str]:
    """Whose positions a data directory holds."""
    return {key.partition("|")[0] for key in state_of(data).latest["positions"]}


def filled(data: Path, accounts: int = 2, at_ms: int = MADE_MS) -> SqliteJournal:
    """A journal in a data directory with some positions of its own; still open."""
    settings = Settings(data_dir=data)
    journal = SqliteJournal(settings.journal_path, clock=FakeClock(at_ms), witness_file=settings.witness_path)
    for number in range(accounts):
        journal.append([position_draft(one) for one in positions(f"old{number}", number, at_ms - 30_000)])
    journal.append([Draft("actions", "act|1", b'{"intent":1}'), Draft("registry", "nonce|x::y", NONCE)])
    return journal


SEED_POSITION: dict[str, Any] = {
    "average_entry_price": 0.59559,
    "close_ms": 1714156813363,
    "current_return": 1.0002165919508386,
    "initial_entry_price": 0.59559,
    "is_closed_position": True,
    "miner_hotkey": "5C5",
    "net_leverage": 0.0,
    "open_ms": 1714139478990,
    "orders": [
        {
            "leverage": -0.1,
            "order_type": "SHORT",
            "order_uuid": "18ca3cdf-b785-4f88-90a9-d2c06e8653b1",
            "price": 0.59559,
            "price_sources": [],
            "processed_ms": 1714139478990,
        },
        {
            "leverage": 0.0,
            "order_type": "FLAT",
            "order_uuid": "c902c428-fcfb-43ca-ab79-117c957dbbfa",
            "price": 0.5943,
            "price_sources": [],
            "processed_ms": 1714156813363,
        },
    ],
    "position_type": "FLAT",
    "position_uuid": "1f3f427f-6cbe-497c-af11-2fbef2ca3c10",
    "return_at_close": 1.0002095904346948,
    "trade_pair": ["NZDUSD", "NZD/USD", 7e-05, 0.001, 500],
}
SEED_LEDGER: dict[str, Any] = {
    "cps": [
        {
            "accum_ms": 21600000,
            "gain": 0.12586433994869853,
            "last_update_ms": 1714161050595,
            "loss": -0.12587360888356938,
            "n_updates": 17213,
            "open_ms": 21599768,
            "prev_portfolio_ret": 0.9999907311080851,
        }
    ]
}


def oldest_vanta() -> dict[str, Any]:
    """A checkpoint of the first generation: flat ledgers, buckets by outcome, no limit orders."""
    return copy.deepcopy(
        {
            "version": "4.0.1",
            "created_timestamp_ms": 1714200000000,
            "created_date": "2024-04-27 06:40:00",
            "challengeperiod": {"testing": {"5C5": 1714100000000}, "success": {"5D6": 1713000000000}},
            "eliminations": [
                {
                    "elimination_initiated_time_ms": 1711204151504,
                    "hotkey": "5G1",
                    "reason": "PLAGIARISM",
                }
            ],
            "youngest_order_processed_ms": 1714139478990,
            "oldest_order_processed_ms": 1714156813363,
            "positions": {
                "5C5": {
                    "all_time_returns": 1.0002,
                    "thirty_day_returns": 1.0002,
                    "n_positions": 1,
                    "percentage_profitable": 1.0,
                    "positions": [SEED_POSITION],
                }
            },
            "perf_ledgers": {"5C5": SEED_LEDGER},
        }
    )


def newest_vanta() -> dict[str, Any]:
    """A checkpoint of a later generation: bundles, buckets with history, sizes, limit orders by pair."""
    found = oldest_vanta()
    opened = copy.deepcopy(SEED_POSITION) | {
        "position_uuid": "0f3f427f-6cbe-497c-af11-2fbef2ca3c11",
        "close_ms": 0,
        "is_closed_position": False,
        "position_type": "SHORT",
        "net_value": -1000.0,
        "net_quantity": -0.01,
        "account_size": 100000.0,
        "unrealized_pnl": 3.5,
    }
    opened["orders"] = [{**SEED_POSITION["orders"][0], "order_uuid": "o-open", "bid": 0.5955, "ask": 0.5957}]
    found["positions"]["5C5"]["positions"].append(opened)
    limit = {
        **SEED_POSITION["orders"][0],
        "trade_pair_id": "NZDUSD",
        "order_uuid": "limit-1",
        "price": 0.0,
        "limit_price": 0.6,
        "src": 5,
        "execution_type": "LIMIT",
    }
    found |= {
        "version": "8.8.9",
        "challengeperiod": {
            "5C5": {
                "bucket": "MAINCOMP",
                "bucket_start_time": 1714100000000,
                "previous_bucket": "CHALLENGE",
                "previous_bucket_start_time": 1710000000000,
            }
        },
        "miner_account_sizes": {
            "5C5": [
                {"account_size": 1e5, "update_time_ms": 1714000000000, "valid_date_timestamp": 1714003200000},
                {
                    "account_size": 2e5,
                    "account_size_theta": 400.0,
                    "update_time_ms": 1714100000000,
                    "valid_date_timestamp": 1714176000000,
                },
            ]
        },
        "asset_selections": {"5C5": "forex"},
        "limit_orders": {"NZDUSD": {"5C5": [limit]}},
        "perf_ledgers": {"5C5": {"portfolio": SEED_LEDGER, "NZDUSD": SEED_LEDGER}},
    }
    again: dict[str, Any] = json.loads(json.dumps(found))  # nothing is shared between its parts
    return again
