"""Pages of the history as the WebSocket's own frames.

Rule 1: a page either continues ``after`` without a hole or is refused with the reason; nothing is skipped
silently. ``after`` 0 means "all that is kept".
Rule 2: a number of another epoch never means anything in this one.
Rule 3: a frame's bytes are those that the WebSocket sends for the entry; a key that sees only Vanta's pairs
gets the filtered form, whose ``prev_sequence`` lets it check that nothing is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from journal.entry import ORDERS, POSITIONS, Entry, Epoch, Page, Reader
from validator.trade_pairs import is_vanta
from vanta_api.messages import data_frame, filtered_frame, filtered_stream_frame, stream_frame

Reason = Literal["epoch_changed", "trimmed", "future_sequence"]

TRIES: Final = 5  # the journal may be trimmed between two reads; more often than this it is not


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. ``epoch`` None: it does not know one."""

    stream: str
    after: int
    limit: int
    epoch: str | None
    only_vanta: bool


@dataclass(frozen=True, slots=True)
class Events:
    """Frames after ``after``. ``last`` is the number to continue from, ``oldest`` the first one kept."""

    frames: tuple[bytes, ...]
    epoch: str
    after: int
    last: int
    head: int
    oldest: int

    @property
    def has_more(self) -> bool:
        return self.last < self.head


class Refused(Exception):
    """The page cannot be given; the client needs a snapshot (or waits, if its number is ahead)."""

    def __init__(self, reason: Reason, epoch: str, oldest: int, head: int) -> None:
        super().__init__(reason)
        self.reason, self.epoch, self.oldest, self.head = reason, epoch, oldest, head


def read_events(reader: Reader, request: Request) -> Events:
    """Answer the request from the journal. Raises Refused, JournalError."""
    epoch = reader.epoch()
    first = epoch.first.get(request.stream, 1)
    page, after = _page(reader, request, first)
    oldest = max(page.oldest, first)
    if reason := _refusal(request, epoch, page, first):
        raise Refused(reason, epoch.id, oldest, page.head)
    last = page.entries[-1].sequence if page.entries else after
    return Events(_frames(page, request, after), epoch.id, after, last, page.head, oldest)


def _page(reader: Reader, request: Request, first: int) -> tuple[Page, int]:
    """The page and the number it really starts after."""
    after = request.after or first - 1
    page = reader.read(request.stream, after, request.limit)
    for _ in range(TRIES if request.after == 0 else 0):
        if not page.trimmed:
            break
        after = page.oldest - 1
        page = reader.read(request.stream, after, request.limit)
    return page, after


def _refusal(request: Request, epoch: Epoch, page: Page, first: int) -> Reason | None:
    if request.epoch is not None and request.epoch != epoch.id:
        return "epoch_changed"
    if request.after > page.head:
        return "future_sequence"
    if 0 < request.after < first - 1:
        return "epoch_changed"
    return "trimmed" if page.trimmed else None


def _frames(page: Page, request: Request, after: int) -> tuple[bytes, ...]:
    if not request.only_vanta:
        return tuple(_frame(entry) for entry in page.entries)
    frames: list[bytes] = []
    previous = after
    for entry in page.entries:
        if is_for_vanta(entry):
            frames.append(_filtered(entry, previous))
            previous = entry.sequence
    return tuple(frames)


def _frame(entry: Entry) -> bytes:
    if entry.stream == POSITIONS:
        return data_frame(entry.sequence, entry.time_ms, entry.body)
    return stream_frame(entry.stream, entry.sequence, entry.time_ms, entry.body)


def _filtered(entry: Entry, previous: int) -> bytes:
    if entry.stream == POSITIONS:
        return filtered_frame(entry.sequence, entry.time_ms, entry.body, previous)
    return filtered_stream_frame(entry.stream, entry.sequence, entry.time_ms, entry.body, previous)


class _Position(msgspec.Struct):
    trade_pair: list[Any]


class _PositionBody(msgspec.Struct):
    position: _Position


class _Order(msgspec.Struct):
    trade_pair_id: str


class _OrderBody(msgspec.Struct):
    order: _Order


_position = msgspec.json.Decoder(_PositionBody)
_order = msgspec.json.Decoder(_OrderBody)


def is_for_vanta(entry: Entry) -> bool:
    """Whether a reader that knows only Vanta's pairs may get the entry; one that does not say is withheld."""
    try:
        if entry.stream == POSITIONS:
            return is_vanta(str(_position.decode(entry.body).position.trade_pair[0]))
        return entry.stream != ORDERS or is_vanta(_order.decode(entry.body).order.trade_pair_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return False
