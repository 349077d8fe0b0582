"""Logs mask secrets; heartbeats are whole files."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import Counter

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


def test_metrics_of_all_workers_are_merged_under_one_help(tmp_path: Path) -> None:
    counter = Counter("vanta_test_merge", "for this test", ("kind",))
    counter.labels("a").inc()
    for name in ("rest", "ws"):
        Heartbeat(tmp_path, name, FakeClock()).beat()
    text = metrics(tmp_path).decode()

    assert text.count("# HELP vanta_test_merge_total") == 1
    assert 'vanta_test_merge_total{worker="rest",kind="a"} 1.0' in text
    assert 'vanta_test_merge_total{worker="ws",kind="a"} 1.0' in text
