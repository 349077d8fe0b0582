"""The audit log as a file: durable whole lines, turned over by size, never a secret."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from rest_server.audit import FILES_KEPT, AuditLog
from runtime.clock import FakeClock


def log_in(directory: Path, **changes: Any) -> AuditLog:
    return AuditLog(directory, FakeClock(), **changes)


def events(path: Path) -> list[str]:
    return [orjson.loads(line)["event"] for line in path.read_bytes().splitlines()]


def test_a_line_has_its_time_its_event_and_its_facts(tmp_path: Path) -> None:
    log = log_in(tmp_path / "deep" / "down")
    log.write("seen", user="é", n=1, nothing=None)

    assert log.path.read_bytes().endswith(b"\n")
    assert orjson.loads(log.path.read_bytes()) == {
        "timestamp": "2025-06-15T15:06:40.000+00:00",
        "event": "seen",
        "user": "é",
        "n": 1,
        "nothing": None,
    }


@pytest.mark.parametrize("name", ["api_key", "secret", "signature", "token", "password", "Authorization"])
def test_what_is_named_like_a_secret_is_masked_however_deep(tmp_path: Path, name: str) -> None:
    log = log_in(tmp_path)
    log.write("seen", **{name: "hidden"}, facts={"inner": [{name: "hidden"}]}, text="Bearer hidden")

    assert b"hidden" not in log.path.read_bytes()


def test_a_line_break_in_a_fact_does_not_begin_a_line(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.write("seen", user='x\n{"event":"forged"}\r\u2028')

    assert events(log.path) == ["seen"]


def test_files_turn_over_before_they_are_too_large_and_the_oldest_goes(tmp_path: Path) -> None:
    log = log_in(tmp_path, bytes_max=200)
    for n in range(40):
        log.write(f"event-{n:02}")
    found = log.files()

    assert [path.name for path in found] == [
        log.path.name,
        *(f"{log.path.name}.{n}" for n in range(1, FILES_KEPT + 1)),
    ]
    assert all(path.stat().st_size <= 200 for path in found)
    kept = [event for path in reversed(found) for event in events(path)]
    assert kept == [f"event-{n:02}" for n in range(40 - len(kept), 40)]


def test_a_line_larger_than_a_file_has_a_file_of_its_own(tmp_path: Path) -> None:
    log = log_in(tmp_path, bytes_max=200)
    log.write("first")
    log.write("large", text="x" * 1000)
    log.write("last")

    assert [events(path) for path in log.files()] == [["last"], ["large"], ["first"]]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    log = log_in(tmp_path, bytes_max=2000)
    threads = [
        threading.Thread(target=lambda n=n: [log.write(f"{n}-{m}", pad="x" * m) for m in range(20)])  # type: ignore[misc]
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = [event for path in log.files() for event in events(path)]
    assert len(found) == len(set(found)) == 80


def test_half_a_line_that_a_crash_left_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.write("first")
    with log.path.open("ab") as file:
        file.write(b'{"timestamp":"2025')
    log_in(tmp_path).write("second")

    first, half, second = log.path.read_bytes().splitlines()
    assert orjson.loads(first)["event"] == "first"
    assert half == b'{"timestamp":"2025'
    assert orjson.loads(second)["event"] == "second"


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_in(tmp_path)
    log.write("first")
    write = os.write

    def little(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:20])

    monkeypatch.setattr("rest_server.audit.os.write", little)
    with pytest.raises(OSError, match="No space"):
        log.write("second")
    monkeypatch.undo()
    log.write("third")

    assert events(log.path) == ["first", "third"]


def test_a_line_is_on_the_disk_when_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("os.fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    log = log_in(tmp_path)
    log.write("first")
    log.write("second")

    assert synced == [str(log.path), str(tmp_path), str(log.path)]
