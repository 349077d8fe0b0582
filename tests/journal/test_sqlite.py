"""SqliteJournal passes the store contract, and keeps its promises about files, processes and failures."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import pytest

from journal.entry import POSITIONS, CorruptError, Draft, Epoch, JournalError, UnavailableError
from journal.plan import BODY_BYTES
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from journal.store import KeyHead, Store
from journal.verify import verify
from runtime.clock import FakeClock
from tests.journal.contract import StoreContract
from tests.journal.support import close, entries_of, fill, position


class SqliteOpener:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.opened: list[SqliteJournal] = []

    def _path(self) -> Path:
        return self._directory / f"{len(self.opened)}" / "journal.sqlite3"

    def empty(self, clock: FakeClock) -> Store:
        self.opened.append(SqliteJournal(self._path(), clock=clock))
        return self.opened[-1]

    def replica(
        self, clock: FakeClock, base: Mapping[str, int], epoch: Epoch, keys: Sequence[KeyHead] = ()
    ) -> Store:
        self.opened.append(SqliteJournal.open_at(self._path(), base, epoch, keys=keys, clock=clock))
        return self.opened[-1]


class TestSqliteJournal(StoreContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Iterator[SqliteOpener]:
        opener = SqliteOpener(tmp_path)
        yield opener
        for journal in opener.opened:
            journal.close()


def test_a_reader_alone_sees_everything_after_a_crash(tmp_path: Path) -> None:
    """The log is there, its index is not, and no writer is: as after a crash of everything."""
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    fill(journal, 50)
    copy = tmp_path / "copy" / "journal.sqlite3"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{journal.path}{suffix}", f"{copy}{suffix}")
    journal.close()

    reader = SqliteReader(copy)
    assert len(entries_of(reader)) == 50
    reader.close()


def test_a_file_that_is_just_being_made_is_not_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with pytest.raises(UnavailableError, match="start a writer"):
        SqliteReader(path)
    path.touch()
    with pytest.raises(UnavailableError, match="being made"):
        SqliteReader(path)


def test_a_foreign_or_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE precious(x)")
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="not a journal"):
        SqliteJournal(path)
    assert path.read_bytes() == before
    connection.close()

    newer = SqliteJournal(tmp_path / "newer.sqlite3")
    newer._disk.connection.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(UnavailableError, match="newer version"):
        SqliteJournal(newer.path)


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnavailableError, match="cannot make"):
        SqliteJournal(tmp_path / "file" / "journal.sqlite3")


def test_a_replica_never_takes_the_place_of_a_journal(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    with pytest.raises(JournalError, match="already"):
        SqliteJournal.open_at(journal.path, {}, journal.epoch())
    journal.close()


def test_a_writer_that_cannot_get_the_lock_gives_up_and_can_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journal.schema.BUSY_S", 0.05)
    journal, other = (SqliteJournal(tmp_path / "journal.sqlite3") for _ in range(2))
    with other._disk.transaction(), pytest.raises(UnavailableError, match="locked"):
        fill(journal, 1)
    fill(journal, 1)

    assert journal.head(POSITIONS) == 1
    journal.close()
    other.close()


def test_many_processes_may_make_the_journal_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.sqlite3"
    script = "import sys; from pathlib import Path; from journal.sqlite import SqliteJournal\n"
    script += "j = SqliteJournal(Path(sys.argv[1])); print(j.epoch().id); j.close()"
    command = [sys.executable, "-c", script, str(path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    printed = {process.communicate(timeout=60)[0] for process in processes}
    assert len(printed) == 1
    assert all(process.returncode == 0 for process in processes)


def test_an_open_cursor_does_not_keep_the_log_from_being_recycled(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    fill(journal, 10)
    pages = journal.follow(POSITIONS, 0, stop=lambda: False)
    next(pages)
    body = b"x" * 2000
    for n in range(60):
        journal.append([position(f"k{m}", body + b"%d" % n) for m in range(100)])

    assert Path(f"{journal.path}-wal").stat().st_size < 30_000_000
    close(pages)
    journal.close()


def test_readers_in_other_threads_have_connections_of_their_own(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    fill(journal, 300)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(len(entries_of(journal)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    fill(journal, 1)
    for thread in threads:
        thread.join()

    assert len(counts) == 8
    assert all(count in (300, 301) for count in counts)
    journal.close()


@pytest.mark.parametrize(
    ("draft", "why"),
    [
        (Draft(POSITIONS, "a\ud800", b"{}"), "surrogates"),
        (Draft(POSITIONS, "large", bytes(BODY_BYTES + 1)), "larger than"),
    ],
)
def test_drafts_that_cannot_be_stored_are_refused_before_anything_is_written(
    tmp_path: Path, draft: Draft, why: str
) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    with pytest.raises(ValueError, match=why):
        journal.append([position("fine"), draft])

    assert journal.head(POSITIONS) == 0
    journal.close()


def test_a_key_may_hold_any_text(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    keys = ["", "\0", "a\0b", "' OR 1=1 --", "\U0001f600", "x" * 10_000]
    journal.append([position(key) for key in keys])

    assert [entry.key for entry in entries_of(journal)] == keys
    assert not any(result.is_new for result in journal.append([position(key) for key in keys]))
    journal.close()
    assert verify(journal.path).is_clean
