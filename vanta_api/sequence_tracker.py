"""Where a client is in each stream, and what every frame means from there. No I/O.

Rule 1: a number is passed on once: what is not above the cursor is a repeat.
Rule 2: a frame follows the cursor when its predecessor (``prev_sequence``, else its number less one) is
not above it; otherwise something between was lost, and the verdict says which numbers.
Rule 3: numbers of two epochs are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from vanta_api.server_frames import ServerFrame

POSITIONS: Final = "positions"
UNKNOWN: Final = -1


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place to resume from. ``sequence`` -1: nowhere yet; ``streams``: the same for other streams."""

    epoch: str | None = None
    sequence: int = UNKNOWN
    streams: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers ``first`` .. ``last`` of ``stream`` did not come. ``filled``: they came over REST instead."""

    first: int
    last: int
    stream: str = POSITIONS
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Resync:
    """The stream cannot go on from where the client was: take a snapshot (``snapshot_url``), then go on.

    ``reason``: ``epoch_changed`` (numbers start anew), ``trimmed`` (too far behind), ``future_sequence``
    (the client was ahead of the server). ``last_sequence``: where the client was. ``current_sequence``:
    where the stream goes on; a snapshot at or after it misses nothing.
    """

    reason: str
    last_sequence: int
    current_sequence: int
    epoch: str | None = None
    snapshot_url: str | None = None
    stream: str = POSITIONS


Verdict = Literal["repeat", "next"] | Gap


@dataclass(slots=True)
class Tracker:
    """The cursor of one client over all its connections. ``is_filtered``: the server withholds entries."""

    epoch: str | None = None
    last: int = UNKNOWN
    streams: dict[str, int] = field(default_factory=dict)
    is_filtered: bool = False
    suspected: int = UNKNOWN  # head that the previous heartbeat named
    is_rebasing: bool = False  # the next frame is the new beginning: the client chose to miss what was before

    @classmethod
    def at(cls, cursor: Cursor, *, is_filtered: bool = False) -> Tracker:
        """A tracker that resumes from a saved cursor."""
        return cls(cursor.epoch, cursor.sequence, dict(cursor.streams), is_filtered)

    @property
    def cursor(self) -> Cursor:
        """Where the client is now."""
        return Cursor(epoch=self.epoch, sequence=self.last, streams=dict(self.streams))

    def welcome(self, reply: ServerFrame, wanted_streams: tuple[str, ...] = ()) -> Resync | Gap | None:
        """Take the answer to an authentication that asked to resume from this cursor."""
        head, before = reply.current_sequence or 0, self.last
        known_epoch, self.epoch = self.epoch, reply.epoch
        self.suspected = UNKNOWN
        if reply.recovered is False:
            self.last = head
            self.streams = {
                name: number for name, number in (reply.heads or {}).items() if name in wanted_streams
            }
            reason = reply.reason or "unknown"
            return Resync(reason, before, head, reply.epoch, reply.snapshot_url)
        for name in wanted_streams:
            if name in (reply.heads or {}) and known_epoch in (None, reply.epoch):
                self.streams.setdefault(name, (reply.heads or {})[name])
        if before == UNKNOWN:
            self.last = head
        elif before == 0:
            self.last = max(0, (reply.oldest_sequence or 1) - 1)
        elif reply.recovered is None and head > before:  # a server that replays nothing
            self.last = head
            return Gap(before + 1, head)
        return None

    def data(self, frame: ServerFrame) -> Verdict:
        """Place an entry's frame; ``next`` and a Gap move the cursor past it, so fill a Gap first."""
        is_positions = frame.sequence is not None
        stream = POSITIONS if is_positions else frame.stream or ""
        number = frame.sequence if frame.sequence is not None else frame.stream_sequence or 0
        last = self.last if is_positions else self.streams.get(stream, UNKNOWN)
        if number <= last:
            return "repeat"
        if is_positions and frame.prev_sequence is not None:
            self.is_filtered = True
        before = number - 1 if frame.prev_sequence is None else frame.prev_sequence
        is_base = last == UNKNOWN or (is_positions and self.is_rebasing)
        self._advance(stream, number)
        return "next" if is_base or before <= last else Gap(last + 1, before, stream)

    def heartbeat(self, frame: ServerFrame) -> Gap | None:
        """Take a heartbeat: nothing up to its number is still under way once the next one has come."""
        head = frame.current_sequence
        if head is None or self.last == UNKNOWN or self.is_rebasing:
            return None
        if self.is_filtered:
            self.last = max(self.last, head)  # what is below was sent before, or withheld
            return None
        lost, self.suspected = self.suspected, head
        if lost <= self.last:
            return None
        first, self.last = self.last + 1, lost
        return Gap(first, lost)

    def notice(self, frame: ServerFrame) -> Resync | None:
        """Take the server's own word that it skipped entries."""
        stream, head = frame.stream or POSITIONS, frame.current_sequence or 0
        if frame.reason not in ("epoch_changed", "trimmed", "future_sequence"):
            return None  # e.g. slow_consumer: the connection ends, and the next one resumes
        before = self.last if stream == POSITIONS else self.streams.get(stream, UNKNOWN)
        self._reset(stream, head)
        return Resync(frame.reason, before, head, self.epoch, frame.snapshot_url, stream)

    def pause(self) -> None:
        """The client unsubscribed: what comes until it subscribes again is not lost but unwanted."""
        self.is_rebasing = True
        self.streams.clear()

    def _advance(self, stream: str, number: int) -> None:
        if stream == POSITIONS:
            self.is_rebasing = False
        self._reset(stream, number)

    def _reset(self, stream: str, number: int) -> None:
        if stream == POSITIONS:
            self.last = number
        else:
            self.streams[stream] = number
