"""State: the fold of all entries, at a position in every stream.

Rule 1: ``apply`` takes any entry with any body, never fails, and depends on nothing but the State and the
entry: no clock, no setting that is not the State's own.
Rule 2: streams do not touch each other's part, so every interleaving that keeps the order within a stream
gives the same State; and folding a tail onto a checkpoint gives the same State as folding everything.
Rule 3: what leaves the window leaves its key's last event id behind, and a closed position also its share
of the totals. If such a key speaks again, its share is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from journal.closing import Share, is_over
from journal.entry import ORDERS, POSITIONS, Entry, Epoch
from journal.store import KeyHead

DAY_MS: Final = 86_400_000
WINDOW_MS: Final = 365 * DAY_MS  # far longer than any look-back of statistics (120 days) or a tier (24 h)
WINDOWED: Final = (POSITIONS, ORDERS)  # only these have entries that are over


class Latest(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A key's newest entry."""

    sequence: int
    time_ms: int
    body: bytes
    event_id: bytes


class Dropped(msgspec.Struct, frozen=True, array_like=True):
    """What stays of a key whose entry left the window; ``share`` is what it added to the totals."""

    sequence: int
    event_id: bytes
    share: Share | None = None


class Totals(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Accumulated closed positions of one hotkey and trade pair that left the window.

    ``lasted`` of the ``positions`` lasted 60 s or longer; ``profitable`` of those closed above 1.0.
    ``growth`` is the product of their non-zero ``return_at_close``, ``zeros`` counts the others.
    """

    positions: int = 0
    lasted: int = 0
    profitable: int = 0
    growth: float = 1.0
    zeros: int = 0

    @property
    def product(self) -> float:
        """Product of ``return_at_close`` over the positions that lasted."""
        return 0.0 if self.zeros else self.growth

    def plus(self, share: Share) -> Totals:
        """Return the totals with a position's share added."""
        value = share.return_at_close
        if value is None:
            return msgspec.structs.replace(self, positions=self.positions + 1)
        return Totals(
            self.positions + 1,
            self.lasted + 1,
            self.profitable + (value > 1.0),
            self.growth * (value or 1.0),
            self.zeros + (value == 0),
        )


class State:
    """The newest entry of every key, at ``vector`` (stream → number) in ``epoch``.

    ``latest`` maps stream → key → Latest; ``totals`` maps hotkey → trade pair id → Totals of the closed
    positions that are no longer in ``latest``; ``dropped`` maps stream → key → Dropped. A closed position
    or finished order leaves ``latest`` when its end lies ``window_ms`` before the stream's newest entry.
    """

    def __init__(self, *, window_ms: int = WINDOW_MS) -> None:
        self.window_ms = window_ms
        self.epoch = ""
        self.vector: dict[str, int] = {}
        self.latest: dict[str, dict[str, Latest]] = {}
        self.dropped: dict[str, dict[str, Dropped]] = {}
        self.totals: dict[str, dict[str, Totals]] = {}
        self._over: dict[str, list[tuple[int, str, int]]] = {stream: [] for stream in WINDOWED}

    def apply(self, entry: Entry) -> None:
        """Take over one entry; an entry at or below the stream's position is ignored."""
        stream = entry.stream
        if entry.sequence <= self.vector.get(stream, 0):
            return
        self.vector[stream] = entry.sequence
        newest = Latest(entry.sequence, entry.time_ms, entry.body, entry.event_id)
        self.latest.setdefault(stream, {})[entry.key] = newest
        if stream in WINDOWED:
            self._take_back(stream, entry.key)
            self._note_end(stream, entry.key, newest)
            self._drop_until(stream, entry.time_ms - self.window_ms)

    def enter(self, epoch: Epoch) -> None:
        """Note the journal's epoch, once every entry of the epochs before it was applied."""
        self.epoch = epoch.id
        for stream, first in epoch.first.items():
            self.vector[stream] = max(self.vector.get(stream, 0), first - 1)

    def key_heads(self) -> Iterator[KeyHead]:
        """Yield every key's last entry: what a replica needs to continue the keys' chains."""
        for stream, keys in self.latest.items():
            for key, latest in keys.items():
                yield KeyHead(stream, key, latest.sequence, latest.event_id)
        for stream, gone in self.dropped.items():
            for key, dropped in gone.items():
                yield KeyHead(stream, key, dropped.sequence, dropped.event_id)

    def restore(
        self,
        epoch: str,
        vector: dict[str, int],
        latest: dict[str, dict[str, Latest]],
        dropped: dict[str, dict[str, Dropped]],
        totals: dict[str, dict[str, Totals]],
    ) -> None:
        """Become what these parts of another State say."""
        self.epoch, self.vector, self.latest = epoch, vector, latest
        self.dropped, self.totals = dropped, totals
        self._over = {stream: [] for stream in WINDOWED}
        for stream, ends in self._over.items():
            for key, newest in latest.get(stream, {}).items():
                if (end := is_over(stream, newest.body, newest.time_ms)) is not None:
                    ends.append((end.at_ms, key, newest.sequence))
            heapify(ends)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return self.parts() == other.parts()

    __hash__ = None  # type: ignore[assignment]

    def parts(self) -> tuple[object, ...]:
        """Return everything two equal States share, in the order ``restore`` takes it."""
        return (self.epoch, self.vector, self.latest, self.dropped, self.totals)

    def _note_end(self, stream: str, key: str, newest: Latest) -> None:
        end = is_over(stream, newest.body, newest.time_ms)
        if end is not None:
            heappush(self._over[stream], (end.at_ms, key, newest.sequence))

    def _drop_until(self, stream: str, cutoff_ms: int) -> None:
        ends, kept = self._over[stream], self.latest[stream]
        while ends and ends[0][0] < cutoff_ms:
            _, key, sequence = heappop(ends)
            newest = kept.get(key)
            if newest is not None and newest.sequence == sequence:  # else it spoke again since
                del kept[key]
                self._keep_traces(stream, key, newest)

    def _keep_traces(self, stream: str, key: str, newest: Latest) -> None:
        end = is_over(stream, newest.body, newest.time_ms)
        share = None if end is None else end.share
        self.dropped.setdefault(stream, {})[key] = Dropped(newest.sequence, newest.event_id, share)
        if share is not None:
            pairs = self.totals.setdefault(share.hotkey, {})
            pairs[share.trade_pair] = pairs.get(share.trade_pair, Totals()).plus(share)

    def _take_back(self, stream: str, key: str) -> None:
        gone = self.dropped.get(stream, {}).pop(key, None)
        if gone is None or gone.share is None:
            return
        hotkey, pair = gone.share.hotkey, gone.share.trade_pair
        # added up again rather than divided out: exact, and it hardly ever happens
        total = Totals()
        for other in self.dropped[stream].values():
            if other.share is not None and (other.share.hotkey, other.share.trade_pair) == (hotkey, pair):
                total = total.plus(other.share)
        self.totals[hotkey][pair] = total
