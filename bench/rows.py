"""What every benchmark gives: rows of ours against a plain baseline from the same, interleaved run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``ours`` and ``plain`` are rates (higher is better) in ``unit``."""

    what: str
    ours: float
    plain: float
    unit: str
    baseline: str

    @property
    def ratio(self) -> float:
        """How many times the plain way."""
        return self.ours / self.plain


def rate(work: Callable[[], int], seconds: float = 0.3) -> float:
    """Items per second of ``work``, which does some and returns how many."""
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += work()
    return done / elapsed


def compare(ours: Callable[[], int], plain: Callable[[], int], rounds: int = ROUNDS) -> tuple[float, float]:
    """Median rates of both, measured in turn so that a noisy machine hits both alike."""
    pairs = [(rate(ours), rate(plain)) for _ in range(rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("what", "ours", "plain way", "ratio", "the plain way is")
    for row in rows:
        table.add_row(
            row.what,
            f"{row.ours:,.0f} {row.unit}",
            f"{row.plain:,.0f} {row.unit}",
            f"{row.ratio:.2f} x",
            row.baseline,
        )
    Console(width=150).print(table)
