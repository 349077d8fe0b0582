"""The Builder Service's rate limit: 100 requests a minute from one address."""

from __future__ import annotations

import math
from typing import Any, Final

from runtime.clock import Clock

MOST: Final = 100
WINDOW_S: Final = 60.0


class RateLimit:
    """Fixed windows per client address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, client: str, headers: dict[str, str]) -> int:
        """Count a request and fill in its headers; returns 0, or the seconds to wait."""
        now = self._clock.monotonic()
        began, used = self._windows.get(client, (now, 0))
        if now - began >= WINDOW_S:
            began, used = now, 0
        self._windows[client] = (began, used + 1)
        reset = max(1, math.ceil(began + WINDOW_S - now))
        headers["X-RateLimit-Limit"] = str(MOST)
        headers["X-RateLimit-Remaining"] = str(max(0, MOST - used - 1))
        headers["X-RateLimit-Reset"] = str(reset)
        if used < MOST:
            return 0
        headers["Retry-After"] = str(reset)
        return reset

    def details(self, retry_after: int) -> dict[str, Any]:
        """What the 429 says besides its message."""
        return {"limit": MOST, "windowMs": int(WINDOW_S * 1000), "retryAfter": retry_after}
