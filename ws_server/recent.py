"""The newest messages of one stream, kept so that a subscriber can step from replay into live at once.

Rule: the messages are consecutive and end at ``position``; every number in (``start``, ``position``] is
there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from ws_server.frames import Message


class Hole(Exception):
    """A reader skipped a number: going on would hide an entry from everybody."""


class Recent:
    """Bounded by entries and by bytes, but always holds the newest message."""

    def __init__(self, position: int, entries_max: int, bytes_max: int) -> None:
        self.position = position
        self.start = position
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._entries_max, self._bytes_max = entries_max, bytes_max

    def add(self, message: Message) -> None:
        """Append the message that follows ``position``. Raises Hole."""
        if message.sequence != self.position + 1:
            raise Hole(f"{message.stream} {message.sequence} does not follow {self.position}")
        self._messages.append(message)
        self._bytes += message.size
        self.position = message.sequence
        while len(self._messages) > 1 and self._is_full():
            oldest = self._messages.popleft()
            self._bytes -= oldest.size
            self.start = oldest.sequence

    def holds(self, cursor: int) -> bool:
        """Whether everything after ``cursor`` up to ``position`` is here."""
        return self.start <= cursor <= self.position

    def after(self, cursor: int) -> Iterator[Message]:
        """The messages after ``cursor``, oldest first; ``holds(cursor)`` must be true."""
        return islice(self._messages, cursor - self.start, None)

    def _is_full(self) -> bool:
        return len(self._messages) > self._entries_max or self._bytes > self._bytes_max
