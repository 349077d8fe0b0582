"""SqliteJournal and MemoryJournal answer the same to any sequence of calls."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from journal.entry import (
    ANY,
    DURABLE_STREAMS,
    LEDGER,
    ORDERS,
    POSITIONS,
    Draft,
    Entry,
    JournalError,
)
from journal.memory import MemoryJournal
from journal.sqlite import Origin, SqliteJournal
from journal.store import Store
from journal.verify import verify
from runtime.clock import FakeClock
from tests.journal.support import entries_of

NEWEST = 10**13  # a time no clock here reaches
streams = st.sampled_from([POSITIONS, POSITIONS, ORDERS, LEDGER])
drafts = st.builds(
    Draft,
    streams,
    st.sampled_from(["a", "b", "\u00fc"]),
    st.sampled_from([b"1", b"2", b'{"x":"%s"}' % (b"y" * 3000)]),
    st.sampled_from([None, None, b"i", b"j"]),
    st.sampled_from([ANY, ANY, ANY, 0, 1, 2, 5]),
)
known_heads = st.dictionaries(st.sampled_from(DURABLE_STREAMS), st.integers(0, 50), max_size=2)


class Stores(RuleBasedStateMachine):
    """Two stores with clocks that run alike."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = Path(tempfile.mkdtemp())
        self._clocks = (FakeClock(), FakeClock())
        self._stores: tuple[Store, Store] = (MemoryJournal(clock=self._clocks[0]), self._open())

    def _open(self) -> SqliteJournal:
        return SqliteJournal(self._directory / "journal.sqlite3", clock=self._clocks[1], synchronous="NORMAL")

    def _both(self, ask: Callable[[Store], object]) -> None:
        """Both stores give the same answer, or fail with the same class of error."""
        answers = []
        for store in self._stores:
            try:
                answers.append(ask(store))
            except (JournalError, ValueError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1]

    @initialize(replica=st.booleans(), base=known_heads)
    def maybe_replica(self, replica: bool, base: dict[str, int]) -> None:
        if not replica:
            return
        source = self._stores[0]
        for store in self._stores:
            store.close()
        memory = MemoryJournal.open_at(base, source.epoch(), clock=self._clocks[0])
        path = self._directory / "replica" / "journal.sqlite3"
        origin = Origin(source.epoch(), base)
        disk = SqliteJournal(path, clock=self._clocks[1], synchronous="NORMAL", origin=origin)
        self._stores = (memory, disk)

    @rule(items=st.lists(drafts, max_size=6))
    def append(self, items: list[Draft]) -> None:
        self._both(lambda store: store.append(items))

    @rule(item=drafts, number=st.integers(1, 4), time_ms=st.integers(0, 10**13))
    def copy_next(self, item: Draft, number: int, time_ms: int) -> None:
        heads = self._stores[0].heads()
        entry = Entry(item.stream, heads[item.stream] + number, item.key, bytes(16), time_ms, item.body)
        self._both(lambda store: store.append_replicated([entry]))

    @rule(item=drafts)
    def copy_from_a_source(self, item: Draft) -> None:
        """Feed entries of a real chain: the next entry of a journal that had everything we have."""
        source = MemoryJournal.open_at(self._stores[0].heads(), self._stores[0].epoch())
        source.promote()
        source.append([Draft(item.stream, f"new|{item.key}", item.body)])
        (entry,) = entries_of(source, item.stream, self._stores[0].head(item.stream))
        renumbered = Entry(
            entry.stream, self._stores[0].head(item.stream) + 1, entry.key, entry.event_id, NEWEST, entry.body
        )
        self._both(lambda store: store.append_replicated([renumbered]))

    @rule(stream=st.sampled_from(DURABLE_STREAMS), part=st.floats(0, 1), limit=st.integers(0, 501))
    def trim(self, stream: str, part: float, limit: int) -> None:
        through = int(self._stores[0].head(stream) * part)
        self._both(lambda store: store.trim(stream, through, limit))

    @rule(known=known_heads, promote=st.booleans())
    def begin_epoch(self, known: dict[str, int], promote: bool) -> None:
        self._both(lambda s: (s.promote(known) if promote else s.new_epoch("new-epoch", known)).first)

    @rule(seconds=st.floats(-5, 5))
    def pass_time(self, seconds: float) -> None:
        for clock in self._clocks:
            clock.advance(seconds)

    @rule()
    def reopen(self) -> None:
        old = self._stores[1]
        assert isinstance(old, SqliteJournal)
        old.close()
        self._stores = (self._stores[0], SqliteJournal(old.path, clock=self._clocks[1], synchronous="NORMAL"))

    @rule(stream=streams, after=st.integers(0, 12), limit=st.integers(1, 5), jump=st.booleans())
    def read(self, stream: str, after: int, limit: int, jump: bool) -> None:
        start = max(0, self._stores[0].head(stream) - after) if jump else after
        ids = [[epoch.id for epoch in store.epochs()] for store in self._stores]

        def page(store: Store) -> object:
            found = store.read(stream, start, limit, 4000)
            numbering = ids[self._stores.index(store)]
            return found.entries, found.oldest, found.head, found.trimmed, numbering.index(found.epoch)

        self._both(page)

    @rule(stream=streams, offset_ms=st.integers(-20_000, 20_000))
    def ask_for_a_moment(self, stream: str, offset_ms: int) -> None:
        moment = self._clocks[0].now_ms() + offset_ms
        self._both(lambda store: store.sequence_at(stream, moment))

    @invariant()
    def heads_are_the_same(self) -> None:
        self._both(lambda store: (store.heads(), store.is_replica))
        self._both(lambda store: [epoch.first for epoch in store.epochs()])

    def teardown(self) -> None:
        store = self._stores[1]
        store.close()
        assert isinstance(store, SqliteJournal)
        assert verify(store.path).findings == []
        shutil.rmtree(self._directory)


TestEquivalence = Stores.TestCase
TestEquivalence.settings = settings(max_examples=80, stateful_step_count=30)
