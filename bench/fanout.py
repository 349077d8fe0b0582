"""Fan-out: the real WebSocket worker, journal included, against the plain way, in one interleaved run.

Ours: every message is appended to the journal on disk (durable before it is sent), found there by the
worker and sent. Plain: see ``bench.fanout_plain``; it holds its messages in memory and keeps none.
Rates are deliveries (messages x subscribers) per second of wall time until the last subscriber has the
last message, and per second of the server's CPU time. Listeners run in a process of their own and do not
inflate what is compressed, which favours the plain way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO

from bench.fanout_messages import POOL
from bench.rows import Row, show
from journal.entry import POSITIONS, Draft
from journal.sqlite import SqliteJournal

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
SINGLES = 15  # messages sent alone, per round
SUBSCRIBERS = (100, 500)
BURST = {"ours": 400_000, "none": 40_000, "deflate": 12_000}  # deliveries: about half a second each
APPEND = 200  # entries per transaction
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Side:
    """One server with its listeners. ``publish(count, marker)`` lets it send that many messages."""

    mode: str
    server: subprocess.Popen[bytes]
    listeners: subprocess.Popen[bytes]
    subscribers: int
    publish: Callable[[int, str], None]
    rates: list[float] = field(default_factory=list)
    cpu_rates: list[float] = field(default_factory=list)
    singles_s: list[float] = field(default_factory=list)
    markers: int = 0

    def burst(self) -> None:
        """Send a backlog and measure."""
        count = max(10, BURST[self.mode] // self.subscribers)
        cpu = self._cpu_s()
        elapsed = self._time(count)
        self.rates.append(count * self.subscribers / elapsed)
        self.cpu_rates.append(count * self.subscribers / max(self._cpu_s() - cpu, 1 / TICK))

    def single(self) -> None:
        """Send one message to everybody and measure."""
        self.singles_s.append(self._time(1))

    def _time(self, count: int) -> float:
        self.markers += 1
        marker = f"<{self.mode}-{self.markers}>"
        _tell(self.listeners, marker)
        _hear(self.listeners)
        began = time.monotonic()
        self.publish(count, marker)
        return float(_hear(self.listeners)) - began

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def _tell(process: subprocess.Popen[bytes], line: str) -> None:
    pipe: IO[bytes] | None = process.stdin
    assert pipe is not None
    pipe.write(line.encode() + b"\n")
    pipe.flush()


def _hear(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"process {process.args!r} ended"
    return line.decode().strip()


@contextmanager
def _python(*arguments: str, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environ or {})},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _ours(directory: Path, subscribers: int) -> Iterator[Side]:
    (directory / "keys.json").write_text(json.dumps({"bench": "bench"}))
    journal = SqliteJournal(directory / "data" / "journal" / "journal.sqlite3")
    options = (f"--data-dir={directory / 'data'}", f"--api-keys={directory / 'keys.json'}", "--api-ws-port=0")
    environ = {
        "VANTA_WEBSOCKET__CONNECTIONS_PER_KEY": "10000",
        "VANTA_WEBSOCKET__UNAUTHENTICATED_PER_IP": "10000",
        "VANTA_WEBSOCKET__HEARTBEAT_MS": "600000",  # nothing may stand behind a burst's last frame
    }
    written = 0

    def publish(count: int, marker: str) -> None:
        nonlocal written
        drafts = []
        for number in range(written, written + count):
            data = json.dumps(POOL[number % len(POOL)]).encode()
            drafts.append(Draft(POSITIONS, f"bench|{number}", data))
        drafts[-1] = Draft(POSITIONS, drafts[-1].key, json.dumps({"position": {"marker": marker}}).encode())
        written += count
        for begin in range(0, count, APPEND):
            journal.append(drafts[begin : begin + APPEND])

    with _python("ws_server", *options, environ=environ) as server:
        port = json.loads(_hear(server))["port"]
        with _listeners(port, subscribers, "ours") as listeners:
            yield Side("ours", server, listeners, subscribers, publish)
    journal.close()


@contextmanager
def _plain(compression: str, subscribers: int) -> Iterator[Side]:
    with _python("bench.fanout_plain", compression) as server:
        port = int(_hear(server))
        mode = "deflate" if compression == "deflate" else "plain"

        def publish(count: int, marker: str) -> None:
            _tell(server, f"{count} {marker}")

        with _listeners(port, subscribers, mode) as listeners:
            yield Side(compression, server, listeners, subscribers, publish)


@contextmanager
def _listeners(port: int, subscribers: int, mode: str) -> Iterator[subprocess.Popen[bytes]]:
    with _python("bench.fanout_listeners", str(port), str(subscribers), mode) as process:
        assert _hear(process) == "ready"
        yield process


def _compare(subscribers: int) -> list[Row]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(_ours(directory, subscribers))
        others = [stack.enter_context(_plain(kind, subscribers)) for kind in ("deflate", "none")]
        for _ in range(ROUNDS):
            for side in (ours, *others):
                side.burst()
                for _ in range(SINGLES):
                    side.single()
    names = {"deflate": "dumps + awaited send, deflate", "none": "dumps + awaited send, no deflate"}
    return [row for other in others for row in _rows(ours, other, names[other.mode])]


def _rows(ours: Side, plain: Side, baseline: str) -> list[Row]:
    what = f"fan-out to {ours.subscribers}"
    return [
        Row(f"{what}, backlog", median(ours.rates), median(plain.rates), "deliveries/s", baseline),
        Row(
            f"{what}, per CPU second", median(ours.cpu_rates), median(plain.cpu_rates), "deliveries", baseline
        ),
        Row(
            f"{what}, one message, until the last has it",
            1 / median(ours.singles_s),
            1 / median(plain.singles_s),
            "per s",
            baseline,
        ),
    ]


def run() -> list[Row]:
    """Ours against the library's default compression and against none, for each number of subscribers."""
    return [row for subscribers in SUBSCRIBERS for row in _compare(subscribers)]


if __name__ == "__main__":
    show(run())
