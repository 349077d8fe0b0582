"""When to ask again: per account a cadence, per venue a circuit breaker. Pure, with an injected clock.

CLOSED ──5 failures in a row──► OPEN ──probe time──► one account may try ──success──► CLOSED
                                  ▲───────────────────────failure (longer wait)──┘
"""

from __future__ import annotations

import random
from typing import Final

from runtime.clock import Clock
from venues.errors import Broken, Rejected, Retryable, VenueError

TRIP_AFTER: Final = 5
PROBE_FIRST_S: Final = 5.0
PROBE_MAX_S: Final = 120.0
RETRY_MAX_S: Final = 60.0
SETTLED_RETRY_S: Final = 60.0  # rejected or broken answers rarely mend by themselves, but they do get mended
SLOWEST: Final = 12.0  # times the configured interval, under rate limits


class Breaker:
    """Stops asking a venue that fails whatever is asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._wait_s = PROBE_FIRST_S
        self._probe_at: float | None = None  # None: closed

    @property
    def is_open(self) -> bool:
        """True while the venue is being left alone."""
        return self._probe_at is not None

    def delay_s(self) -> float:
        """Seconds until anybody may ask; 0 when closed or when a probe is due."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - self._clock.monotonic())

    def take_probe(self) -> None:
        """Note that a probe is under way; nobody else asks until its wait is over."""
        if self._probe_at is not None:
            self._probe_at = self._clock.monotonic() + self._wait_s

    def succeeded(self) -> None:
        """The venue answered."""
        self._failures, self._wait_s, self._probe_at = 0, PROBE_FIRST_S, None

    def failed(self) -> None:
        """The venue did not answer as a venue should (rate limits do not count)."""
        self._failures += 1
        if self._failures >= TRIP_AFTER:
            self._probe_at = self._clock.monotonic() + self._wait_s
            self._wait_s = min(PROBE_MAX_S, self._wait_s * 2)


class Cadence:
    """One account's pace: the configured interval with jitter, slower while the venue asks for it."""

    def __init__(self, interval_s: float, jitter: random.Random) -> None:
        self._interval_s, self._jitter = interval_s, jitter
        self._stretch = 1.0
        self._failures = 0

    def after_success(self) -> float:
        """Seconds to the next poll."""
        self._failures = 0
        self._stretch = max(1.0, self._stretch * 0.9)
        return self._interval_s * self._stretch * (0.9 + 0.2 * self._jitter.random())

    def after_failure(self, error: VenueError) -> float:
        """Seconds to the next try, by who should act."""
        if isinstance(error, (Rejected, Broken)):
            return max(SETTLED_RETRY_S, self._interval_s)
        self._failures += 1
        if isinstance(error, Retryable) and error.rate_limited:
            self._stretch = min(SLOWEST, self._stretch * 2)
        wait = min(RETRY_MAX_S, self._interval_s * 2 ** min(self._failures, 8)) * (
            0.5 + self._jitter.random() / 2
        )
        asked = error.after_s if isinstance(error, Retryable) and error.after_s is not None else 0.0
        return float(max(wait, asked))
