"""How much each key uses: requests, bytes and messages per UTC day.

Rule 1: counting never touches a disk; ``flush`` does, from one thread, and a count that could not be
written stays pending until it can.
Rule 2: every worker owns one small SQLite file, so no two processes ever write the same one; a total is
the sum over the files.
Rule 3: a count names a key's id, never the key.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import apsw
import structlog

from runtime.clock import Clock

DAY_MS: Final = 86_400_000
SUFFIX: Final = ".usage.sqlite3"

_SCHEMA = """create table if not exists usage (
    day text not null, key_id text not null,
    requests integer not null, bytes integer not null, messages integer not null,
    primary key (day, key_id)) without rowid"""
_ADD = """insert into usage values (?, ?, ?, ?, ?) on conflict (day, key_id) do update set
    requests = requests + excluded.requests, bytes = bytes + excluded.bytes,
    messages = messages + excluded.messages"""

_log = structlog.get_logger()

Counts = tuple[int, int, int]  # requests, bytes, messages


def day_of(ms: int) -> str:
    """The UTC day of a moment, as ``YYYY-MM-DD``."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def next_day_s(ms: int) -> int:
    """Whole seconds until the next UTC day begins (at least 1)."""
    return -(-(DAY_MS - ms % DAY_MS) // 1000)


class Usage:
    """One worker's counters. Any thread may count; ``directory`` is made when missing."""

    def __init__(self, directory: Path, worker: str, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._pending: dict[tuple[str, str], Counts] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._database = apsw.Connection(str(directory / f"{worker}{SUFFIX}"))
        self._database.set_busy_timeout(2000)
        self._database.execute(_SCHEMA)
        self._day_number = clock.now_ms() // DAY_MS
        self._today = day_of(clock.now_ms())
        self._totals = self._stored(self._today)
        self._is_failing = False

    def count(self, key_id: str, requests: int = 0, bytes: int = 0, messages: int = 0) -> None:
        """Add to the key's day."""
        added = (requests, bytes, messages)
        with self._lock:
            self._turn_day()
            day_key = (self._today, key_id)
            self._pending[day_key] = _add(self._pending.get(day_key), added)
            self._totals[key_id] = _add(self._totals.get(key_id), added)

    def today(self, key_id: str) -> Counts:
        """What this worker has counted for the key since the UTC day began, over restarts too."""
        with self._lock:
            self._turn_day()
            return self._totals.get(key_id, (0, 0, 0))

    def flush(self) -> bool:
        """Write what is pending. False when the disk refused; nothing is lost then."""
        with self._flushing:
            with self._lock:
                pending, self._pending = self._pending, {}
            try:
                with self._database:
                    self._database.executemany(_ADD, [(*key, *counts) for key, counts in pending.items()])
            except apsw.Error as error:
                self._keep(pending, error)
                return False
            self._is_failing = False
            return True

    def close(self) -> None:
        """Flush and let go of the file."""
        self.flush()
        self._database.close()

    def _keep(self, pending: dict[tuple[str, str], Counts], error: apsw.Error) -> None:
        with self._lock:
            for key, counts in pending.items():
                self._pending[key] = _add(self._pending.get(key), counts)
        if not self._is_failing:
            _log.warning("usage not written; kept in memory", problem=str(error), keys=len(pending))
        self._is_failing = True

    def _turn_day(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms // DAY_MS != self._day_number:
            self._day_number, self._today, self._totals = now_ms // DAY_MS, day_of(now_ms), {}

    def _stored(self, day: str) -> dict[str, Counts]:
        rows = self._database.execute(
            "select key_id, requests, bytes, messages from usage where day = ?", (day,)
        )
        return {str(key_id): (int(r), int(b), int(m)) for key_id, r, b, m in rows}


def merged(directory: Path) -> list[dict[str, Any]]:
    """Totals over all workers' files, one row per day and key, oldest day first. Raises apsw.Error."""
    totals: dict[tuple[str, str], Counts] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        database.set_busy_timeout(2000)
        for day, key_id, *counts in database.execute("select * from usage"):
            requests, size, messages = (int(count) for count in counts)
            totals[day, key_id] = _add(totals.get((day, key_id)), (requests, size, messages))
        database.close()
    names = ("requests", "bytes", "messages")
    return [
        {"day": day, "key_id": key_id, **dict(zip(names, counts, strict=True))}
        for (day, key_id), counts in sorted(totals.items())
    ]


def _add(left: Counts | None, right: Counts) -> Counts:
    if left is None:
        return right
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])
