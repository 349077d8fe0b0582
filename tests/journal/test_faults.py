"""A full disk refuses and recovers; a failed fsync ends the process; a cut at any call loses nothing."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from journal.entry import POSITIONS, UnavailableError
from journal.sqlite import SqliteJournal
from journal.verify import verify
from tests.journal.faults import FaultyDisk, broken_sync, out_of_space
from tests.journal.support import entries_of, fill, numbers, position

_names = itertools.count()


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    disk = FaultyDisk(f"faulty{next(_names)}")
    yield disk
    disk.unregister()


@pytest.fixture
def fatal() -> list[str]:
    return []


@pytest.fixture
def journal(tmp_path: Path, disk: FaultyDisk, fatal: list[str]) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal.sqlite3", vfs=disk.name, on_fatal=fatal.append)
    yield journal
    disk.before_call = lambda kind, number: None
    journal.close()


def run_script(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_full_disk_refuses_readers_go_on_and_appending_resumes(
    journal: SqliteJournal, disk: FaultyDisk, fatal: list[str]
) -> None:
    fill(journal, 5)
    disk.before_call = out_of_space

    for _ in range(3):
        with pytest.raises(UnavailableError, match="no room"):
            fill(journal, 3)
        assert numbers(entries_of(journal)) == [1, 2, 3, 4, 5]
    disk.before_call = lambda kind, number: None
    fill(journal, 3)
    assert numbers(entries_of(journal)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert fatal == []
    assert verify(journal.path).is_clean


def test_a_disk_that_fills_up_at_any_write_leaves_no_hole(
    journal: SqliteJournal, disk: FaultyDisk, fatal: list[str]
) -> None:
    refused = 0
    for allowed in range(40):
        start = disk.calls

        def full_after(kind: str, number: int, last: int = start + allowed) -> None:
            if number > last:
                out_of_space(kind, number)

        disk.before_call = full_after
        before = numbers(entries_of(journal))
        try:
            fill(journal, 3)
            added = 3
        except UnavailableError:
            added, refused = 0, refused + 1
        assert numbers(entries_of(journal)) == list(range(1, len(before) + added + 1))
    disk.before_call = lambda kind, number: None
    assert 5 < refused < 40
    assert fatal == []
    assert verify(journal.path).is_clean


def test_a_file_at_its_page_limit_refuses_and_recovers(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    connection = journal._disk.connection
    ((pages,),) = connection.execute("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    def append_for_ever() -> None:
        for n in itertools.count():
            journal.append([position(f"k{n}", b"x" * 2000)])

    with pytest.raises(UnavailableError, match="no room"):
        append_for_ever()
    kept = numbers(entries_of(journal))
    assert kept == list(range(1, len(kept) + 1))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert journal.append([position("more", b"x")])[0].sequence == len(kept) + 1
    journal.close()
    assert verify(journal.path).entries[POSITIONS] == len(kept) + 1


def test_a_limited_file_size_refuses_and_recovers(tmp_path: Path) -> None:
    """A process that may not let files grow (EFBIG, as a quota's EDQUOT) is refused, not ended."""
    script = """
import resource, sys
from pathlib import Path
from journal.entry import Draft, UnavailableError
from journal.sqlite import SqliteJournal
journal = SqliteJournal(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
count = 0
try:
    while True:
        journal.append([Draft("positions", f"k{count}", b'"%s"' % (b"x" * 1000))])
        count += 1
except UnavailableError as error:
    assert "no room" in str(error), error
assert journal.head("positions") == count > 0
assert len(journal.read("positions", 0).entries) > 0
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
(result,) = journal.append([Draft("positions", "after", b"{}")])
assert result.sequence == count + 1
journal.close()
"""
    path = tmp_path / "journal.sqlite3"
    ended = run_script(script, path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert verify(path).is_clean


def test_a_failed_fsync_is_fatal_and_never_tried_again(
    journal: SqliteJournal, disk: FaultyDisk, fatal: list[str]
) -> None:
    fill(journal, 2)
    disk.before_call = broken_sync

    with pytest.raises(UnavailableError):
        fill(journal, 1)
    disk.before_call = lambda kind, number: None
    with pytest.raises(UnavailableError, match="start the process again"):
        fill(journal, 1)
    assert len(fatal) == 1
    assert "start again" in fatal[0]


def test_a_failed_fsync_while_writing_back_is_fatal(
    journal: SqliteJournal, disk: FaultyDisk, fatal: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journal.disk.WAL_PAGES", 5)
    syncs = 0

    def fail_second(kind: str, number: int) -> None:
        nonlocal syncs
        syncs += kind == "sync"
        if syncs >= 2:
            broken_sync(kind, number)

    disk.before_call = fail_second
    fill(journal, 1)
    assert len(fatal) == 1


def test_other_failures_of_a_write_are_fatal(
    journal: SqliteJournal, disk: FaultyDisk, fatal: list[str]
) -> None:
    def broken(kind: str, _number: int) -> None:
        if kind == "write":
            raise apsw.exception_for(apsw.SQLITE_IOERR_WRITE)

    disk.before_call = broken
    with pytest.raises(UnavailableError):
        fill(journal, 1)
    assert len(fatal) == 1


def test_a_failed_fsync_ends_a_real_process_with_one_line(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from journal.sqlite import SqliteJournal
from tests.journal.faults import FaultyDisk, broken_sync
from tests.journal.support import fill
disk = FaultyDisk("faulty")
journal = SqliteJournal(Path(sys.argv[1]), vfs="faulty")
fill(journal, 3)
print("appended", flush=True)
disk.before_call = broken_sync
fill(journal, 1)
print("never", flush=True)
"""
    path = tmp_path / "journal.sqlite3"
    ended = run_script(script, path)
    assert (ended.returncode, ended.stdout) == (1, "appended\n")
    assert len(ended.stderr.splitlines()) == 1
    assert "failed" in ended.stderr
    again = SqliteJournal(path)
    assert numbers(entries_of(again))[:3] == [1, 2, 3]
    again.close()
    assert verify(path).is_clean


def test_a_power_cut_takes_back_what_was_not_synced(tmp_path: Path, disk: FaultyDisk) -> None:
    """Shows that the tests below can fail: without an fsync per append, acknowledged entries are lost."""
    path = tmp_path / "lost" / "journal.sqlite3"
    journal = SqliteJournal(path, vfs=disk.name, synchronous="NORMAL")
    disk.remember = True
    fill(journal, 300)
    disk.cut_power(random.Random(7))
    copy = Path(shutil.copytree(path.parent, tmp_path / "copy")) / path.name
    journal.close()

    again = SqliteJournal(copy)
    assert again.head(POSITIONS) < 300
    assert numbers(entries_of(again)) == list(range(1, again.head(POSITIONS) + 1))
    again.close()
    assert verify(copy).is_clean


@pytest.mark.parametrize("how", ["crash", "power"])
def test_a_cut_at_any_call_loses_nothing_that_was_acknowledged(tmp_path: Path, how: str) -> None:
    """Ends the process at every nth write or sync, without and with the unsynced writes."""
    _cut(tmp_path, how, points=os.environ.get("VANTA_SOAK_CUTS", "40"))


@pytest.mark.soak
@pytest.mark.parametrize("how", ["crash", "power"])
def test_a_cut_at_every_call_loses_nothing_that_was_acknowledged(tmp_path: Path, how: str) -> None:
    """The same at every single write and sync of the script."""
    _cut(tmp_path, how, points="all")


def _cut(directory: Path, how: str, points: str) -> None:
    command = [sys.executable, "-m", "tests.journal.cut", str(directory), how, points, "7"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    sys.stdout.write(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
