"""Snapshots: one change among 200 miners, and requests over a real socket.

Ours is the REST server's own code: follower, books, joined gzip, waitress with file wrapper, keys, limits,
access log. The plain way is the one that everybody writes first: one dictionary, ``json.dumps``, gzip, a
file that is read and sent as bytes for each request; it has no limits, no log and no validators.

Requests are counted per second of the server's CPU time: on a small shared machine the wall clock mostly
measures the neighbours, and both ways wait for the same driver.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import msgspec
import structlog
from flask import Flask, Response, jsonify, request
from waitress.server import create_server

from bench.rows import Row, compare, show
from rest_server.audience import Audience
from rest_server.http_server import HttpServer
from runtime.settings import RestSettings
from tests.rest_server.world import HOUR, World, bearer, fill, position
from vanta_api.records import Position

MINERS = 200
POSITIONS = 15
ORDERS = 3
GZIP_LEVEL = 6
ROUNDS = 3
SECONDS = 0.4  # of requests per measurement
CONNECTIONS = 16
LIVE = Audience(100)
HOTKEYS = [f"o2:0x{Random(miner).getrandbits(160):040x}" for miner in range(MINERS)]
THREADS = 8


def made(miner: int, slot: int, orders: int, now_ms: int) -> Position:
    """An open position with some orders of the last days; amounts have as many digits as real ones."""
    chance = Random(miner * 1000 + slot)
    filled = [
        fill(
            (miner, slot, n),
            round(chance.uniform(1, 900), 6),
            round(chance.uniform(0.01, 90), 8),
            now_ms - (90 - n) * HOUR - chance.randrange(HOUR),
        )
        for n in range(orders)
    ]
    return position(HOTKEYS[miner], filled)


class PlainStore:
    """One dictionary, dumped and compressed as a whole, kept in a file."""

    def __init__(self, everything: dict[str, Any], directory: Path) -> None:
        self.everything = everything
        self.path = directory / "output.json.gz"

    def refresh(self, one: dict[str, Any], figure: float) -> int:
        """Take over one position and write the snapshot again."""
        dashboard = self.everything[one["miner_hotkey"]]
        dashboard["positions"][0] = one
        dashboard["thirty_day_returns"] = figure
        self.path.write_bytes(gzip.compress(json.dumps(self.everything).encode(), GZIP_LEVEL))
        return 1

    def app(self) -> Flask:
        """The routes, as simple as they can be."""
        app = Flask("plain")
        keys = ["k0", "k30", "k50", "k100", "k200"]

        @app.get("/miner-positions")
        def positions() -> Response:
            if request.headers.get("Authorization", "").partition(" ")[2] not in keys:
                return Response(status=401)
            headers = {"Content-Encoding": "gzip"}
            return Response(self.path.read_bytes(), headers=headers, mimetype="application/json")

        @app.get("/miner-positions/<minerid>")
        def one(minerid: str) -> Response:
            if request.headers.get("Authorization", "").partition(" ")[2] not in keys:
                return Response(status=401)
            return jsonify(self.everything[minerid])

        return app


@contextmanager
def plain_server(app: Flask) -> Iterator[int]:
    """waitress as it comes, with the same number of threads."""
    server = create_server(app, host="127.0.0.1", port=0, threads=THREADS, asyncore_use_poll=True)
    loop = threading.Thread(target=server.run, daemon=True)
    loop.start()
    try:
        yield int(server.effective_port)
    finally:
        server.task_dispatcher.shutdown(timeout=1)


def driven(port: int, path: str, headers: dict[str, str]) -> float:
    """Answered requests per second of our CPU time, asked by a driver in a process of its own."""
    job = {"port": port, "path": path, "headers": headers, "connections": CONNECTIONS, "seconds": SECONDS}
    command = [sys.executable, "-m", "bench.snapshot_driver", json.dumps(job)]
    started = time.process_time()
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ})
    return float(done.stdout) / (time.process_time() - started)


def in_turn(ours: Callable[[], float], plain: Callable[[], float]) -> tuple[float, float]:
    """Median rates of both, measured in turn."""
    pairs = [(ours(), plain()) for _ in range(ROUNDS)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


class Bench:
    """Both sides, filled with the same positions."""

    def __init__(self, directory: Path) -> None:
        self.world = World(directory)
        now = self.now = self.world.now
        for miner in range(MINERS):
            self.world.put(*(made(miner, slot, ORDERS, now) for slot in range(POSITIONS)))
        self.world.follower.turn()
        self.plain = PlainStore(self.world.get("/miner-positions").get_json(), directory)
        self.turns = 0

    def refresh(self) -> int:
        """One more order of one miner, through the journal, up to the compressed snapshot."""
        self.turns += 1
        self.world.put(made(self.turns % MINERS, 0, ORDERS + self.turns % 2 + 1, self.now + self.turns))
        return self._snapshot()

    def reprice(self) -> int:
        """A price that touches every position of every miner: the worst case."""
        self.turns += 1
        self.world.clock.sleep(0.001)
        self.world.mark(2.0 + self.turns / 1000)
        return self._snapshot()

    def _snapshot(self) -> int:
        self.world.follower.turn()
        published = self.world.follower.current()
        assert published is not None
        return 1 if published.miner_positions(LIVE).body("gzip") else 0

    def refresh_plain(self) -> int:
        """The same change, the plain way."""
        self.turns += 1
        one = made(self.turns % MINERS, 0, ORDERS + 1, self.now + self.turns)
        return self.plain.refresh(json.loads(json.dumps(as_json(one))), self.turns / 1e6)


def as_json(one: Position) -> dict[str, Any]:
    """The record as plain values."""
    values: dict[str, Any] = msgspec.to_builtins(one)
    return values


def refresh_rows(bench: Bench) -> list[Row]:
    """How long a change takes until it can be sent."""
    plain_way = f"json.dumps of everything, gzip level {GZIP_LEVEL}"
    fast, slow = compare(bench.refresh, bench.refresh_plain, ROUNDS)
    worst, _ = compare(bench.reprice, bench.refresh_plain, 1)
    return [
        Row(f"snapshot after a change of 1 of {MINERS} miners", fast, slow, "refreshes/s", plain_way),
        Row(f"snapshot after a price of all {MINERS} miners", worst, slow, "refreshes/s", plain_way),
    ]


def request_rows(bench: Bench) -> list[Row]:
    """How many requests are answered."""
    bench.refresh_plain()
    bench.world.source.turns = False
    one = f"/miner-positions/{HOTKEYS[0]}"
    key = {**bearer("k100"), "Accept-Encoding": "gzip"}
    known = {**key, "If-None-Match": bench.world.get("/miner-positions").headers["ETag"]}
    server = HttpServer(bench.world.app, "127.0.0.1", 0, RestSettings(threads=THREADS))
    server.start()
    rows: list[Row] = []
    with plain_server(bench.plain.app()) as port:
        for what, path, headers, baseline in (
            ("GET the snapshot", "/miner-positions", key, "read the file, send the bytes"),
            ("poll an unchanged snapshot (304)", "/miner-positions", known, "the whole body again"),
            ("GET one miner", one, key, "jsonify, not compressed"),
        ):
            ours = partial(driven, server.port, path, headers)
            plain = partial(driven, port, path, key)
            rows.append(Row(what, *in_turn(ours, plain), "requests/CPU s", baseline))
    server.drain(1)
    return rows


def run() -> list[Row]:
    """Refreshes and requests."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(open(os.devnull, "w")))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        try:
            return [*refresh_rows(bench), *request_rows(bench)]
        finally:
            bench.world.close()


if __name__ == "__main__":
    show(run())
