"""When silence becomes an error: nothing from the server, not even a heartbeat, for too long."""

from __future__ import annotations

import time
from collections.abc import Callable

from vanta_api.connection import PING_S, SILENCE_S, Connection
from vanta_api.inbox import StaleError


class SilenceWatch:
    """``limit_s`` counts from the last frame, or from the last time silence was told."""

    def __init__(self, limit_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._told_at = monotonic()

    def restart(self) -> None:
        """Count from now."""
        self._told_at = self._monotonic()

    def patience_s(self, connection: Connection) -> float:
        """Seconds a consumer may wait before it has to ``check``."""
        return min(PING_S, max(0.05, self._limit_for(connection) - self._silence_s(connection)))

    def check(self, connection: Connection) -> None:
        """Raises StaleError when it was silent too long, once per such time."""
        silence_s = self._silence_s(connection)
        if silence_s >= self._limit_for(connection):
            self.restart()
            raise StaleError(silence_s)

    def _silence_s(self, connection: Connection) -> float:
        return self._monotonic() - max(self._told_at, connection.heard_at)

    def _limit_for(self, connection: Connection) -> float:
        """A connected server that knows no heartbeats is heard of only every other ping."""
        is_quiet_server = connection.is_connected and not connection.has_heartbeats
        return max(self._limit_s, SILENCE_S) if is_quiet_server else self._limit_s
