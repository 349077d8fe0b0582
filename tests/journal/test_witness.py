"""The witness: an older copy of the journal put back is noticed, and no number is used again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from journal import witness
from journal.entry import POSITIONS
from journal.eras import GAP
from journal.sqlite import SqliteJournal
from tests.journal.support import entries_of, fill, numbers


def open_at(directory: Path) -> SqliteJournal:
    return SqliteJournal(directory / "j" / "journal.sqlite3", witness_file=directory / "elsewhere" / "w.json")


def test_a_clean_restart_keeps_the_epoch(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    fill(journal, 5)
    epoch = journal.epoch()
    journal.close()

    seen = witness.read(tmp_path / "elsewhere" / "w.json")
    assert seen is not None
    assert (seen.epoch, seen.heads[POSITIONS]) == (epoch.id, 5)
    journal = open_at(tmp_path)
    assert (journal.epoch(), journal.head(POSITIONS)) == (epoch, 5)
    journal.close()


def test_an_old_copy_put_back_begins_an_epoch_above_every_number_ever_given(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    fill(journal, 5)
    journal.close()
    shutil.copytree(tmp_path / "j", tmp_path / "copy")
    journal = open_at(tmp_path)
    fill(journal, 20)
    given = set(numbers(entries_of(journal)))
    old = journal.epoch()
    journal.close()

    shutil.rmtree(tmp_path / "j")
    shutil.copytree(tmp_path / "copy", tmp_path / "j")
    journal = open_at(tmp_path)
    assert journal.epoch().id != old.id
    assert journal.epoch().first[POSITIONS] == 25 + GAP
    fill(journal, 3)
    new = numbers(entries_of(journal, after=5))
    assert new == [25 + GAP, 26 + GAP, 27 + GAP]
    assert not given & set(new)
    journal.close()

    again = open_at(tmp_path)
    assert len(again.epochs()) == 2
    again.close()


def test_a_foreign_journal_in_its_place_begins_one_epoch_only(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    fill(journal, 5)
    journal.close()
    shutil.rmtree(tmp_path / "j")

    first, second = open_at(tmp_path), open_at(tmp_path)
    assert first.epoch() == second.epoch()
    assert [era.reason for era in first.eras()] == ["first", "old-disk"]
    assert first.head(POSITIONS) == 4 + GAP
    first.close()
    second.close()


def test_a_reader_sees_the_epoch_that_another_process_began(tmp_path: Path) -> None:
    journal, other = open_at(tmp_path), open_at(tmp_path)
    fill(journal, 2)

    epoch = other.new_epoch("new-epoch")
    assert journal.epoch() == epoch
    fill(journal, 1)
    assert other.read(POSITIONS, 2).epoch == epoch.id
    journal.close()
    other.close()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"epoch":1}'])
def test_a_damaged_witness_is_no_witness(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(content)

    assert witness.read(path) is None


def test_a_witness_never_forgets_heads_of_its_epoch(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    witness.write(path, "e", {POSITIONS: 9}, 1)
    witness.write(path, "e", {POSITIONS: 7}, 2)
    seen = witness.read(path)
    assert seen is not None
    assert seen.heads == {POSITIONS: 9}

    witness.write(path, "f", {POSITIONS: 7}, 3)
    seen = witness.read(path)
    assert seen is not None
    assert (seen.epoch, seen.heads) == ("f", {POSITIONS: 7})
