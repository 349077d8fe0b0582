"""Who may take how much: pure counters, decided by the injected clock.

Rule: the newest connection of a key always gets in; the oldest one leaves.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from runtime.clock import Clock

ConnectionT = TypeVar("ConnectionT", bound=Hashable)

ADDRESSES_MAX: Final = 10_000  # remembered addresses; the one that was quiet longest is forgotten first


class TokenBucket:
    """``rate`` per second, ``burst`` at once."""

    __slots__ = ("_burst", "_clock", "_level", "_rate", "_seen")

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._level, self._seen = self._burst, clock.monotonic()

    def take(self) -> bool:
        """Use one token, if there is one."""
        now = self._clock.monotonic()
        self._level = min(self._burst, self._level + (now - self._seen) * self._rate)
        self._seen = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def wait_s(self) -> float:
        """Seconds until the bucket is full again."""
        return (self._burst - self._level) / self._rate


class KeyPlaces(Generic[ConnectionT]):
    """At most ``limit`` connections per key, in order of arrival."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places: dict[str, OrderedDict[ConnectionT, None]] = {}

    def enter(self, key_id: str, connection: ConnectionT) -> ConnectionT | None:
        """Give the connection a place and return the one that has to leave for it, if any."""
        places = self._places.setdefault(key_id, OrderedDict())
        leaver = places.popitem(last=False)[0] if len(places) >= self._limit else None
        places[connection] = None
        return leaver

    def leave(self, key_id: str, connection: ConnectionT) -> None:
        """Free the place (a no-op when it was taken over already)."""
        places = self._places.get(key_id)
        if places is None:
            return
        places.pop(connection, None)
        if not places:
            del self._places[key_id]

    def count(self, key_id: str) -> int:
        """Connections of this key."""
        return len(self._places.get(key_id, ()))


class Strangers:
    """Connections per address that have not authenticated yet."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}

    def enter(self, address: str) -> bool:
        """Count one more; False when the address already has ``limit`` of them (and none is counted)."""
        count = self._counts.get(address, 0)
        if count >= self._limit:
            return False
        self._counts[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """One of them authenticated or went away."""
        count = self._counts.pop(address, 0)
        if count > 1:
            self._counts[address] = count - 1


class FailedKeys:
    """Wrong keys per address in the last minute; guessing is refused before the key is looked at."""

    WINDOW_S: Final = 60.0

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str) -> None:
        """A key from this address was wrong."""
        times = self._times.setdefault(address, deque(maxlen=self._limit))
        times.append(self._clock.monotonic())
        self._times.move_to_end(address)
        if len(self._times) > ADDRESSES_MAX:
            self._times.popitem(last=False)

    def retry_after_s(self, address: str) -> float:
        """Seconds until the address may try again; 0 when it may now."""
        times = self._times.get(address)
        if times is None or len(times) < self._limit:
            return 0.0
        return max(0.0, times[0] + self.WINDOW_S - self._clock.monotonic())
