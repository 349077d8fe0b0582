"""Health, readiness, metrics and the page about it all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rest_server.metagraph import BYTES_MAX, LOOK_EVERY_S, Metagraph
from runtime.clock import FakeClock
from tests.rest_server.world import DAY, World, fill, position


def beat(world: World, worker: str, **facts: Any) -> None:
    """What a worker's heartbeat leaves behind."""
    directory = world.settings.data_dir / "run"
    directory.mkdir(parents=True, exist_ok=True)
    content = {"name": worker, "pid": 1, "state": "running", "beat_ms": world.now, **facts}
    (directory / f"{worker}.json").write_text(json.dumps(content))


def test_health_says_how_the_workers_are(world: World) -> None:
    beat(world, "rest")
    beat(world, "poll-o2", last_success_ms=world.now - 4000, accounts=3)
    world.clock.sleep(2)
    body = world.get("/api/health", None).get_json()

    assert body == {
        "status": "healthy",
        "service": "ValidatorRestServer",
        "timestamp_ms": world.now,
        "version": world.settings.repo_version,
        "workers": {
            "rest": {"state": "running", "age_ms": 2000, "data_age_ms": None},
            "poll-o2": {"state": "running", "age_ms": 2000, "data_age_ms": 6000},
        },
        "data_age_ms": 6000,
        "warnings": [],
    }


@pytest.mark.parametrize("facts", [{"state": "backoff"}, {"beat_ms": 1}])
def test_a_worker_that_is_down_or_silent_makes_health_degraded(world: World, facts: dict[str, Any]) -> None:
    beat(world, "ws", **facts)
    answer = world.get("/api/health", None)

    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")


def test_health_tells_strangers_and_delayed_tiers_nothing_about_trading(world: World) -> None:
    world.put(position("a", [fill("a1", 1, 2.0, world.now - 2 * DAY)]))
    beat(world, "rest", sequence=1)
    before = [world.get("/api/health", key).get_json() for key in (None, "k0", "k50")]
    world.put(position("a", [fill("a2", 1, 2.0, world.now)]))
    beat(world, "rest", sequence=2)
    after = [world.get("/api/health", key).get_json() for key in (None, "k0", "k50")]

    assert before == after
    assert "sequence" not in str(before)
    details = world.get("/api/health", "k100").get_json()
    assert (details["sequence"], details["sequences"]["positions"]) == (2, 2)
    assert details["epoch"] == world.journal.epoch().id
    assert "facts" not in details
    assert world.get("/api/health", "k200").get_json()["facts"]["rest"]["sequence"] == 2


def test_ready_only_while_caught_up(world: World) -> None:
    assert world.get("/readyz", None).get_json() == {"status": "ready", "warnings": []}
    world.source.fault = "stuck"
    answer = world.get("/readyz", None)

    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert world.get("/api/health", None).get_json()["status"] == "degraded"


def test_a_faulty_key_file_is_a_warning(world: World) -> None:
    world.keys.error = "the key file is missing"

    assert world.get("/readyz", None).get_json()["warnings"] == ["the key file is missing"]
    assert world.get("/api/health", None).get_json()["warnings"] == ["the key file is missing"]


def test_metrics_are_those_of_all_workers(world: World) -> None:
    beat(world, "ws")
    (world.settings.data_dir / "run" / "ws.prom").write_bytes(b"# TYPE x counter\nx 5\n")
    answer = world.get("/metrics", None)

    assert answer.mimetype == "text/plain"
    assert b'x{worker="ws"} 5' in answer.data


def test_the_page_needs_nothing_from_anywhere_else(world: World) -> None:
    answer = world.get("/docs", None)

    assert answer.mimetype == "text/html"
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", answer.text)
    assert "openapi.json" in answer.text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metagraph.json"


def test_the_metagraph_is_read_again_when_it_changes(file: Path) -> None:
    clock = FakeClock()
    metagraph = Metagraph(file, clock)
    assert metagraph.hotkeys() == ()
    assert metagraph.error
    file.write_text('["a", "b", "a"]')
    clock.advance(LOOK_EVERY_S)
    assert metagraph.hotkeys() == ("a", "b")
    assert metagraph.error is None


@pytest.mark.parametrize("content", ["", "[1]", "{}", '["a"', '"a"', "[" * 100])
def test_a_faulty_metagraph_file_keeps_the_last_good_list(file: Path, content: str) -> None:
    clock = FakeClock()
    file.write_text('["a"]')
    metagraph = Metagraph(file, clock)
    assert metagraph.hotkeys() == ("a",)
    file.write_text(content)
    clock.advance(LOOK_EVERY_S)
    assert metagraph.hotkeys() == ("a",)
    assert metagraph.error
    file.write_text('["b"]')
    clock.advance(LOOK_EVERY_S)
    assert metagraph.hotkeys() == ("b",)
    assert metagraph.error is None


def test_a_metagraph_file_that_is_far_too_long_is_not_read(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(BYTES_MAX + 1)
    metagraph = Metagraph(file, FakeClock())
    assert metagraph.hotkeys() == ()
    assert metagraph.error


def test_a_bad_metagraph_file_shows_in_health(world: World, file: Path) -> None:
    rest = msgspec.structs.replace(world.rest, metagraph_file=str(file))
    other = type(world)(file.parent, clock=world.clock, rest=rest)
    other.get("/miner-hotkeys")
    assert "metagraph" in other.get("/readyz", None).get_json()["warnings"][0]
    other.close()
