"""Logs mask secrets and keep lines whole; heartbeats are whole files and outlive a full disk."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Counter
from structlog.testing import capture_logs

from runtime.clock import FakeClock
from runtime.heartbeat import Heartbeat, metrics, read_all
from runtime.logs import mask_secrets


def test_whatever_is_named_like_a_secret_is_masked_however_deep() -> None:
    event = {
        "event": "x",
        "api_key": "CANARY",
        "deep": {"list": [{"private_key": "CANARY", "ok": 1}]},
        "text": "Authorization: Bearer CANARY rest",
        "signature": "CANARY",
    }
    masked = mask_secrets(None, "info", event)

    assert "CANARY" not in repr(masked)
    assert masked["deep"]["list"][0]["ok"] == 1


def test_a_heartbeat_is_read_back_with_its_facts(tmp_path: Path) -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(tmp_path, "poll-o2", clock)
    heartbeat.beat(state="running", accounts=3)
    clock.advance(1)
    heartbeat.beat(accounts=4)
    facts = read_all(tmp_path)["poll-o2"]

    assert facts["state"] == "running"
    assert facts["accounts"] == 4
    assert facts["beat_ms"] - facts["started_ms"] == 1000


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_the_facts_of_a_heartbeat_and_not_the_worker(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path, "rest", FakeClock())
    heartbeat.beat(sequence=1)
    path = tmp_path / "run" / "rest.json"
    os.utime(path, (1, 1))
    with no_room(), capture_logs() as logs:
        heartbeat.beat(sequence=2)
        heartbeat.beat(sequence=2)

    assert [line["event"] for line in logs] == ["heartbeat not written"], "said once"
    assert read_all(tmp_path)["rest"]["sequence"] == 1
    assert path.stat().st_mtime > 1, "the worker is still seen to live"
    assert not list(path.parent.glob(".*")), "nothing half-written is left"

    heartbeat.beat(sequence=3)

    assert read_all(tmp_path)["rest"]["sequence"] == 3


def test_a_log_on_a_full_disk_does_not_end_the_work(tmp_path: Path) -> None:
    code = "from runtime import logs; import structlog; logs.configure('w'); structlog.get_logger().info('x')"
    with no_room(), open(tmp_path / "log", "wb") as log:
        done = subprocess.run([sys.executable, "-c", code], stderr=log, timeout=30)

    assert done.returncode == 0


def test_a_line_of_the_log_is_one_write() -> None:
    """Several processes share one stderr: two writes a line would let another's come in between."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps writes apart
    code = "from runtime import logs; import structlog; logs.configure('w'); structlog.get_logger().info('x')"
    with ours, theirs:
        subprocess.run([sys.executable, "-c", code], stderr=theirs.fileno(), check=True, timeout=30)
        theirs.close()
        written = ours.recv(65536)

    assert written.endswith(b"}\n")
    assert json.loads(written)["event"] == "x"


def test_metrics_of_all_workers_are_merged_under_one_help(tmp_path: Path) -> None:
    counter = Counter("vanta_test_merge", "for this test", ("kind",))
    counter.labels("a").inc()
    for name in ("rest", "ws"):
        Heartbeat(tmp_path, name, FakeClock()).beat()
    text = metrics(tmp_path).decode()

    assert text.count("# HELP vanta_test_merge_total") == 1
    assert 'vanta_test_merge_total{worker="rest",kind="a"} 1.0' in text
    assert 'vanta_test_merge_total{worker="ws",kind="a"} 1.0' in text
