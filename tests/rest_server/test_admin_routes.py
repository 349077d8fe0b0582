"""``/admin/miner-bucket/<hotkey>``, its audit log, and ``/api/health/rpc``."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

import pytest

from journal.entry import Appended, Draft, UnavailableError
from rest_server.routes import admin
from runtime.heartbeat import Heartbeat
from tests.rest_server.ruled import Ask, Case, check, eliminate, put_bucket, undemonstrated
from tests.rest_server.world import World, fill, position, resting, strict_json
from validator import buckets, eliminated
from validator.challenge import record
from validator.eliminations.requests import plagiarism_of

ROUTE, PATH = "admin.miner_bucket", "/admin/miner-bucket/a"
INTO: Final = {"bucket": "MAINCOMP"}
PRO: Final = {"bucket": "PRO_CHALLENGE_DIRECT", "pro_account_size": 250_000}
BUCKETS: Final = ", ".join(sorted(record.BUCKETS))


def admit(world: World, bucket: str = record.CHALLENGE) -> None:
    put_bucket(world, record.admitted("a", bucket, world.now - 1000))


def post(body: Any, key: str | None = "k500", *, bucket: str | None = record.CHALLENGE, **more: Any) -> Ask:
    """Post to a world in which ``a`` is in a bucket (None: in none)."""

    def ask(world: World) -> Any:
        if bucket is not None:
            admit(world, bucket)
        return world.post(PATH, body, key, **more)

    return ask


def of_who_is_out(bucket: str) -> Ask:
    def ask(world: World) -> Any:
        admit(world)
        eliminate(world, "a")
        return world.post(PATH, {"bucket": bucket}, "k500")

    return ask


def without_a_journal(world: World) -> Any:
    def refuse(drafts: list[Draft]) -> list[Appended]:
        raise UnavailableError("full")

    admit(world)
    world.journal.append = refuse  # type: ignore[method-assign, assignment]
    return world.post(PATH, INTO, "k500")


def without_an_audit_log(world: World) -> Any:
    admit(world)
    (world.settings.data_dir / "audit").mkdir(parents=True)
    (world.settings.data_dir / "audit" / "audit_log.jsonl").mkdir()  # nothing can be written there
    return world.post(PATH, INTO, "k500")


CASES = [
    Case(ROUTE, 401, "Unauthorized access", post(INTO, None)),
    Case(ROUTE, 401, "Unauthorized access", post(INTO, "nobody")),
    Case(ROUTE, 403, admin.NO_ACCESS, post(INTO, "k200")),
    Case(ROUTE, 403, admin.NO_ACCESS, post(b"{", "k0")),
    Case(ROUTE, 400, "Content-Type must be application/json", post(b"{}", content_type="text/plain")),
    Case(ROUTE, 400, "Invalid JSON body", post(b"{")),
    Case(ROUTE, 400, "Invalid JSON body", post({})),
    Case(ROUTE, 400, "Invalid JSON body", post(["MAINCOMP"])),
    Case(ROUTE, 400, "Missing required field: bucket", post({"pro_account_size": 5})),
    *(
        Case(ROUTE, 400, f"Invalid bucket. Valid values are: {BUCKETS}", post({"bucket": bucket}))
        for bucket in ("maincomp", "", None, 5, ["MAINCOMP"], "unknown", {"a": 1})
    ),
    *(
        Case(ROUTE, 400, buckets.SIZE_INVALID, post({**PRO, "pro_account_size": size}))
        for size in (0, -1, "250000", True, [], 1e16, 10**30)
    ),
    Case(ROUTE, 400, buckets.SIZE_REFUSED, post({**INTO, "pro_account_size": 5})),
    Case(ROUTE, 400, buckets.SIZE_REQUIRED, post({"bucket": "PRO_FUNDED"})),
    Case(ROUTE, 400, buckets.SIZE_REQUIRED, post({"bucket": "PRO_CHALLENGE_TRANSITION"})),
    Case(ROUTE, 400, "a is already in MAINCOMP", post(INTO, bucket="MAINCOMP")),
    *(Case(ROUTE, 400, "a is eliminated", of_who_is_out(bucket)) for bucket in ("MAINCOMP", "ELIMINATED")),
    Case(ROUTE, 400, "a is eliminated", post(INTO, bucket="ELIMINATED")),
    Case(ROUTE, 404, "Miner a not found", post(INTO, bucket=None)),
    Case(ROUTE, 404, "Miner a not found", post({"bucket": "ELIMINATED"}, bucket=None)),
    Case(ROUTE, 503, "Service temporarily unavailable", without_a_journal),
    Case(ROUTE, 503, "Audit log not available", without_an_audit_log),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_has_its_status_and_sentence_and_moves_nobody(world: World, case: Case) -> None:
    check(world, case)
    fact = world.desk.clerk.registry.get(record.key_of("a"))
    assert fact is None or len(record.decode(fact.body).history) == 1


def test_every_declared_refusal_is_shown(world: World) -> None:
    told = {text for route, _, text in undemonstrated(world, "admin", CASES) if route == ROUTE}
    placeholders = (buckets.NOT_FOUND, buckets.ALREADY_THERE, buckets.IS_OUT)
    assert told <= set(placeholders)


def bucket_of(world: World) -> record.Challenge:
    fact = world.desk.clerk.registry.get(record.key_of("a"))
    assert fact is not None
    return record.decode(fact.body)


def size_of(world: World) -> float | None:
    records = world.get("/validator-checkpoint").get_json()["miner_account_sizes"].get("a")
    return None if not records else float(records[-1]["account_size"])


def move(world: World, bucket: str, size: float | None = None) -> None:
    """Move and see that it is told."""
    body = {"bucket": bucket} if size is None else {"bucket": bucket, "pro_account_size": size}
    answer = world.post(PATH, body, "k500")
    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "success", "hotkey": "a", "bucket": bucket, "message": f"a moved to {bucket}"},
    )
    world.clock.sleep(1)


def test_a_move_is_a_step_that_counts_from_now(world: World) -> None:
    admit(world)
    now = world.now
    move(world, "MAINCOMP")
    found = bucket_of(world)

    assert (found.bucket, found.bucket_start_time, found.previous_bucket) == ("MAINCOMP", now, "CHALLENGE")
    assert found.history[-1] == record.Step(
        bucket="MAINCOMP", start_time_ms=now, decided_ms=now, reason="admin"
    )
    told = world.get("/challenge-period/a").get_json()["challenge_period"]
    assert told == {"bucket": "MAINCOMP", "start_time_ms": now}


def test_the_pro_track_has_its_own_size_and_gives_the_old_one_back(world: World) -> None:
    admit(world)
    world.put_size("a", 100_000.0)
    world.clock.sleep(1)
    sizes = []
    for bucket, size in (
        ("PRO_CHALLENGE_TRANSITION", 300_000.0),
        ("PRO_CHALLENGE_FROM_STANDARD", None),
        ("PRO_CHALLENGE_DIRECT", 400_000.0),
        ("PRO_FUNDED", None),
        ("MAINCOMP", None),
        ("PRO_FUNDED", 500_000.0),
        ("CHALLENGE", None),
    ):
        move(world, bucket, size)
        sizes.append(size_of(world))

    assert sizes == [100_000.0, 300_000.0, 400_000.0, 400_000.0, 100_000.0, 500_000.0, 100_000.0]


def test_without_a_standard_size_the_pro_one_stays(world: World) -> None:
    admit(world)
    move(world, "PRO_FUNDED", 500_000.0)
    move(world, "MAINCOMP")

    assert size_of(world) == 500_000.0


def test_the_bucket_of_plagiarists_is_a_report_and_leaving_it_withdraws_it(world: World) -> None:
    admit(world)
    reported = world.now
    move(world, "PLAGIARISM")
    report = plagiarism_of(world.desk.clerk.registry, "a")
    move(world, "PROBATION")
    cleared = plagiarism_of(world.desk.clerk.registry, "a")

    assert report is not None
    assert cleared is not None
    assert (report.reported_ms, report.cleared_ms) == (reported, None)
    assert (cleared.reported_ms, cleared.cleared_ms) == (reported, reported + 1000)
    assert report.by.startswith("key ")


def test_who_is_eliminated_is_closed_at_once_and_for_good(world: World) -> None:
    admit(world)
    world.put(position("a", [fill("a1", 1, 2.0, world.now - 1000)]))
    world.put_orders(resting("a", 1, world.now - 1000))
    world.mark(2.5)
    move(world, "ELIMINATED")

    row = eliminated.elimination_of(world.desk.clerk.registry, "a")
    assert row is not None
    assert row.reason == admin.MANUAL
    (shown,) = world.get("/miner-positions/a").get_json()["positions"]
    assert shown["is_closed_position"] is True
    assert world.get("/limit-orders/a").status_code == 404
    assert world.post(PATH, INTO, "k500").get_json()["error"] == "a is eliminated"


# The audit log.


def log_path(world: World) -> Path:
    return world.settings.data_dir / "audit" / "audit_log.jsonl"


def lines(world: World) -> list[dict[str, Any]]:
    return [strict_json(line) for line in log_path(world).read_bytes().splitlines()]


def test_a_move_is_written_before_and_after(world: World) -> None:
    admit(world)
    answer = world.post(PATH, PRO, "k500")
    intended, answered = lines(world)

    who = {
        "timestamp": "2025-06-15T15:06:40.000+00:00",
        "request_id": answer.headers["X-Request-ID"],
        "route": "/admin/miner-bucket/<hotkey>",
        "target": "a",
        "user": "admin",
        "client": "127.0.0.1",
    }
    key_id = intended.pop("key_id")
    assert answered.pop("key_id") == key_id != "k500"
    assert intended == {
        **who,
        "event": "intended",
        "action": "miner-bucket",
        "bucket": "PRO_CHALLENGE_DIRECT",
        "pro_account_size": 250_000.0,
    }
    assert answered == {
        **who,
        "event": "answered",
        "status": 200,
        "error": None,
    }


@pytest.mark.parametrize("case", [one for one in CASES if one.text != "Audit log not available"], ids=str)
def test_refused_calls_are_written_too(world: World, case: Case) -> None:
    case.ask(world)
    last = lines(world)[-1]

    assert (last["event"], last["status"], last["route"]) == (
        "answered",
        case.status,
        "/admin/miner-bucket/<hotkey>",
    )


def test_no_secret_and_no_body_reaches_the_log(world: World) -> None:
    admit(world)
    body = {"bucket": "MAINCOMP", "api_key": "s3cret", "note": "Bearer abcdef", "signature": "0xabc"}
    for key in ("k500", "k200", "nobody-knows-this"):
        world.post(f"{PATH}?api_key=s3cret", body, key)
    text = log_path(world).read_text()

    for secret in ("s3cret", "abcdef", "0xabc", "nobody-knows-this", '"k500"', '"k200"'):
        assert secret not in text
    assert stat.S_IMODE(log_path(world).stat().st_mode) == 0o600


def test_other_routes_are_not_in_the_log(world: World) -> None:
    world.get("/miner-hotkeys", "k500")
    world.get("/api/health/rpc", "k500")

    assert not log_path(world).exists()


def test_what_was_done_stays_done_when_the_log_fails_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit(world)
    written = []
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        written.append(data)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr("rest_server.audit.os.write", full)

    assert world.post(PATH, INTO, "k500").status_code == 200
    assert bucket_of(world).bucket == "MAINCOMP"
    assert [line["event"] for line in lines(world)] == ["intended"]


# Health of the parts.


def test_all_parts_are_well(world: World) -> None:
    for name in ("rest", "validator"):
        Heartbeat(world.settings.data_dir, name, world.clock).beat(state="running")
    answer = world.get("/api/health/rpc", None)

    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "healthy",
        "timestamp_ms": world.now,
        "services": {
            "journal": {"status": "healthy", "detail": "caught up"},
            "api_keys": {"status": "healthy", "detail": "loaded"},
            "rest": {"status": "healthy", "detail": "running"},
            "validator": {"status": "healthy", "detail": "running"},
        },
    }


def test_one_part_that_is_not_well_degrades_the_whole(world: World) -> None:
    Heartbeat(world.settings.data_dir, "rest", world.clock).beat(state="running", detail="o2:0xabc")
    Heartbeat(world.settings.data_dir, "poller", world.clock).beat(state="backoff")
    world.clock.sleep(12)
    Heartbeat(world.settings.data_dir, "poller", world.clock).beat(state="backoff")
    world.source.fault = "secret reason"
    world.keys.error = "line 3 is wrong"
    answer = world.get("/api/health/rpc", None)
    body = answer.get_json()

    assert (answer.status_code, body["status"], body["error"]) == (
        503,
        "degraded",
        "Some services are degraded",
    )
    assert body["services"] == {
        "journal": {"status": "unhealthy", "error": "not caught up"},
        "api_keys": {"status": "unhealthy", "error": "the key file cannot be used"},
        "poller": {"status": "unhealthy", "error": "backoff"},
        "rest": {"status": "unhealthy", "error": "silent for 12 s"},
    }
    assert answer.headers["Retry-After"] == "5"
    assert "secret" not in json.dumps(body)
    assert "0xabc" not in json.dumps(body)
