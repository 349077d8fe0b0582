"""Nonces: once, in time, across restarts, threads and processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from runtime.clock import FakeClock
from validator.nonces import AHEAD, AHEAD_MS, EXPIRED, KEPT, TTL_MS, USED, NonceError, Nonces, TooManyError
from validator.nonces import remembered as count_of
from validator.registry import Registry

COLD, HOT = "coldkey", "hotkey"


class Bench:
    """Nonces on a journal and a clock."""

    def __init__(self) -> None:
        self.clock, self.journal = FakeClock(), MemoryJournal()
        self.restart()

    def restart(self) -> None:
        """Forget everything but the journal."""
        self.registry = Registry(self.journal)
        self.nonces = Nonces(self.registry, self.clock)

    def use(self, nonce: str, age_ms: int = 0, hotkey: str = HOT) -> None:
        self.nonces.use(COLD, hotkey, nonce, self.clock.now_ms() - age_ms)

    def refused(self, nonce: str, age_ms: int = 0) -> str:
        with pytest.raises(NonceError) as refusal:
            self.use(nonce, age_ms)
        return str(refusal.value)

    @property
    def kept(self) -> int:
        (fact,) = self.registry.with_prefix("nonce|")
        return count_of(fact)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_nonce_works_once_per_pair(bench: Bench) -> None:
    bench.use("a")
    bench.use("b")
    bench.use("a", hotkey="another")

    assert bench.refused("a") == USED
    assert bench.refused("a", age_ms=5) == USED


def test_a_request_may_be_five_minutes_old_and_one_minute_ahead(bench: Bench) -> None:
    bench.use("old", age_ms=TTL_MS)
    bench.use("ahead", age_ms=-AHEAD_MS)

    assert bench.refused("too old", age_ms=TTL_MS + 1) == EXPIRED == "Request expired. Max age: 300000ms"
    assert bench.refused("too far", age_ms=-AHEAD_MS - 1) == AHEAD == "Request timestamp too far in future"


def test_a_restart_forgets_nothing(bench: Bench) -> None:
    bench.use("a")
    bench.restart()

    assert bench.refused("a") == USED


def test_a_request_from_the_future_stays_used_until_it_is_too_old(bench: Bench) -> None:
    stamp = bench.clock.now_ms() + AHEAD_MS
    bench.nonces.use(COLD, HOT, "a", stamp)
    bench.clock.advance((TTL_MS + AHEAD_MS) / 1000)
    bench.use("b")
    with pytest.raises(NonceError, match=USED):
        bench.nonces.use(COLD, HOT, "a", stamp)
    bench.clock.advance(0.001)
    with pytest.raises(NonceError, match="expired"):
        bench.nonces.use(COLD, HOT, "a", stamp)


def test_what_is_too_old_is_forgotten(bench: Bench) -> None:
    for number in range(5):
        bench.use(str(number))
    assert bench.kept == 5
    bench.clock.advance(TTL_MS / 1000 + 1)
    bench.use("next")

    assert bench.kept == 1


def test_a_clock_that_was_put_back_opens_nothing_again(bench: Bench) -> None:
    stamp = bench.clock.now_ms()
    bench.use("a")
    bench.clock.advance(2 * TTL_MS / 1000)
    bench.use("b")  # "a" is forgotten here
    bench.clock.advance(-2 * TTL_MS / 1000)
    bench.restart()
    with pytest.raises(NonceError, match="expired"):
        bench.nonces.use(COLD, HOT, "a", stamp)


def test_only_so_many_are_remembered_at_once(bench: Bench) -> None:
    for number in range(KEPT):
        bench.use(str(number))
    with pytest.raises(TooManyError):
        bench.use("one more")
    assert bench.refused("0") == USED
    bench.use("one more", hotkey="another")


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-2 * AHEAD_MS, 2 * TTL_MS), st.integers(-400, 400)),
        max_size=30,
    )
)
def test_no_request_is_ever_accepted_twice(steps: list[tuple[str, int, int]]) -> None:
    """Whatever the order, whatever the clock does, restarts in between: once accepted, never again."""
    bench, accepted = Bench(), set[tuple[str, int]]()
    for nonce, age_ms, wait_s in steps:
        stamp = bench.clock.now_ms() - age_ms
        for request in [*accepted, (nonce, stamp)]:
            try:
                bench.nonces.use(COLD, HOT, *request)
            except NonceError:
                continue
            assert request not in accepted
            accepted.add(request)
        bench.clock.advance(wait_s)
        bench.restart()


def test_of_many_threads_with_one_nonce_exactly_one_wins(bench: Bench) -> None:
    wins: list[int] = []
    barrier = threading.Barrier(8)

    def attempt(number: int) -> None:
        barrier.wait()
        try:
            bench.use("same")
        except NonceError:
            return
        wins.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(wins) == 1


def use_all(path: str, count: int) -> None:
    """Use the nonces 0, 1, ... and print those that got through."""
    nonces = Nonces(Registry(SqliteJournal(Path(path))), FakeClock())
    stamp = FakeClock().now_ms()
    for number in range(count):
        try:
            nonces.use(COLD, HOT, str(number), stamp)
        except NonceError:
            continue
        print(number, flush=True)


def test_of_two_processes_with_the_same_nonces_each_is_used_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    SqliteJournal(path).close()
    code = "import sys; from tests.validator.test_nonces import use_all; use_all(sys.argv[1], 40)"
    command = [sys.executable, "-c", code, str(path)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    numbers = sorted(int(word) for other in others for word in other.communicate(timeout=60)[0].split())

    assert [other.returncode for other in others] == [0, 0]
    assert numbers == list(range(40))
