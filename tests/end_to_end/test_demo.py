"""What ``make run`` gives a newcomer: four venues, a key, a stream that starts at 1."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.stack import Stack, Subscriber, stack, until

VENUES = {"o2", "ostium", "limitless", "ithaca"}
VENUES_S = 20.0  # positions of all four venues after start


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("demo")) as running:
        yield running


def venues_of(positions: dict[str, dict]) -> set[str]:  # type: ignore[type-arg]
    return {p["venue"]["name"] for dashboard in positions.values() for p in dashboard["positions"]}


def test_positions_of_all_four_venues_are_there(demo: Stack) -> None:
    until(lambda: venues_of(demo.get("/miner-positions")) == VENUES, VENUES_S, "positions of all four venues")


def test_every_tier_has_something_to_show(demo: Stack) -> None:
    until(lambda: venues_of(demo.get("/miner-positions")) == VENUES, VENUES_S, "positions of all four venues")
    for tier in (0, 30, 50, 100):
        assert venues_of(demo.get(f"/miner-positions?tier={tier}", tier)) == VENUES


def test_the_stream_starts_at_1_and_flows_into_live(demo: Stack) -> None:
    subscriber = Subscriber(demo)
    head = int(demo.get("/validator-checkpoint")["sequence"])
    until(lambda: subscriber.last > head + 5, 60, "live entries after the replay")
    subscriber.stop()

    assert subscriber.faults == []
    assert list(subscriber.frames) == list(range(1, subscriber.last + 1))


def test_snapshot_and_stream_stitch(demo: Stack) -> None:
    checkpoint = demo.get("/validator-checkpoint")
    later = until(
        lambda: (c := demo.get("/validator-checkpoint"))["sequence"] > checkpoint["sequence"] + 3 and c,
        60,
        "changes",
    )
    known = {p["position_uuid"]: p for d in checkpoint["positions"].values() for p in d["positions"]}
    events = demo.get(f"/v1/events?after={checkpoint['sequence']}&limit=500")["events"]
    for event in events:
        if event["sequence"] <= later["sequence"]:
            position = event["data"]["position"]
            known[position["position_uuid"]] = position
    orders = {uuid: [o["order_uuid"] for o in p["orders"]] for uuid, p in known.items()}
    expected = {
        p["position_uuid"]: [o["order_uuid"] for o in p["orders"]]
        for d in later["positions"].values()
        for p in d["positions"]
    }

    assert orders == expected


def test_health_and_metrics_speak_of_every_worker(demo: Stack) -> None:
    workers = demo.workers()

    assert {"rest", "ws", "keeper"} <= set(workers)
    assert {f"poll-{venue}" for venue in VENUES} <= set(workers)
    assert demo.get("/api/health")["status"] == "healthy"


def test_the_banner_shows_urls_and_a_key_that_works(demo: Stack) -> None:
    banner = "".join(demo.output)

    assert f"http://127.0.0.1:{demo.rest_port}" in banner
    assert f"ws://127.0.0.1:{demo.ws_port}" in banner
    assert demo.key(100) in banner


def test_no_secret_reaches_a_log_or_the_run_directory(demo: Stack) -> None:
    keys = [demo.key(tier) for tier in (0, 30, 50, 100, 200)]
    logged = "".join(line for line in demo.output if line.startswith("{"))
    run = "".join(path.read_text() for path in (demo.directory / "data" / "run").glob("*.json"))
    sandbox_secrets = [
        path.read_text().strip()
        for path in (demo.directory / "data" / "sandbox-secrets").rglob("*")
        if path.is_file()
    ]

    assert sandbox_secrets
    for secret in (*keys, *(s for s in sandbox_secrets if len(s) > 12)):
        assert secret not in logged
        assert secret not in run
        assert json.dumps(secret)[1:-1] not in logged
