"""Counting what each key uses."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw

from runtime.clock import FakeClock
from runtime.usage import DAY_MS, Usage, day_of, merged, next_day_s

MIDNIGHT = 1_750_032_000_000  # 2025-06-16T00:00:00Z


def test_counts_add_up_over_flushes_and_restarts(tmp_path: Path) -> None:
    clock = FakeClock()
    for _ in range(2):
        usage = Usage(tmp_path, "rest", clock)
        usage.count("k", requests=1, bytes=100)
        usage.flush()
        usage.count("k", messages=3)
        usage.close()

    assert Usage(tmp_path, "rest", clock).today("k") == (2, 200, 6)
    assert merged(tmp_path) == [
        {"day": "2025-06-15", "key_id": "k", "requests": 2, "bytes": 200, "messages": 6}
    ]


def test_a_new_utc_day_starts_at_zero_and_the_old_one_is_kept(tmp_path: Path) -> None:
    clock = FakeClock(MIDNIGHT - 1)
    usage = Usage(tmp_path, "rest", clock)
    usage.count("k", requests=5)
    clock.advance(0.001)
    assert usage.today("k") == (0, 0, 0)
    usage.count("k", requests=1)
    usage.close()

    assert [(row["day"], row["requests"]) for row in merged(tmp_path)] == [
        ("2025-06-15", 5),
        ("2025-06-16", 1),
    ]


def test_a_refusing_disk_loses_nothing(tmp_path: Path) -> None:
    usage = Usage(tmp_path, "rest", FakeClock())
    usage._database.set_busy_timeout(0)
    blocker = apsw.Connection(str(tmp_path / "rest.usage.sqlite3"))
    blocker.execute("begin exclusive")
    usage.count("k", requests=1)
    assert not usage.flush()
    usage.count("k", requests=1)
    assert not usage.flush()
    blocker.execute("rollback")
    blocker.close()

    assert usage.flush()
    assert usage.flush()
    usage.close()
    assert merged(tmp_path)[0]["requests"] == 2


def test_counting_from_many_threads_misses_nothing(tmp_path: Path) -> None:
    usage = Usage(tmp_path, "rest", FakeClock())

    def count() -> None:
        for turn in range(500):
            usage.count("k", requests=1)
            if turn % 100 == 0:
                usage.flush()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    usage.close()
    assert merged(tmp_path)[0]["requests"] == 2000


def test_days_are_utc() -> None:
    assert day_of(MIDNIGHT) == "2025-06-16"
    assert day_of(MIDNIGHT - 1) == "2025-06-15"
    assert next_day_s(MIDNIGHT) == DAY_MS // 1000
    assert next_day_s(MIDNIGHT - 1) == 1
