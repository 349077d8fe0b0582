"""The validator's own facts: one journalled entry per change, the newest of each key at hand.

Rule 1: a read sees everything that was durable when it began, whoever wrote it: this thread, another one,
another process.
Rule 2: ``put`` with ``expected`` is compare-and-set. Of any number of writers that looked at the same fact
exactly one succeeds, even when all of them want to write the same bytes; the others get ConflictError.
Rule 3: facts are never deleted; a fact that is over says so in its body.

Keys are ``<kind>|<id>``: ``account_size|<hotkey>``, ``asset|<hotkey>``, ``collateral|<hotkey>``, ...
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from journal.entry import ANY, REGISTRY, Appended, ConflictError, Draft, Entry, Page, UnavailableError
from journal.fold import TrimmedError
from journal.state import State

ABSENT: Final = 0  # ``expected`` of a fact that must not be there yet
ATTEMPTS: Final = 200  # of a transaction that others overtake; each lost one means that another was done


class Store(Protocol):
    """The part of a ``journal.entry.Journal`` that the registry needs."""

    def read(self, stream: str, after: int) -> Page: ...

    def append(self, drafts: Sequence[Draft]) -> list[Appended]: ...


class Fact(msgspec.Struct, frozen=True, gc=False):
    """The newest entry of a key; ``time_ms`` is when it was appended."""

    key: str
    sequence: int
    time_ms: int
    body: bytes


def sequence_of(fact: Fact | None) -> int:
    """Return what ``expected`` must be to replace this fact."""
    return ABSENT if fact is None else fact.sequence


def draft(key: str, body: bytes, *, expected: int = ANY) -> Draft:
    """Return a fact as one part of a ``put_many``."""
    # Without a mark of its own, a writer that lost the race would be told "it is there already" when both
    # wrote the same bytes, and take that for a success.
    identity = None if expected == ANY else body + os.urandom(16)
    return Draft(REGISTRY, key, body, identity, expected)


class Registry:
    """The ``registry`` stream of a journal, by key. Threads may share it.

    ``state``: where to start from. A journal that was made from a checkpoint does not hold the entries
    before it; without a State, everything is read from the first entry on (TrimmedError when it is gone).
    """

    def __init__(self, journal: Store, state: State | None = None) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._facts: dict[str, Fact] = {}
        self._keys: list[str] = []  # sorted
        self._after = 0
        if state is not None:
            self._after = state.vector.get(REGISTRY, 0)
            newest = state.latest.get(REGISTRY, {})
            self._take(Fact(key, one.sequence, one.time_ms, one.body) for key, one in newest.items())

    def get(self, key: str) -> Fact | None:
        """Return the newest fact of a key, or None. Raises JournalError."""
        with self._lock:
            self._catch_up()
            return self._facts.get(key)

    def with_prefix(self, prefix: str) -> list[Fact]:
        """Return the newest facts of all keys that begin with ``prefix``, by key. Raises JournalError."""
        with self._lock:
            self._catch_up()
            found = []
            for index in range(bisect_left(self._keys, prefix), len(self._keys)):
                key = self._keys[index]
                if not key.startswith(prefix):
                    break
                found.append(self._facts[key])
            return found

    @property
    def sequence(self) -> int:
        """Number of the newest registry entry. Raises JournalError."""
        with self._lock:
            self._catch_up()
            return self._after

    def put(self, key: str, body: bytes, *, expected: int) -> int:
        """Write a fact and return its number.

        ``expected`` is the number of the fact that was read before (``ABSENT``: there was none; ``ANY``:
        whatever there is). Raises ConflictError when it is another one by now, UnavailableError when the
        journal takes no entries.
        """
        return self.put_many([draft(key, body, expected=expected)])[0].sequence

    def put_many(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Write all drafts (of any stream) in one transaction, or none of them; one result per draft.

        Make registry drafts with ``draft``. Raises ConflictError, UnavailableError.
        """
        results = self._journal.append(drafts)
        for asked, done in zip(drafts, results, strict=True):
            if not done.is_new and asked.expected_last not in (ANY, done.sequence):
                raise ConflictError(f"{asked.stream} {asked.key}: written by another one meanwhile")
        return results

    def transact(self, make: Callable[[], Sequence[Draft]]) -> list[Appended]:
        """Look, decide, write: ``make`` is called again whenever somebody else was faster.

        ``make`` reads what it needs and returns the drafts (none: nothing is written); whatever it raises
        ends the transaction. Raises UnavailableError.
        """
        for _ in range(ATTEMPTS):
            try:
                return self.put_many(make())
            except ConflictError:
                continue
        raise UnavailableError("too many writers of one registry fact at once")

    def _catch_up(self) -> None:
        while True:
            page = self._journal.read(REGISTRY, self._after)
            if page.trimmed:
                raise TrimmedError(f"{REGISTRY}: entries from {self._after + 1} on were trimmed")
            if not page.entries:
                return
            self._take(map(_fact, page.entries))
            self._after = page.entries[-1].sequence
            if self._after >= page.head:
                return

    def _take(self, facts: Iterable[Fact]) -> None:
        new = len(self._keys)
        for fact in facts:
            if fact.key not in self._facts:
                self._keys.append(fact.key)
            self._facts[fact.key] = fact
        if len(self._keys) > new:
            self._keys.sort()  # nearly sorted already


def _fact(entry: Entry) -> Fact:
    return Fact(entry.key, entry.sequence, entry.time_ms, entry.body)
