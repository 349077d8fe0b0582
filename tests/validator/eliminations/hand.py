"""Processes for tests that kill: ``python -m tests.validator.eliminations.hand judge|poll PATH [SEED]``."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from journal.sqlite import SqliteJournal
from tests.validator.eliminations.arena import Arena, drafts, position
from validator.gate import Gate
from validator.registry import Registry


def judge(path: Path) -> None:
    """Carry out requests for ever, a look at a time."""
    arena = Arena(SqliteJournal(path))
    now_ms = 1_760_000_000_000
    while True:
        now_ms += 1
        arena.keeper.tick(now_ms)


def poll(path: Path, seed: int, hotkeys: int) -> None:
    """Trade for ever, as pollers do: through the gate, whoever may be out by now."""
    journal, rng = SqliteJournal(path), random.Random(seed)
    gate = Gate(journal, Registry(journal))
    while True:
        hotkey, uuid = f"h{rng.randrange(hotkeys)}", f"p{rng.randrange(3)}"
        one = position(hotkey, f"{hotkey}-{uuid}", quantity=str(rng.randint(1, 10_000)))
        gate.append(drafts(one))


if __name__ == "__main__":
    if sys.argv[1] == "judge":
        judge(Path(sys.argv[2]))
    else:
        poll(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
