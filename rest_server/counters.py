"""Counters in memory for the ``limits`` library, read by an injected clock.

The library's own memory storage starts a timer thread every ten milliseconds while it is used, which costs
more than the rest of a request. Here old counters go when a new window begins.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from limits.storage import Storage
from limits.storage.base import SlidingWindowCounterSupport

from runtime.clock import Clock

SWEEP_S: Final = 60.0  # between two looks for counters that nobody needs any more


@dataclass(slots=True)
class _Window:
    """Counts of one window and of the one before it; ``index`` numbers the windows of ``expiry`` seconds."""

    index: int
    current: int
    previous: int
    expiry: int


class Counters(Storage, SlidingWindowCounterSupport):
    """Sliding-window counters, and plain ones for the fixed-window strategy. Safe for many threads."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._swept_s = clock.monotonic()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        with self._lock:
            now = self._clock.monotonic()
            self._sweep(now)
            window = self._window(key, expiry, now)
            left = 1.0 - (now / expiry) % 1.0  # share of the previous window that still counts
            if window.previous * left + window.current + amount > limit:
                return False
            window.current += amount
            return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        with self._lock:
            now = self._clock.monotonic()
            window = self._window(key, expiry, now)
            left_s = expiry - now % expiry
            return window.previous, left_s, window.current, left_s + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self.clear(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        with self._lock:
            window = self._window(key, expiry, self._clock.monotonic())
            window.current += amount
            return window.current

    def get(self, key: str) -> int:
        with self._lock:
            window = self._windows.get(key)
            return 0 if window is None else window.current

    def get_expiry(self, key: str) -> float:
        with self._lock:
            window = self._windows.get(key)
            now = self._clock.monotonic()
            return now if window is None else (window.index + 1) * window.expiry

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
            return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(key, None)

    def __len__(self) -> int:
        return len(self._windows)

    def _window(self, key: str, expiry: int, now: float) -> _Window:
        """The key's counts as of now."""
        index = int(now / expiry)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(index, 0, 0, expiry)
        elif window.index != index:
            window.previous = window.current if window.index == index - 1 else 0
            window.index, window.current = index, 0
        return window

    def _sweep(self, now: float) -> None:
        if now - self._swept_s < SWEEP_S:
            return
        self._swept_s = now
        old = [key for key, one in self._windows.items() if one.index < int(now / one.expiry) - 1]
        for key in old:
            del self._windows[key]
