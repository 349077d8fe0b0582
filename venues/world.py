"""The sandboxes' common physics: prices and schedules as pure functions of seed and time.

Invariant: the same (seed, name, time) always gives the same price, so a sandbox that was killed and
started again, or one that is asked about last week, tells the same story.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HISTORY_DAYS = 21  # weeks of history, so that every tier has something to show from the first minute

# (period in ms, amplitude as a fraction): days, hours, minutes, seconds
_WAVES = (
    (9 * DAY_MS, 0.06),
    (31 * HOUR_MS, 0.025),
    (3.7 * HOUR_MS, 0.008),
    (11 * 60_000, 0.002),
    (23_000, 0.0006),
)


def draw(seed: int, *names: object) -> float:
    """A number in [0, 1) that depends only on the seed and the names."""
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / (1 << 56)


def price(seed: int, name: str, base: Decimal, at_ms: int, tick: Decimal) -> Decimal:
    """The price of ``name`` at ``at_ms``: a sum of waves around ``base``, rounded to ``tick``."""
    drift = sum(
        amplitude * math.sin(2 * math.pi * (at_ms / period + phase))
        for (period, amplitude), phase in zip(_WAVES, _phases(seed, name), strict=True)
    )
    exact = base * Decimal(repr(math.exp(drift)))
    return (exact / tick).quantize(Decimal(1), ROUND_HALF_EVEN) * tick


@lru_cache(maxsize=4096)
def _phases(seed: int, name: str) -> tuple[float, ...]:
    return tuple(draw(seed, name, period) for period, _ in _WAVES)


def slots(
    seed: int, account: str, origin_ms: int, until_ms: int, *, past_s: float, live_s: float
) -> Iterator[int]:
    """Times at which the account acts: every ~``past_s`` during the history, every ~``live_s`` after it.

    History is ``origin_ms .. origin_ms + HISTORY_DAYS``; spacing varies by half to one and a half.
    """
    live_from = origin_ms + HISTORY_DAYS * DAY_MS
    at, index = origin_ms, 0
    while True:
        spread = 0.5 + draw(seed, account, "slot", index)
        if at < live_from:  # the first live action comes soon after the history's end, not hours later
            at = min(at + round(1000 * past_s * spread), live_from + round(1000 * live_s * spread))
        else:
            at += round(1000 * live_s * spread)
        if at > until_ms:
            return
        yield at
        index += 1
