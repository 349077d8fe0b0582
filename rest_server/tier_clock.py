"""The time that decides what is 24 hours old.

Rule: it never runs faster than the machine's monotonic clock and never goes back, so that a wall clock that
is set forward does not show delayed tiers what is not yet old enough. (Set back, it stands still.)
"""

from __future__ import annotations

import threading

from runtime.clock import Clock


class TierClock:
    """``now_ms`` for everything that compares with the lag."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._start_ms = clock.now_ms()
        self._start_s = clock.monotonic()
        self._last_ms = self._start_ms

    def now_ms(self) -> int:
        """The wall clock's time, as far as it can be trusted for hiding things."""
        elapsed_ms = int((self._clock.monotonic() - self._start_s) * 1000)
        with self._lock:
            self._last_ms = max(self._last_ms, min(self._clock.now_ms(), self._start_ms + elapsed_ms))
            return self._last_ms
