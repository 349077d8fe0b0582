"""``python -m rest_server`` as a process: ready, reload, restart, drain, and clear refusals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from journal.entry import POSITIONS, Draft
from journal.marks import MarkStore
from journal.sqlite import SqliteJournal
from runtime.api_keys import create_default
from runtime.clock import SystemClock
from runtime.exit_codes import ExitCode
from runtime.usage import merged
from tests.rest_server.world import FUEL, bearer, fill, position
from vanta_api.records import MarkMessage, PositionMessage, encode


class Server:
    """A running worker."""

    def __init__(self, directory: Path, *more: str) -> None:
        self.directory = directory
        self.log = (directory / "rest.log").open("ab")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "rest_server", "--data-dir", str(directory / "data")),
                *("--api-keys", str(directory / "keys.json"), "--api-rest-port", "0", *more),
            ],
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.ready['port']}"

    def get(self, path: str, key: str | None = None, **headers: str) -> requests.Response:
        sent = {**headers, **(bearer(key) if key else {})}
        return requests.get(self.url + path, headers=sent, timeout=10)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return code


@contextmanager
def running(directory: Path, *more: str) -> Iterator[Server]:
    server = Server(directory, *more)
    try:
        yield server
    finally:
        if not server.log.closed:
            server.stop(signal.SIGKILL)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_default(tmp_path / "keys.json")
    return tmp_path


def key_of(directory: Path, tier: int) -> str:
    key: str = json.loads((directory / "keys.json").read_text())[f"tier_{tier}"]["key"]
    return key


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "the condition was never met"
        time.sleep(0.01)
    return time.monotonic() - started


def put(directory: Path, seed: str) -> int:
    """Journal a position from another process, as a poller does."""
    journal = SqliteJournal(directory / "data" / "journal" / "journal.sqlite3")
    one = position("a", [fill(seed, 1, 2.0, SystemClock().now_ms())])
    body = encode(PositionMessage(position=one))
    (done,) = journal.append([Draft(POSITIONS, f"a|{one.position_uuid}", body)])
    journal.close()
    return done.sequence


def test_a_life_of_the_worker(directory: Path) -> None:
    """From an empty directory to entries, prices, a revoked key, a kill and a restart that shows the same."""
    full, free = key_of(directory, 100), key_of(directory, 0)
    with running(directory) as server:
        assert server.ready["ready"] is True
        assert server.get("/readyz").json()["status"] == "ready"
        assert server.get("/miner-positions", full).json() == {}

        sequence = put(directory, "one")
        wait_for(lambda: server.get("/miner-positions", full).headers["X-Sequence"] == str(sequence), 1.0)
        assert server.get("/miner-positions?tier=0", free).json()["a"]["positions"] == []

        marks = MarkStore(directory / "data" / "journal" / "marks.sqlite3")
        now = SystemClock().now_ms()
        marks.put(
            [MarkMessage(trade_pair_id=FUEL[0], venue="o2", instrument="FUEL/USDC", price="5", time_ms=now)]
        )
        marks.close()
        wait_for(
            lambda: server.get("/miner-positions/a", full).json()["positions"][0]["unrealized_pnl"] == 3.0
        )
        before = server.get("/miner-positions", full)
        assert b'worker="rest"' in server.get("/metrics").content
        assert server.get("/api/health", full).json()["workers"]["rest"]["state"] == "running"
        server.stop(signal.SIGKILL)

    with running(directory) as server:
        after = server.get("/miner-positions", full)
        assert after.content == before.content
        assert (
            server.get("/miner-positions", full, **{"If-None-Match": before.headers["ETag"]}).status_code
            == 304
        )

        keys = json.loads((directory / "keys.json").read_text())
        del keys["tier_100"]
        (directory / "keys.json").write_text(json.dumps(keys))
        assert wait_for(lambda: server.get("/miner-positions/a", full).status_code == 401) < 1.0
        assert server.get("/miner-positions/a", free).status_code == 200
        (directory / "keys.json").write_text("{")
        wait_for(lambda: server.get("/readyz").json()["warnings"])
        assert server.get("/miner-positions/a", free).status_code == 200
        assert server.stop() == ExitCode.OK
    rows = {row["key_id"]: row["requests"] for row in merged(directory / "data" / "usage")}
    assert len(rows) == 2
    log = (directory / "rest.log").read_text()
    assert '"event": "request"' in log
    assert full not in log
    assert free not in log


def test_sigterm_lets_a_download_finish(directory: Path) -> None:
    """A body far larger than any socket buffer, asked for before the signal and read after it."""
    journal = SqliteJournal(directory / "data" / "journal" / "journal.sqlite3", synchronous="NORMAL")
    now = SystemClock().now_ms()
    for n in range(150):
        one = position("a", [fill((n, k), 1, 2.0, now - 1000 + k) for k in range(60)])
        journal.append([Draft(POSITIONS, f"a|{one.position_uuid}", encode(PositionMessage(position=one)))])
    journal.close()
    with running(directory) as server, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.ready["port"]))
        key = key_of(directory, 100)
        slow.sendall(
            f"GET /miner-positions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        )
        received = slow.recv(1024)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # the signal must find the download unfinished; being later would only test less
        slow.settimeout(10)
        while chunk := slow.recv(65536):
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert len(body) == size > 5_000_000
        assert json.loads(body)["a"]["n_positions"] == 150
        assert server.process.wait(10) == ExitCode.OK


def refusal(directory: Path, *more: str, environ: dict[str, str] | None = None) -> tuple[int, str]:
    command = [sys.executable, "-m", "rest_server", "--data-dir", str(directory / "data"), *more]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    return done.returncode, done.stderr


def test_a_port_in_use_is_one_clear_line(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = refusal(directory, "--api-rest-port", str(port))
    assert code == ExitCode.CANNOT_BOOT
    last = text.strip().splitlines()[-1]
    assert last == (
        f"rest: 127.0.0.1:{port} is in use: stop what listens there or choose another with --api-rest-port"
    )
    assert "Traceback" not in text


def test_a_bad_proxy_setting_is_one_clear_line(directory: Path) -> None:
    config = directory / "config.toml"
    config.write_text('[rest]\ntrusted_proxies = ["the proxy"]\n')
    code, text = refusal(directory, "--config", str(config), "--api-rest-port", "0")

    assert code == ExitCode.CANNOT_BOOT
    assert "rest.trusted_proxies" in text
    assert "Traceback" not in text


def test_a_data_directory_that_is_a_file_is_one_clear_line(directory: Path) -> None:
    (directory / "data").write_text("")
    code, text = refusal(directory, "--api-rest-port", "0")

    assert code == ExitCode.CANNOT_BOOT
    assert "Traceback" not in text


@pytest.mark.parametrize("at", ["header", "entry"])
def test_a_damaged_journal_is_one_clear_line(directory: Path, at: str) -> None:
    put(directory, "one")
    path = directory / "data" / "journal" / "journal.sqlite3"
    content = bytearray(path.read_bytes())
    start = 100 if at == "header" else content.index(b'{"position":') + 50
    content[start : start + 90] = b"\xa5" * 90
    path.write_bytes(content)
    code, text = refusal(directory, "--api-rest-port", "0")

    assert code == ExitCode.CANNOT_BOOT
    assert "journal" in text.strip().splitlines()[-1]
    assert "Traceback" not in text
