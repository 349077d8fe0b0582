"""Trimming: old entries leave the journal once checkpoints hold what they say.

Rule 1: only a prefix of a stream goes, and never past the second-newest checkpoint that was read back
whole: if the newest one turns out to be damaged, the one before it and the kept entries still give the
present State.
Rule 2: entries of the last 25 hours stay, whatever the settings say. Open positions, facts, open actions and
every key's last id live in the State; registry and actions are never trimmed at all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from journal.checkpoint import usable
from journal.entry import DURABLE_STREAMS
from journal.store import NEVER_TRIMMED, TRIM_ROWS, HistoryReader, Store
from runtime.clock import Clock

HOUR_MS: Final = 3_600_000
KEEP_AT_LEAST_MS: Final = 25 * HOUR_MS
PAUSE_S: Final = 0.002  # between two transactions, so that writers get their turn

log = structlog.get_logger()


def limits(reader: HistoryReader, checkpoints: Path, now_ms: int, keep_ms: int) -> dict[str, int]:
    """Return stream → the highest number that may be trimmed; empty while two checkpoints are not there."""
    verified = list(islice(usable(reader, checkpoints), 2))
    if len(verified) < 2:
        return {}
    _, state = verified[1]
    moment = now_ms - max(keep_ms, KEEP_AT_LEAST_MS)
    return {
        stream: min(state.vector.get(stream, 0), reader.sequence_at(stream, moment))
        for stream in DURABLE_STREAMS
        if stream not in NEVER_TRIMMED
    }


def trim(
    journal: Store,
    checkpoints: Path,
    *,
    clock: Clock,
    keep_ms: int,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Trim every stream to its limit, a few rows a transaction; returns stream → entries removed."""
    removed: dict[str, int] = {}
    for stream, through in limits(journal, checkpoints, clock.now_ms(), keep_ms).items():
        while not stop() and (count := journal.trim(stream, through, TRIM_ROWS)):
            removed[stream] = removed.get(stream, 0) + count
            clock.sleep(PAUSE_S)
    if removed:
        log.info("entries trimmed", **removed)
    return removed
