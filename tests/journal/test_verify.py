"""verify finds what is wrong with a journal's file and says where; nothing altered passes as whole."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import apsw
import pytest

from journal.entry import (
    ACTIONS,
    DURABLE_STREAMS,
    ORDERS,
    POSITIONS,
    REGISTRY,
    CorruptError,
    Draft,
    Entry,
    JournalError,
)
from journal.fold import entries_after
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from journal.verify import verify
from tests.journal.bodies import position_body
from tests.journal.support import entries_of, fill

SEED = 20_240_607
AT_50 = "WHERE stream = 1 AND sequence = 50"
LARGE_3 = "WHERE stream = 2 AND sequence = 3"


def build(path: Path) -> None:
    """A journal with epochs, trimmed entries, large bodies and several streams; closed, so one file."""
    journal = SqliteJournal(path)
    fill(journal, 60)
    journal.append([Draft(POSITIONS, f"p{n}", position_body(orders=1 + n % 3)) for n in range(60)])
    source = random.Random(SEED)
    large = [b'{"text":"%s"}' % source.randbytes(1500).hex().encode() for _ in range(8)]
    journal.append([Draft(ORDERS, f"large{n}", body) for n, body in enumerate(large)])
    journal.trim(POSITIONS, 40)
    journal.new_epoch("new-epoch")
    fill(journal, 10)
    journal.append([Draft(POSITIONS, f"p{n}", position_body(orders=2 + n % 3)) for n in range(50)])
    fill(journal, 5, REGISTRY)
    journal.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "journal.sqlite3"
    build(path)
    return path


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "journal.sqlite3"))


def alter(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def contents(path: Path) -> object:
    """Everything the journal's tables say."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [
            sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))
            for table in ("entry", "stream", "key", "last", "epoch")
        ]
    finally:
        connection.close()


def read_all(path: Path) -> list[Entry]:
    """Every entry as a reader gets it."""
    reader = SqliteReader(path)
    try:
        oldest = {stream: reader.read(stream, 0).oldest for stream in DURABLE_STREAMS}
        return [each for stream in oldest for each in entries_after(reader, stream, oldest[stream] - 1)]
    finally:
        reader.close()


def test_a_whole_journal_is_clean(whole: Path) -> None:
    report = verify(whole)

    assert report.findings == []
    assert report.entries == {**dict.fromkeys(DURABLE_STREAMS, 0), POSITIONS: 140, ORDERS: 8, REGISTRY: 5}
    assert report.epochs == 2


def test_a_journal_that_is_being_written_is_clean(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    fill(journal, 10)
    assert verify(journal.path).is_clean
    journal.new_epoch("new-epoch")
    assert verify(journal.path).is_clean
    journal.trim(POSITIONS, 10)
    assert verify(journal.path).is_clean
    fill(journal, 10, ACTIONS)
    assert verify(journal.path).is_clean
    journal.close()


def test_a_replica_is_clean_before_and_after_its_promotion(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    fill(journal, 30)
    replica = SqliteJournal.open_at(tmp_path / "r" / "journal.sqlite3", {POSITIONS: 12}, journal.epoch())
    replica.append_replicated(entries_of(journal, after=12))
    assert verify(replica.path).findings == []
    replica.promote()
    fill(replica, 20)
    assert verify(replica.path).findings == []
    journal.close()
    replica.close()


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        (f"UPDATE entry SET body = x'7b7d' {AT_50}", "positions 50", "checksum"),
        (f"UPDATE entry SET body = '{{}}' {AT_50}", "positions 50", "altered"),
        (f"UPDATE entry SET key = 'other' {AT_50}", "positions 50", "event id"),
        (f"UPDATE entry SET time_ms = time_ms + 1 {AT_50}", "positions 50", "checksum"),
        (f"UPDATE entry SET deflated = 9 {AT_50}", "positions 50", "inflate"),
        (f"UPDATE entry SET deflated = deflated + 1 {LARGE_3}", "orders 3", "inflates"),
        (f"UPDATE entry SET deflated = 0 {LARGE_3}", "orders 3", "not JSON"),
        (f"UPDATE entry SET previous = NULL {AT_50}", "positions 50", "missing"),
        (f"UPDATE entry SET previous = zeroblob(16) {AT_50}", "positions 50", "chain"),
        (f"UPDATE entry SET sequence = 'x' {AT_50}", "positions", "altered"),
        (f"DELETE FROM entry {AT_50}", "positions 51", "does not follow 49"),
        ("DELETE FROM entry WHERE stream = 3 AND sequence = 1000004", "registry 1000004", "missing"),
        ("DELETE FROM entry WHERE stream = 1 AND sequence = 41", "positions 42", "does not follow 40"),
        ("UPDATE stream SET head = head + 1 WHERE id = 1", "file", "head row of stream 1"),
        ("UPDATE stream SET floor = 0 WHERE id = 1", "file", "head row of stream 1"),
        ("DELETE FROM stream WHERE id = 5", "file", "not the known ones"),
        ("UPDATE last SET sequence = sequence - 1 WHERE key = 1", "positions", "altered"),
        ("UPDATE last SET identity = zeroblob(16) WHERE key = 1", "positions", "altered"),
        ("DELETE FROM last WHERE key = 1", "file", "last entry of key 1"),
        ("DELETE FROM key WHERE id = 1", "positions", "not noted"),
        ("UPDATE epoch SET created_ms = 1 WHERE number = 1", "file", "epoch 1"),
        ("UPDATE epoch SET reason = 'copy' WHERE number = 2", "file", "epoch 2"),
        ("DELETE FROM epoch WHERE number = 2", "file", "newest epoch is open"),
        ("CREATE TABLE more(x)", "file", "tables are not those"),
        ("DROP INDEX entry_number", "file", "tables are not those"),
    ],
)
def test_each_kind_of_damage_is_named(damaged: Path, statement: str, where: str, what: str) -> None:
    alter(damaged, statement)

    findings = [str(finding) for finding in verify(damaged).findings]
    assert any(text.startswith(where) and what in text for text in findings), findings


def test_a_body_that_is_no_json_is_named(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    journal.append([Draft(POSITIONS, "a", b"{}"), Draft(POSITIONS, "b", b"{nonsense")])
    journal.close()

    (finding,) = verify(journal.path).findings
    assert (finding.stream, finding.sequence) == (POSITIONS, 2)


def test_every_flipped_bit_is_noticed_or_changes_nothing(whole: Path, damaged: Path) -> None:
    """Flips one bit at hundreds of places of the file: verify finds it, or every row still reads the same."""
    content, before = whole.read_bytes(), contents(whole)
    count = int(os.environ.get("VANTA_SOAK_FLIPS", "300"))
    source = random.Random(SEED)
    found = 0
    for _ in range(count):
        offset, bit = source.randrange(len(content)), source.randrange(8)
        damaged.write_bytes(content[:offset] + bytes([content[offset] ^ 1 << bit]) + content[offset + 1 :])
        try:
            clean = verify(damaged).is_clean
        except JournalError:
            clean = False
        found += not clean
        assert not clean or contents(damaged) == before, f"seed {SEED}: bit {bit} of byte {offset}"
    assert found > count // 3


def test_reading_never_hands_out_a_flipped_body(whole: Path, damaged: Path) -> None:
    before = read_all(whole)
    content = whole.read_bytes()
    source = random.Random(SEED)
    for _ in range(200):
        offset, bit = source.randrange(len(content)), source.randrange(8)
        damaged.write_bytes(content[:offset] + bytes([content[offset] ^ 1 << bit]) + content[offset + 1 :])
        try:
            found = read_all(damaged)
        except JournalError:
            continue
        # keys are not part of the row's checksum: verify, not each read, checks them
        assert [(e.sequence, e.event_id, e.time_ms, e.body) for e in found] == [
            (e.sequence, e.event_id, e.time_ms, e.body) for e in before
        ], f"seed {SEED}: bit {bit} of byte {offset}"


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_noticed_by_verify_and_by_reading(damaged: Path, part: float) -> None:
    os.truncate(damaged, int(damaged.stat().st_size * part))

    assert not verify(damaged).is_clean
    with pytest.raises(CorruptError):
        read_all(damaged)


def test_a_torn_tail_of_the_log_is_recovered_to_the_last_whole_commit(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    for n in range(30):
        journal.append([Draft(POSITIONS, "a", b"%d" % n)])
    size = Path(f"{journal.path}-wal").stat().st_size
    for cut in (1, 5000, size // 2, size - 40):
        copy = tmp_path / f"cut{cut}" / "journal.sqlite3"
        copy.parent.mkdir()
        shutil.copy(journal.path, copy)
        shutil.copy(f"{journal.path}-wal", f"{copy}-wal")
        os.truncate(f"{copy}-wal", size - cut)

        again = SqliteJournal(copy)
        kept = entries_of(again)
        assert [e.body for e in kept] == [b"%d" % n for n in range(len(kept))]
        assert again.append([Draft(POSITIONS, "b", b"{}")])[0].sequence == len(kept) + 1
        again.close()
        assert verify(copy).is_clean
    journal.close()


def test_a_file_that_is_no_journal_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"hello" * 1000)
    assert not verify(path).is_clean
    other = tmp_path / "other.sqlite3"
    alter(other, "CREATE TABLE t(x)")
    assert [str(finding) for finding in verify(other).findings] == [f"file: {other} is not a journal"]
