"""Group commit: threads share a transaction, and each gets its own answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from journal.entry import POSITIONS, Appended, ConflictError, Draft, JournalError, UnavailableError
from journal.group import GROUP_ROWS, GroupCommit, Request
from journal.plan import Prepared
from journal.sqlite import SqliteJournal
from journal.verify import verify
from tests.journal.support import entries_of, numbers, position


def request(rows: int = 1) -> Request:
    return Request([Prepared(POSITIONS, "k", b"", b"", b"", -1)] * rows, {})


class Stage:
    """A commit function that waits for a signal and notes who came together."""

    def __init__(self) -> None:
        self.groups: list[list[Request]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def commit(self, requests: list[Request]) -> None:
        self.groups.append(requests)
        self.entered.release()
        assert self.go.acquire(timeout=20)
        for member in requests:
            member.results = [Appended(POSITIONS, len(self.groups), True)]


def run_all(group: GroupCommit, requests: list[Request]) -> list[threading.Thread]:
    threads = [threading.Thread(target=group.run, args=(each,)) for each in requests]
    for thread in threads:
        thread.start()
    return threads


def wait_until(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(4000):
        if condition():
            return
        done.wait(0.005)
    raise AssertionError("the condition never came true")


def test_those_who_come_during_a_commit_share_the_next_one() -> None:
    stage = Stage()
    group = GroupCommit(stage.commit)
    first = run_all(group, [request()])
    assert stage.entered.acquire(timeout=20)
    others = run_all(group, [request() for _ in range(5)])
    wait_until(lambda: len(group._waiting) == 5)
    stage.go.release(2)

    for thread in first + others:
        thread.join(20)
    assert [len(members) for members in stage.groups] == [1, 5]
    assert all(member.results[0].sequence == 2 for member in stage.groups[1])


def test_a_group_holds_no_more_rows_than_a_transaction_should() -> None:
    stage = Stage()
    group = GroupCommit(stage.commit)
    first = run_all(group, [request()])
    assert stage.entered.acquire(timeout=20)
    others = run_all(group, [request(100) for _ in range(5)])
    wait_until(lambda: len(group._waiting) == 5)
    stage.go.release(10)

    for thread in first + others:
        thread.join(20)
    rows = [sum(len(member.prepared) for member in members) for members in stage.groups]
    assert rows == [1, 200, 200, 100]
    assert max(rows) <= GROUP_ROWS


def test_a_larger_request_goes_alone() -> None:
    stage = Stage()
    stage.go.release()
    group = GroupCommit(stage.commit)

    assert group.run(request(GROUP_ROWS * 3))[0].is_new


@pytest.mark.parametrize("error", [UnavailableError("full"), RuntimeError("surprise")])
def test_a_failed_commit_fails_everybody_in_it_and_the_next_one_goes_on(error: Exception) -> None:
    fail = threading.Event()
    entered, go = threading.Semaphore(0), threading.Semaphore(0)

    def commit(requests: list[Request]) -> None:
        entered.release()
        assert go.acquire(timeout=20)
        if fail.is_set():
            raise error
        for member in requests:
            member.results = [Appended(POSITIONS, 1, True)]

    group = GroupCommit(commit)
    caught: list[BaseException] = []

    def run(each: Request) -> None:
        try:
            group.run(each)
        except (JournalError, RuntimeError) as failure:
            caught.append(failure)

    fail.set()
    threads = [threading.Thread(target=run, args=(request(),))]
    threads[0].start()
    assert entered.acquire(timeout=20)
    threads += [threading.Thread(target=run, args=(request(),)) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: len(group._waiting) == 3)
    go.release(2)
    for thread in threads:
        thread.join(20)
    assert len(caught) == 4

    fail.clear()
    go.release()
    assert group.run(request()) == [Appended(POSITIONS, 1, True)]


def test_a_conflict_fails_its_own_append_and_no_other_of_the_group(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    journal.append([position("taken", b"0")])
    conflicts: list[int] = []

    def write(n: int) -> None:
        drafts = [position(f"k{n}", b"1"), Draft(POSITIONS, "taken", b"%d" % n, expected_last=1)]
        try:
            journal.append(drafts)
        except ConflictError:
            conflicts.append(n)
            journal.append(drafts[:1])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    found = entries_of(journal)
    journal.close()
    assert len(conflicts) == 15  # one was the first, as it demanded
    assert numbers(found) == list(range(1, 19))
    assert sorted(entry.key for entry in found) == sorted(
        ["taken", "taken", *(f"k{n}" for n in range(1, 17))]
    )
    assert verify(journal.path).is_clean
