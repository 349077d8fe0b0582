"""What happens when: events in order of time, each exactly once, whenever somebody asks."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class _Event:
    at_ms: int
    number: int  # events of one millisecond happen in the order they were planned
    action: Callable[[int], None] = field(compare=False)


class Timeline:
    """The clock of the sandbox's world. It moves only forward and only when told to."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self._events: list[_Event] = []
        self._planned = 0

    def at(self, at_ms: int, action: Callable[[int], None]) -> None:
        """Plan ``action(at_ms)``; what is planned for the past happens at once when time moves."""
        heapq.heappush(self._events, _Event(max(at_ms, self.now_ms), self._planned, action))
        self._planned += 1

    def advance(self, now_ms: int) -> None:
        """Let everything up to ``now_ms`` happen. Events may plan others."""
        while self._events and self._events[0].at_ms <= now_ms:
            event = heapq.heappop(self._events)
            self.now_ms = event.at_ms
            event.action(event.at_ms)
        self.now_ms = max(self.now_ms, now_ms)
