"""Checkpoints: whole or passed over; State@N plus the entries after N is the present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import checkpoint
from journal.checkpoint import CheckpointError
from journal.entry import ORDERS, POSITIONS, REGISTRY, Draft
from journal.fold import TrimmedError, catch_up
from journal.memory import MemoryJournal
from journal.state import State
from journal.store import Store
from tests.journal.bodies import position_body
from tests.journal.support import fill, position


def state_of(journal: Store) -> State:
    state = State()
    catch_up(state, journal)
    return state


@pytest.fixture
def journal() -> MemoryJournal:
    journal = MemoryJournal()
    fill(journal, 20)
    fill(journal, 3, REGISTRY)
    return journal


def test_a_checkpoint_gives_the_state_back(journal: MemoryJournal, tmp_path: Path) -> None:
    closed = position_body(open_ms=-100_000, close_ms=5, returned=1.1)
    journal.append([position("closed", closed), position("bytes", b"\xff\x00")])
    state = state_of(journal)
    state.window_ms = 1
    journal.append([position("later", b"{}")])
    catch_up(state, journal)
    assert state.totals

    path = checkpoint.write(tmp_path, state, 1234)
    header, loaded = checkpoint.load(path, window_ms=1)
    assert loaded == state
    assert (header.epoch, header.vector, header.created_ms) == (state.epoch, state.vector, 1234)
    assert checkpoint.read_header(path) == header
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_boot_is_the_newest_checkpoint_and_what_came_after(journal: MemoryJournal, tmp_path: Path) -> None:
    checkpoint.write(tmp_path, state_of(journal), 1)
    fill(journal, 5)
    checkpoint.write(tmp_path, state_of(journal), 2)
    fill(journal, 700, ORDERS)

    assert checkpoint.boot(journal, tmp_path) == state_of(journal)
    assert checkpoint.boot(journal, tmp_path / "nowhere") == state_of(journal)


@settings(max_examples=30)
@given(st.data())
def test_boot_from_any_checkpoint_is_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    journal, directory = MemoryJournal(), tmp_path_factory.mktemp("checkpoints")
    drafts = st.builds(
        Draft,
        st.sampled_from([POSITIONS, ORDERS, REGISTRY]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([b"1", b"2", position_body(close_ms=5), position_body()]),
    )
    for n in range(data.draw(st.integers(1, 4))):
        journal.append(data.draw(st.lists(drafts, max_size=8)))
        checkpoint.write(directory, state_of(journal), n)
        if data.draw(st.booleans()):
            journal.new_epoch("new-epoch")
    journal.append(data.draw(st.lists(drafts, max_size=8)))

    for path in checkpoint.files(directory):
        _, state = checkpoint.load(path)
        catch_up(state, journal)
        assert state == state_of(journal)


def test_every_flipped_bit_and_every_truncation_is_noticed(journal: MemoryJournal, tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, state_of(journal), 1)
    whole = path.read_bytes()
    _, before = checkpoint.load(path)

    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1 << offset % 8]) + whole[offset + 1 :])
        try:
            _, loaded = checkpoint.load(path)
        except CheckpointError:
            continue
        assert loaded == before  # only the header's creation time may change unnoticed
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            checkpoint.load(path)


def test_damaged_checkpoints_are_passed_over(journal: MemoryJournal, tmp_path: Path) -> None:
    checkpoint.write(tmp_path, state_of(journal), 1)
    fill(journal, 5)
    newest = checkpoint.write(tmp_path, state_of(journal), 2)
    newest.write_bytes(newest.read_bytes()[:-5])
    (tmp_path / "checkpoint-9-9.gz").write_bytes(b"")

    assert [path for path, _ in checkpoint.usable(journal, tmp_path)] == checkpoint.files(tmp_path)[2:]
    assert checkpoint.boot(journal, tmp_path) == state_of(journal)


def test_checkpoints_of_another_history_are_passed_over(journal: MemoryJournal, tmp_path: Path) -> None:
    other = MemoryJournal()
    fill(other, 2)
    checkpoint.write(tmp_path, state_of(other), 1)
    state = state_of(journal)
    state.vector[POSITIONS] += 1
    checkpoint.write(tmp_path, state, 2)

    assert list(checkpoint.usable(journal, tmp_path)) == []
    assert checkpoint.boot(journal, tmp_path) == state_of(journal)


def test_boot_refuses_when_nothing_reaches_back_far_enough(journal: MemoryJournal, tmp_path: Path) -> None:
    journal.trim(POSITIONS, 5)

    with pytest.raises(TrimmedError):
        checkpoint.boot(journal, tmp_path)


def test_prune_keeps_the_newest_and_removes_old_leftovers(journal: MemoryJournal, tmp_path: Path) -> None:
    state = state_of(journal)
    paths = [checkpoint.write(tmp_path, state, n) for n in range(5)]
    fresh, stale = tmp_path / ".checkpoint-7-7.gz.1.tmp", tmp_path / ".checkpoint-8-8.gz.1.tmp"
    for leftover in (fresh, stale):
        leftover.write_bytes(b"half")
    os.utime(stale, (0, 0))

    assert set(checkpoint.prune(tmp_path, 2)) == {*paths[:3], stale}
    assert set(tmp_path.iterdir()) == {*paths[3:], fresh}


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(
    journal: MemoryJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        checkpoint.write(tmp_path, state_of(journal), 1)
    assert list(tmp_path.iterdir()) == []
