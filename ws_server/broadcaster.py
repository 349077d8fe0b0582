"""Live fan-out: what became durable since the last turn of the loop goes out in one write per subscriber.

Rule 1: entries arrive in order and without a hole, or the broadcaster stops for good.
Rule 2: joining the live stream and the last replayed message happen in the same turn, so nothing can come
between them.
Rule 3: a frame is built once; subscribers with the same view share it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from journal.entry import Epoch, Page
from runtime.clock import Clock
from runtime.settings import WebSocketSettings
from ws_server import metrics
from ws_server.frames import Message, select, text_frame
from ws_server.recent import Recent
from ws_server.subscriber import Mode, Subscriber
from ws_server.view import View

BUSY_S: Final = 0.5  # the stream counts as busy for this long after its last entry
HELD_BYTES: Final = 1024 * 1024  # read but not yet sent: above this the reader of the journal has to wait

Members = dict[Subscriber, None]  # an ordered set


class Broadcaster:
    """``schedule`` runs a call in the next turn of the loop; ``on_overflow`` is told of a buffer over the
    hard limit. Everything here happens in the loop's thread.
    """

    def __init__(
        self,
        settings: WebSocketSettings,
        clock: Clock,
        schedule: Callable[[Callable[[], None]], object],
        on_overflow: Callable[[Subscriber], None],
    ) -> None:
        self._settings, self._clock, self._schedule = settings, clock, schedule
        self._on_overflow = on_overflow
        self._groups: dict[View, Members] = {}
        self._pending: deque[Message] = deque()
        self._pending_bytes = 0
        self._is_scheduled = False
        self._sent_at = -BUSY_S  # monotonic seconds of the last turn
        self._resume_reader: Callable[[], None] | None = None
        self._recent: dict[str, Recent] = {}
        self.oldest: dict[str, int] = {}
        self.epoch = Epoch("", {}, 0)

    # --- what can be sent ---------------------------------------------------------------------------

    def begin(self, epoch: Epoch, positions: Mapping[str, int], oldest: Mapping[str, int]) -> None:
        """Start (or start again, in a new epoch) after ``positions``; nobody is live."""
        limits = (self._settings.recent_entries, self._settings.recent_bytes)
        self.epoch, self.oldest = epoch, dict(oldest)
        self._recent = {stream: Recent(number, *limits) for stream, number in positions.items()}
        self._groups.clear()
        self._pending.clear()
        self._pending_bytes = 0

    @property
    def positions(self) -> dict[str, int]:
        """The newest number sent, per stream."""
        return {stream: recent.position for stream, recent in self._recent.items()}

    def position(self, stream: str) -> int:
        """The newest number of this stream that was sent."""
        return self._recent[stream].position

    @property
    def is_busy(self) -> bool:
        """Whether entries went out just now."""
        return self._clock.monotonic() - self._sent_at < BUSY_S

    @property
    def live_count(self) -> int:
        """Subscribers in the live stream."""
        return sum(map(len, self._groups.values()))

    # --- subscribers --------------------------------------------------------------------------------

    def start(self, subscriber: Subscriber, view: View, fresh: Mapping[str, int]) -> None:
        """Point the subscriber at ``view``; streams without a ``fresh`` cursor go on, or begin live."""
        self.leave(subscriber)
        before = {} if subscriber.mode is Mode.PAUSED else subscriber.cursors
        goes_on = frozenset(before) - frozenset(fresh)
        cursors = {s: fresh.get(s, before.get(s, self.position(s))) for s in view.streams}
        subscriber.start(view, cursors, goes_on)

    def join(self, subscriber: Subscriber) -> bool:
        """Send what is missing and make it live, in this turn; False when too much is missing for that."""
        cursors = subscriber.cursors
        missing: list[Message] = []
        for stream in subscriber.view.streams:
            recent = self._recent[stream]
            if not recent.holds(cursors[stream]):
                return False
            missing.extend(recent.after(cursors[stream]))
        if sum(message.size for message in missing) > self._settings.turn_bytes:
            return False
        subscriber.mode = Mode.LIVE
        self._groups.setdefault(subscriber.view, {})[subscriber] = None
        if missing:
            self._write_missing(subscriber, missing)
        return True

    def leave(self, subscriber: Subscriber) -> None:
        """Take it out of the live stream, with its cursors where the stream is (no-op when not live)."""
        if subscriber.mode is not Mode.LIVE:
            return
        members = self._groups.get(subscriber.view, {})
        members.pop(subscriber, None)
        if not members:
            self._groups.pop(subscriber.view, None)
        subscriber.mode = Mode.BEHIND
        subscriber.cursors = {s: self.position(s) for s in subscriber.view.streams}
        if not subscriber.view.is_filtered:
            subscriber.last = dict(subscriber.cursors)

    def page_after(self, stream: str, cursor: int) -> list[Message]:
        """One batch from memory; empty when the messages after ``cursor`` are not there any more."""
        recent = self._recent[stream]
        if not recent.holds(cursor):
            return []
        found: list[Message] = []
        size = 0
        for message in recent.after(cursor):
            size += message.size
            if found and (size > self._settings.batch_bytes or len(found) == self._settings.batch_entries):
                break
            found.append(message)
        return found

    # --- entries ------------------------------------------------------------------------------------

    def feed(self, page: Page, resume_reader: Callable[[], None]) -> None:
        """Take a page that became durable; ``resume_reader`` is called when there is room for another."""
        self._pending.extend(map(Message, page.entries))
        self._pending_bytes += sum(len(entry.body) for entry in page.entries)
        if self._pending_bytes > HELD_BYTES:
            self._resume_reader = resume_reader
        else:
            resume_reader()
        self._plan_turn()

    def turn(self) -> None:
        """Send what is pending, up to one coalesced write's worth. Raises Hole."""
        self._is_scheduled = False
        batch: list[Message] = []
        size = 0
        while self._pending and (not batch or size < self._settings.turn_bytes):
            message = self._pending.popleft()
            size += message.size
            self._pending_bytes -= len(message.entry.body)
            self._recent[message.stream].add(message)
            batch.append(message)
        if batch:
            self._sent_at = self._clock.monotonic()
            self._fan_out(batch)
            self._measure(batch)
        if self._resume_reader is not None and self._pending_bytes <= HELD_BYTES:
            resume, self._resume_reader = self._resume_reader, None
            resume()
        self._plan_turn()

    def finish(self) -> None:
        """Send all that is pending now. Raises Hole."""
        while self._pending:
            self.turn()

    def _plan_turn(self) -> None:
        if self._pending and not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self.turn)

    def _fan_out(self, batch: Sequence[Message]) -> None:
        full: list[tuple[Subscriber, int]] = []
        lost: list[Subscriber] = []
        for view, members in self._groups.items():
            if view.is_filtered:
                self._write_filtered(view, members, batch, full, lost)
            else:
                self._write_shared(view, members, batch, full, lost)
        for subscriber in lost:
            self.leave(subscriber)
        for subscriber, waiting in full:
            self._set_aside(subscriber, waiting)

    def _write_shared(
        self,
        view: View,
        members: Iterable[Subscriber],
        batch: Sequence[Message],
        full: list[tuple[Subscriber, int]],
        lost: list[Subscriber],
    ) -> None:
        frames = [message.frame for message in batch if message.stream in view.streams]
        if not frames:
            return
        chunk = b"".join(frames)
        count, size, limit = len(frames), len(chunk), self._settings.write_buffer_bytes
        for subscriber in members:
            waiting = subscriber.link.write(chunk)
            if waiting < 0:
                lost.append(subscriber)
                continue
            subscriber.messages += count
            subscriber.bytes += size
            if waiting > limit:
                full.append((subscriber, waiting))

    def _write_filtered(
        self,
        view: View,
        members: Iterable[Subscriber],
        batch: Sequence[Message],
        full: list[tuple[Subscriber, int]],
        lost: list[Subscriber],
    ) -> None:
        limit = self._settings.write_buffer_bytes
        rendered: dict[tuple[int, ...], tuple[bytes, int, dict[str, int]]] = {}
        for subscriber in members:
            known = tuple(subscriber.last.values())
            if known not in rendered:
                last = dict(subscriber.last)
                payloads = select(view, batch, last)
                rendered[known] = (b"".join(map(text_frame, payloads)), len(payloads), last)
            chunk, count, last = rendered[known]
            if not count:
                continue
            waiting = subscriber.link.write(chunk)
            subscriber.last = dict(last)
            subscriber.wrote(count, len(chunk))
            if waiting > limit:
                full.append((subscriber, waiting))
            elif waiting < 0:
                lost.append(subscriber)

    def _write_missing(self, subscriber: Subscriber, missing: Sequence[Message]) -> None:
        payloads = select(subscriber.view, missing, subscriber.last)
        if not payloads:
            return
        chunk = b"".join(map(text_frame, payloads))
        waiting = subscriber.link.write(chunk)
        subscriber.wrote(len(payloads), len(chunk))
        if waiting < 0:
            self.leave(subscriber)
        elif waiting > self._settings.write_buffer_bytes:
            self._set_aside(subscriber, waiting)

    def _set_aside(self, subscriber: Subscriber, waiting: int) -> None:
        self.leave(subscriber)
        if waiting > self._settings.buffer_limit_bytes:
            self._on_overflow(subscriber)
        else:
            subscriber.full_since = self._clock.monotonic()  # it goes on when it has drained

    def _measure(self, batch: Sequence[Message]) -> None:
        oldest_ms = min(message.entry.time_ms for message in batch)
        metrics.DELIVERY.observe(max(0, self._clock.now_ms() - oldest_ms) / 1000)
        for stream in {message.stream for message in batch}:
            metrics.SEQUENCE.labels(stream).set(self.position(stream))
