"""Helpers of the journal's tests: drafts, reading everything, and how a store is opened."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Protocol

from journal.entry import POSITIONS, Draft, Entry, Epoch, Page, Reader
from journal.store import KeyHead, Store
from runtime.clock import FakeClock


class Opener(Protocol):
    """Makes empty stores and replicas; a store is closed by the fixture that made the opener."""

    def empty(self, clock: FakeClock) -> Store: ...

    def replica(
        self, clock: FakeClock, base: Mapping[str, int], epoch: Epoch, keys: Sequence[KeyHead] = ()
    ) -> Store: ...


def position(key: str, body: bytes = b"{}", **more: object) -> Draft:
    """A draft of the positions stream."""
    return Draft(POSITIONS, key, body, **more)  # type: ignore[arg-type]


def fill(journal: Store, count: int, stream: str = POSITIONS) -> None:
    """Append ``count`` different entries, one transaction per hundred."""
    start = journal.head(stream)
    drafts = [Draft(stream, f"key{n % 7}", b'{"n":%d}' % (start + n)) for n in range(count)]
    for first in range(0, count, 100):
        journal.append(drafts[first : first + 100])


def entries_of(journal: Reader, stream: str = POSITIONS, after: int = 0) -> list[Entry]:
    """Every kept entry of a stream after a number, page by page."""
    found: list[Entry] = []
    while (page := journal.read(stream, after)).entries:
        found += page.entries
        after = page.entries[-1].sequence
    return found


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


def close(pages: Iterator[Page]) -> None:
    """Stop following."""
    assert isinstance(pages, Generator)
    pages.close()
