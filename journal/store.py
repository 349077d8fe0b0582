"""What every journal store offers besides reading and appending: epochs, replicas, trimming, a bell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from journal.doorbell import Bell
from journal.entry import ACTIONS, REGISTRY, Appended, Entry, Epoch, EpochReason, Journal, Reader

TRIM_ROWS: Final = 500  # rows one trim transaction may remove
NEVER_TRIMMED: Final = (REGISTRY, ACTIONS)


class KeyHead(NamedTuple):
    """A key's last entry, as a checkpoint remembers it."""

    stream: str
    key: str
    sequence: int
    event_id: bytes


class HistoryReader(Reader, Protocol):
    """A reader that also knows the epochs before the present one."""

    def epochs(self) -> list[Epoch]:
        """Every epoch of this journal, oldest first."""


class Store(Journal, Protocol):
    """A complete journal. ``MemoryJournal`` and ``SqliteJournal`` pass one contract suite."""

    @property
    def is_replica(self) -> bool:
        """True while local appends are refused."""

    def epochs(self) -> list[Epoch]:
        """Every epoch of this journal, oldest first."""

    def new_epoch(self, reason: EpochReason, known: Mapping[str, int] | None = None) -> Epoch:
        """Begin an epoch above our own heads and above ``known`` heads; returns it."""

    def append_replicated(self, entries: Sequence[Entry]) -> list[Appended]:
        """Copy another journal's entries: numbers, ids, times and bytes stay. For replicas only.

        Entries already here are skipped. Raises DivergedError when they do not continue what is here.
        """

    def promote(self, known: Mapping[str, int] | None = None, reason: EpochReason = "promote") -> Epoch:
        """Turn a replica into a journal of its own, in a new epoch above ``known`` heads."""

    def trim(self, stream: str, through: int, limit: int = TRIM_ROWS) -> int:
        """Remove entries up to ``through``, oldest first, at most ``limit``; returns how many went.

        Raises ValueError for a stream that is never trimmed.
        """

    def doorbell(self) -> Bell:
        """A bell that rings after every append; close it when done."""


KeyHeads = Iterable[KeyHead]


def check_trim(stream: str, streams: Sequence[str], limit: int) -> None:
    """Raise ValueError when this trim may not happen."""
    if stream not in streams or stream in NEVER_TRIMMED:
        raise ValueError(f"stream {stream!r} is never trimmed")
    if not 0 < limit <= TRIM_ROWS:
        raise ValueError(f"a trim removes 1 to {TRIM_ROWS} entries at a time, not {limit}")
