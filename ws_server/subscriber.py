"""One client of the stream: a cursor per stream, and a link to write to.

Rule 1: every entry of the view after the cursor is sent once, in order; a cursor only moves past what was
written or does not belong to the view.
Rule 2: while a subscriber is live its cursors are the broadcaster's positions; its own are set again when
it leaves the live stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from journal.entry import POSITIONS
from runtime.api_keys import ApiKey
from ws_server.view import View


class Outlet(Protocol):
    """What a subscriber is written to (``transport.Link``, or a test's)."""

    def write(self, frames: bytes) -> int:
        """Write whole frames; returns the bytes still waiting for the client, or ``CLOSED`` (-1)."""

    @property
    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""


class Mode(Enum):
    """How a subscriber gets its entries."""

    PAUSED = "paused"  # it does not want any
    BEHIND = "behind"  # page by page, at its own pace
    LIVE = "live"  # with everyone else, as entries become durable


class Subscriber:
    """``cursors``: per stream, the number up to which all was dealt with. ``last``: the last number sent.

    ``full_since``: since when (monotonic seconds) the client's buffer has been too full to write more.
    ``messages`` and ``bytes`` count what was written, for metering.
    """

    __slots__ = (
        "bytes",
        "cursors",
        "full_since",
        "generation",
        "key",
        "last",
        "link",
        "messages",
        "mode",
        "view",
    )

    def __init__(self, link: Outlet, key: ApiKey, cursor: int) -> None:
        self.link = link
        self.key = key
        self.view = View()
        self.mode = Mode.PAUSED
        self.cursors: dict[str, int] = {POSITIONS: cursor}
        self.last: dict[str, int] = {}
        self.generation = 0  # grows with every new view or pause: work begun before it is stale
        self.full_since: float | None = None
        self.messages = 0
        self.bytes = 0

    def start(self, view: View, cursors: Mapping[str, int], goes_on: frozenset[str] = frozenset()) -> None:
        """Follow ``view`` from ``cursors``; it is behind until it has met the head.

        The streams of ``goes_on`` were followed before, so their ``prev_sequence`` chain is not broken.
        """
        self.generation += 1
        before = self.last
        self.view, self.cursors = view, dict(cursors)
        self.last = {s: before[s] if s in goes_on else cursors[s] for s in view.streams}
        self.mode = Mode.BEHIND

    def pause(self) -> None:
        """Stop until the next ``start``; what happens meanwhile is not for this client."""
        self.generation += 1
        self.mode = Mode.PAUSED
        self.cursors = {}

    def wrote(self, messages: int, size: int) -> None:
        """Count what was written."""
        self.messages += messages
        self.bytes += size

    def told(self, position: int) -> int:
        """The highest ``positions`` number that this client has been sent or had withheld from it."""
        return position if self.mode is Mode.LIVE else self.cursors.get(POSITIONS, position)
