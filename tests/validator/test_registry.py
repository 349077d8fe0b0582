"""The registry of facts: reads, compare-and-set, several writers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.entry import ANY, POSITIONS, REGISTRY, ConflictError, Draft, Journal, UnavailableError
from journal.fold import TrimmedError, catch_up
from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from journal.state import State
from validator.registry import ABSENT, Registry, draft, sequence_of


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """Both stores."""
    store = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.sqlite3")
    yield store
    store.close()


def test_a_write_is_read_back_at_once_with_its_number_and_time(journal: Journal) -> None:
    registry = Registry(journal)
    assert registry.get("asset|a") is None
    sequence = registry.put("asset|a", b"1", expected=ABSENT)
    fact = registry.get("asset|a")

    assert fact is not None
    assert (fact.key, fact.sequence, fact.body, fact.time_ms > 0) == ("asset|a", sequence, b"1", True)
    assert registry.sequence == sequence


def test_what_another_registry_wrote_is_seen_by_the_next_read(journal: Journal) -> None:
    one, other = Registry(journal), Registry(journal)
    assert one.get("a|1") is None
    sequence = other.put("a|1", b"x", expected=ABSENT)
    assert (fact := one.get("a|1")) is not None
    assert one.put("a|1", b"y", expected=fact.sequence) == sequence + 1
    assert [fact.body for fact in other.with_prefix("a|")] == [b"y"]


def test_only_the_fact_that_was_read_can_be_replaced(journal: Journal) -> None:
    registry = Registry(journal)
    first = registry.put("a|1", b"1", expected=ABSENT)
    second = registry.put("a|1", b"2", expected=first)
    for stale in (ABSENT, first):
        with pytest.raises(ConflictError):
            registry.put("a|1", b"3", expected=stale)
    assert registry.put("a|1", b"3", expected=ANY) == second + 1


def test_of_two_writers_of_the_same_bytes_only_one_succeeds(journal: Journal) -> None:
    one, other = Registry(journal), Registry(journal)
    first = one.put("a|1", b"same", expected=ABSENT)
    with pytest.raises(ConflictError):
        other.put("a|1", b"same", expected=ABSENT)
    assert one.put("a|1", b"same", expected=first) > first


def test_a_prefix_finds_its_own_keys_in_order(journal: Journal) -> None:
    registry = Registry(journal)
    for key in ("b|2", "a|1", "b|10", "b", "c|1", "b|1"):
        registry.put(key, key.encode(), expected=ABSENT)

    assert [fact.key for fact in registry.with_prefix("b|")] == ["b|1", "b|10", "b|2"]
    assert [fact.key for fact in registry.with_prefix("b|1")] == ["b|1", "b|10"]
    assert len(registry.with_prefix("")) == 6
    assert registry.with_prefix("d") == []


def test_many_facts_are_written_all_or_none(journal: Journal) -> None:
    registry = Registry(journal)
    registry.put("a|1", b"1", expected=ABSENT)
    with pytest.raises(ConflictError):
        registry.put_many([draft("a|2", b"2", expected=ABSENT), draft("a|1", b"1", expected=ABSENT)])
    assert registry.get("a|2") is None
    written = registry.put_many([draft("a|2", b"2", expected=ABSENT), Draft(POSITIONS, "p|1", b"{}")])
    assert [(one.stream, one.is_new) for one in written] == [(REGISTRY, True), (POSITIONS, True)]


def test_a_transaction_that_writes_nothing_or_fails_leaves_no_trace(journal: Journal) -> None:
    registry = Registry(journal)
    assert registry.transact(list) == []

    def refuse() -> list[Draft]:
        raise LookupError("not for you")

    with pytest.raises(LookupError):
        registry.transact(refuse)
    assert registry.sequence == 0


def test_a_transaction_that_is_always_overtaken_gives_up(journal: Journal) -> None:
    registry = Registry(journal)
    registry.put("a|1", b"1", expected=ABSENT)
    with pytest.raises(UnavailableError):
        registry.transact(lambda: [draft("a|1", b"2", expected=ABSENT)])


def test_a_replica_takes_no_facts(tmp_path: Path) -> None:
    source = MemoryJournal()
    replica = MemoryJournal.open_at(source.heads(), source.epoch())
    with pytest.raises(UnavailableError):
        Registry(replica).put("a|1", b"1", expected=ABSENT)


def test_a_journal_made_from_a_checkpoint_needs_its_state() -> None:
    source, state = MemoryJournal(), State()
    Registry(source).put("a|1", b"old", expected=ABSENT)
    catch_up(state, source)
    copy = MemoryJournal.open_at(source.heads(), source.epoch(), keys=state.key_heads())
    copy.promote()
    with pytest.raises(TrimmedError):
        Registry(copy).get("a|1")
    registry = Registry(copy, state)
    fact = registry.get("a|1")

    assert fact is not None
    assert fact.body == b"old"
    registry.put("a|1", b"new", expected=fact.sequence)
    assert [fact.body for fact in registry.with_prefix("a|")] == [b"new"]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcd"), st.binary(max_size=3)), max_size=40))
def test_every_registry_is_the_last_write_of_each_key(writes: list[tuple[int, str, bytes]]) -> None:
    journal, last = MemoryJournal(), dict[str, bytes]()
    registries = [Registry(journal) for _ in range(3)]
    for who, key, body in writes:
        fact = registries[who].get(key)
        registries[who].put(key, body, expected=sequence_of(fact))
        last[key] = body
    for registry in registries:
        assert {fact.key: fact.body for fact in registry.with_prefix("")} == last


def count_up(registry: Registry, times: int) -> None:
    """Add one to a number that others count up too."""

    def one_more() -> list[Draft]:
        fact = registry.get("count|x")
        number = int(fact.body) if fact else 0
        return [draft("count|x", str(number + 1).encode(), expected=sequence_of(fact))]

    for _ in range(times):
        registry.transact(one_more)


def in_threads(work: Callable[[], None], count: int) -> None:
    """Run the work in several threads at once."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)


def test_threads_and_processes_lose_no_count(tmp_path: Path) -> None:
    """Two processes and four threads add one at a time; the sum is whole."""
    path = tmp_path / "journal.sqlite3"
    journal = SqliteJournal(path)
    code = (
        "import sys; from pathlib import Path; from journal.sqlite import SqliteJournal;"
        "from validator.registry import Registry; from tests.validator.test_registry import count_up;"
        "count_up(Registry(SqliteJournal(Path(sys.argv[1]))), 25)"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    registry = Registry(journal)
    in_threads(lambda: count_up(registry, 10), 4)

    assert [other.wait(60) for other in others] == [0, 0]
    fact = registry.get("count|x")
    assert fact is not None
    assert fact.body == b"90"
    journal.close()
