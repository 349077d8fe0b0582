"""Entries, drafts and pages: the nouns of the journal's interface.

Rule 1: inside an epoch the entries of a stream are numbered without gaps.
Rule 2: a number that one reader has seen never means anything else.
Rule 3: an entry is visible to readers only after it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import msgspec

POSITIONS: Final = "positions"
ORDERS: Final = "orders"
REGISTRY: Final = "registry"
LEDGER: Final = "ledger"
ACTIONS: Final = "actions"
MARKS: Final = "marks"
DURABLE_STREAMS: Final = (POSITIONS, ORDERS, REGISTRY, LEDGER, ACTIONS)
STREAMS: Final = (*DURABLE_STREAMS, MARKS)

PAGE_ENTRIES: Final = 500  # a longer page would keep the WAL from being recycled
PAGE_BYTES: Final = 256 * 1024

ANY: Final = -1  # Draft.expected_last: append whatever the key's last entry is


class Draft(msgspec.Struct, frozen=True, gc=False):
    """What a writer asks to append.

    ``identity`` are the bytes that decide "same content as the key's last entry": the body without
    what follows the mark or the observation time. None means the whole body. ``expected_last`` is the
    sequence the key's last entry must have (0: the key must be new; ``ANY``: no check).

    ``is_guard``: nothing is written for this draft; it only holds the whole append to ``expected_last``,
    and its result carries the number of the key's last entry (0: there is none).
    """

    stream: str
    key: str
    body: bytes
    identity: bytes | None = None
    expected_last: int = ANY
    is_guard: bool = False


class Appended(msgspec.Struct, frozen=True, gc=False):
    """What became of one draft: its entry's number, and False when the content was there already."""

    stream: str
    sequence: int
    is_new: bool


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One durable fact. ``event_id`` is 16 bytes, chained per key; ``time_ms`` is the append time."""

    stream: str
    sequence: int
    key: str
    event_id: bytes
    time_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Epoch:
    """One unbroken numbering. ``first`` maps each stream to the first number of this epoch."""

    id: str
    first: Mapping[str, int]
    created_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive entries of one stream, read in one transaction with the bounds beside them.

    ``trimmed`` says that ``after + 1`` is no longer kept: the page is then empty.
    """

    entries: tuple[Entry, ...]
    oldest: int  # smallest number still kept (head + 1 when nothing is kept)
    head: int  # highest number given so far (0 before the first entry of the first epoch)
    epoch: str
    trimmed: bool


class JournalError(Exception):
    """Base of the journal's errors."""


class ConflictError(JournalError):
    """The key's last entry is not the one the draft expected; nothing of the append was written."""


class UnavailableError(JournalError):
    """The journal cannot take entries now (disk full, read-only, replica): keep the draft and try later."""


class CorruptError(JournalError):
    """The journal on disk is damaged; run ``python -m journal verify``."""


class DivergedError(JournalError):
    """A copied entry does not continue what was copied so far: boot again from a checkpoint."""


class Reader(Protocol):
    """A cursor's view of the journal. Safe to use from one thread; open one per thread."""

    def epoch(self) -> Epoch: ...

    def head(self, stream: str) -> int:
        """Highest number of the stream, 0 when it never had one."""

    def heads(self) -> dict[str, int]:
        """``{stream: head}`` of every stream, read in one transaction."""

    def read(self, stream: str, after: int, limit: int = PAGE_ENTRIES, max_bytes: int = PAGE_BYTES) -> Page:
        """Entries ``after + 1 ...``, at most ``limit`` and about ``max_bytes`` (but at least one)."""

    def follow(
        self, stream: str, after: int, *, stop: Callable[[], bool], poll_s: float = 0.25
    ) -> Iterator[Page]:
        """Yield non-empty (or trimmed) pages for ever: woken by the doorbell, correct by the poll.

        Yields an empty page at least every ``poll_s`` seconds so that a caller can do other work.
        """

    def sequence_at(self, stream: str, ms: int) -> int:
        """Highest number whose append time is <= ``ms``; the number before the first kept when none is."""

    def close(self) -> None: ...


class Writer(Protocol):
    """Appends. Any number of processes may hold one on the same journal."""

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Write all drafts in one transaction and return one result per draft, in order.

        A draft whose identity equals that of its key's last entry is not written again: its result
        carries the number it already has. Raises ConflictError, UnavailableError, CorruptError.
        """

    def close(self) -> None: ...


class Journal(Reader, Writer, Protocol):
    """A store that reads and writes."""


EpochReason = Literal["first", "restore", "new-epoch", "promote", "old-disk"]
