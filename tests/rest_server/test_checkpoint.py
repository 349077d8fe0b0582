"""``/validator-checkpoint``: its sections, and that a snapshot and the entries after it make the present."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import requests
import structlog

from journal.entry import ORDERS, POSITIONS, Draft
from journal.marks import MarkStore
from journal.sqlite import SqliteJournal
from journal.state import State
from rest_server.follower import Follower
from rest_server.http_server import HttpServer
from rest_server.worker import FollowerThread
from runtime.clock import SystemClock
from runtime.settings import RestSettings
from tests.rest_server.world import BTC, DAY, HOUR, World, bearer, fill, position, resting, strict_json
from validator.positions import identity, order_identity
from vanta_api.records import OrderMessage, OrderSource, PositionMessage, encode
from vanta_api.wire import positions_from_checkpoint

SEED = 20250615


def test_every_section_is_there(world: World) -> None:
    now = world.now
    world.put(
        position("a", [fill("a1", 1, 2.0, now - 3 * DAY), fill("a2", 0, 3.0, now - HOUR)]),
        position("b", [fill("b1", 1, 2.0, now - 2 * HOUR)]),
    )
    world.put_orders(resting("a", 1, now), resting("b", 2, now, src=int(OrderSource.LIMIT_FILLED)))
    world.put_size("a", 5000.0)
    answer = world.get("/validator-checkpoint")
    body = strict_json(answer.data)

    assert list(body) == [
        *("version", "created_timestamp_ms", "created_date", "epoch", "sequence", "sequences"),
        *("challengeperiod", "miner_account_sizes", "eliminations", "youngest_order_processed_ms"),
        *("oldest_order_processed_ms", "positions", "perf_ledgers", "asset_selections", "limit_orders"),
    ]
    assert body["version"] == world.settings.repo_version
    assert body["created_timestamp_ms"] == now
    assert body["created_date"] == "2025-06-15 15:06:40"
    assert body["sequence"] == body["sequences"]["positions"] == 2 == int(answer.headers["X-Sequence"])
    assert body["sequences"]["orders"] == 2
    assert body["epoch"] == answer.headers["X-Epoch"] == world.journal.epoch().id
    assert body["youngest_order_processed_ms"] == now - 3 * DAY
    assert body["oldest_order_processed_ms"] == now - HOUR
    assert "tier" not in body["positions"]["a"]
    assert body["positions"]["b"]["positions"][0]["close_ms"] == 0
    assert list(body["limit_orders"]) == ["O2:FUEL/USDC"]
    assert [one["src"] for one in body["limit_orders"]["O2:FUEL/USDC"]["a"]] == [5]
    assert body["miner_account_sizes"] == {
        "a": [
            {
                "account_size": 5000.0,
                "account_size_theta": 0.0,
                "update_time_ms": now,
                "valid_date_timestamp": now,
            }
        ]
    }
    assert set(positions_from_checkpoint(body)) == {"a", "b"}


def test_an_empty_state_has_zeros_instead_of_infinity(world: World) -> None:
    body = strict_json(world.get("/validator-checkpoint").data)

    assert (body["youngest_order_processed_ms"], body["oldest_order_processed_ms"]) == (0, 0)
    assert (body["positions"], body["limit_orders"], body["sequence"]) == ({}, {}, 0)


def test_a_key_limited_to_vanta_gets_only_vantas_pairs(world: World) -> None:
    world.put(
        position("a", [fill("a1", 1, 2.0, world.now - DAY)]),
        position("a", [fill("a2", 1, 2.0, world.now)], BTC),
    )
    world.put_orders(resting("a", 1, world.now))
    answer = world.get("/validator-checkpoint", "kvanta")
    body = answer.get_json()

    assert len(body["positions"]["a"]["positions"]) == 1
    assert body["youngest_order_processed_ms"] == world.now
    assert "O2:" not in answer.text


class Client:
    """What a careful client does: a snapshot, then every entry after it, exactly once, in order."""

    def __init__(self, port: int) -> None:
        self.session = requests.Session()
        self.session.headers.update(bearer("k100"))
        self.url = f"http://127.0.0.1:{port}"
        snapshot = self.session.get(f"{self.url}/validator-checkpoint", timeout=10).json()
        self.cursors: dict[str, int] = snapshot["sequences"]
        self.epoch = snapshot["epoch"]
        self.positions = positions_of(snapshot)
        self.orders = orders_of(snapshot)

    def catch_up(self) -> None:
        for stream, apply in ((POSITIONS, self.apply_position), (ORDERS, self.apply_order)):
            has_more = True
            while has_more:
                has_more = self.read_page(stream, apply)

    def read_page(self, stream: str, apply: Any) -> bool:
        query = {"after": self.cursors[stream], "stream": stream, "epoch": self.epoch, "limit": 37}
        page = self.session.get(f"{self.url}/v1/events", params=query, timeout=10).json()
        for frame in page["events"]:
            number = frame["sequence"] if stream == POSITIONS else frame["stream_sequence"]
            assert number == self.cursors[stream] + 1
            self.cursors[stream] = number
            apply(frame["data"])
        return bool(page["has_more"])

    def apply_position(self, data: dict[str, Any]) -> None:
        one = data["position"]
        self.positions[one["position_uuid"]] = {**one, "close_ms": one["close_ms"] or 0}

    def apply_order(self, data: dict[str, Any]) -> None:
        order = data["order"]
        self.orders.pop(order["order_uuid"], None)
        if order["src"] == OrderSource.LIMIT_UNFILLED:
            self.orders[order["order_uuid"]] = order


def positions_of(snapshot: dict[str, Any]) -> dict[str, Any]:
    return {
        one["position_uuid"]: one
        for dashboard in snapshot["positions"].values()
        for one in dashboard["positions"]
    }


def orders_of(snapshot: dict[str, Any]) -> dict[str, Any]:
    return {
        one["order_uuid"]: one
        for hotkeys in snapshot["limit_orders"].values()
        for orders in hotkeys.values()
        for one in orders
    }


def write(journal: SqliteJournal, writer: int, rounds: int) -> None:
    """One poller: positions that grow and close, orders that come and go, several entries at once."""
    chance = random.Random(SEED + writer)
    clock = SystemClock()
    for turn in range(rounds):
        drafts: list[Draft] = []
        for slot in range(chance.randint(1, 4)):
            seed = (writer, slot, turn // 5)
            orders = [
                fill((*seed, n), 1.0 + slot, 2.0, clock.now_ms() - 1000 + n) for n in range(turn % 5 + 1)
            ]
            one = position(f"hotkey{writer}", orders)
            body = encode(PositionMessage(position=one))
            drafts.append(Draft(POSITIONS, f"{one.miner_hotkey}|{one.position_uuid}", body, identity(one)))
        source = chance.choice([OrderSource.LIMIT_UNFILLED, OrderSource.LIMIT_FILLED])
        order = resting(f"hotkey{writer}", (writer, turn % 7), 1000, src=int(source))
        body = encode(OrderMessage(order=order))
        drafts.append(Draft(ORDERS, f"{order.miner_hotkey}|{order.order_uuid}", body, order_identity(order)))
        journal.append(drafts)


def test_snapshot_and_entries_after_it_make_the_live_state_while_writers_write(
    world: World, tmp_path: Path
) -> None:
    """Three writers, a real journal, a real socket, snapshots taken in the middle of it all."""
    print("seed", SEED)
    clock = SystemClock()
    journal = SqliteJournal(tmp_path / "journal.sqlite3", synchronous="NORMAL")
    marks = MarkStore(tmp_path / "stitch-marks.sqlite3")
    follower = Follower(journal, marks, State(), clock, "1")
    follower.boot()
    source = FollowerThread(follower, journal.doorbell(), RestSettings())
    source.start()
    world.source = source  # type: ignore[assignment]
    world.journal = journal  # type: ignore[assignment]
    world.app = create_app_of(world)
    server = HttpServer(world.app, "127.0.0.1", 0, RestSettings(threads=4))
    server.start()
    writers = [threading.Thread(target=write, args=(journal, number, 60)) for number in range(3)]
    with structlog.testing.capture_logs():
        for writer in writers:
            writer.start()
        clients = []
        while any(writer.is_alive() for writer in writers):
            clients.append(Client(server.port))
            clients[-1].catch_up()
        for writer in writers:
            writer.join()
        wait_until_caught_up(follower, journal)
        clients.append(Client(server.port))
        for client in clients:
            client.catch_up()
    final = clients[-1]
    assert len(clients) >= 3
    assert final.cursors[POSITIONS] == journal.head(POSITIONS) > 100
    for client in clients:
        assert client.cursors == final.cursors
        assert client.positions == final.positions
        assert client.orders == final.orders
    server.drain(2)
    source.stop()
    marks.close()
    journal.close()


def create_app_of(world: World) -> Any:
    from rest_server.app import create_app

    return create_app(world.services())


def wait_until_caught_up(follower: Follower, journal: SqliteJournal) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 10
    while True:
        published = follower.current()
        if published is not None and dict(published.vector) == journal.heads():
            return
        assert clock.monotonic() < deadline, "the follower never caught up"
        clock.sleep(0.01)


def test_a_snapshot_is_one_moment(world: World) -> None:
    """A published state never changes, whatever is journalled while it is being read."""
    world.put(position("a", [fill("a1", 1, 2.0, world.now)]))
    held = world.source.current()
    assert held is not None
    world.put(position("a", [fill("a1", 1, 2.0, world.now), fill("a2", 1, 2.0, world.now)]))
    world.get("/validator-checkpoint")
    from rest_server.audience import Audience

    body = json.loads(held.checkpoint(Audience(100)).body("identity"))
    assert body["sequence"] == 1
    assert len(body["positions"]["a"]["positions"][0]["orders"]) == 1
