"""The doorbell: rings across processes, forgives dead readers, and works below any path."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from journal import doorbell
from journal.doorbell import Doorbell, MemoryBell, Ringer, ring


def test_every_bell_in_the_directory_rings(tmp_path: Path) -> None:
    bells = [Doorbell(tmp_path) for _ in range(3)]
    ring(tmp_path)

    assert all(bell.wait(5) for bell in bells)
    assert all(bell.clear() for bell in bells)
    assert not any(bell.clear() for bell in bells)
    for bell in bells:
        bell.close()
    assert list(tmp_path.iterdir()) == []


def test_ringing_where_nobody_waits_is_nothing(tmp_path: Path) -> None:
    ring(tmp_path)
    ring(tmp_path / "missing")


def test_a_bell_that_is_never_cleared_does_not_block_the_ringer(tmp_path: Path) -> None:
    deaf, keen = Doorbell(tmp_path), Doorbell(tmp_path)
    ringer = Ringer(tmp_path)
    for _ in range(1000):
        ringer.ring()
        assert keen.clear()
    assert deaf.clear()
    for each in (deaf, keen, ringer):
        each.close()


def test_bells_of_dead_readers_are_removed(tmp_path: Path) -> None:
    script = "import os, sys; from pathlib import Path; from journal.doorbell import Doorbell\n"
    script += "bell = Doorbell(Path(sys.argv[1])); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    assert len(list(tmp_path.iterdir())) == 1

    ring(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_bell_is_heard_by_a_ringer_that_has_rung_before(tmp_path: Path) -> None:
    ringer = Ringer(tmp_path)
    for _ in range(50):
        bell = Doorbell(tmp_path)
        ringer.ring()
        assert bell.clear()
        bell.close()
        ringer.ring()
    ringer.close()


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120) / ("e" * 120)
    bell = Doorbell(directory)
    ring(directory)

    assert bell.wait(5)
    bell.close()
    assert list(directory.iterdir()) == []


def test_where_a_long_path_has_no_address_the_bell_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "_SELF_FDS", str(tmp_path / "none"))
    directory = tmp_path / ("d" * 120)
    bell = Doorbell(directory)
    ring(directory)

    assert not bell.wait(0)
    bell.close()


def test_the_directory_is_for_its_user_only(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path / "bells")

    assert (tmp_path / "bells").stat().st_mode & 0o777 == 0o700
    bell.close()


def test_a_bell_wakes_an_event_loop(tmp_path: Path) -> None:
    async def wait_for_ring() -> bool:
        bell, heard = Doorbell(tmp_path), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(bell.fileno(), heard.set)
        loop.call_later(0.01, ring, tmp_path)
        await asyncio.wait_for(heard.wait(), 5)
        loop.remove_reader(bell.fileno())
        rung = bell.clear()
        bell.close()
        return rung

    assert asyncio.run(wait_for_ring())


def test_wait_ends_after_its_time(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path)

    assert not bell.wait(0.01)
    assert not bell.wait(-1)
    bell.close()


def test_a_memory_bell_rings_and_closes(tmp_path: Path) -> None:
    bell = MemoryBell()
    for _ in range(1000):
        bell.ring()
    assert bell.wait(0)
    assert bell.clear()
    assert not bell.clear()
    bell.close()
    bell.ring()  # nobody hears it, nothing happens


def test_foreign_files_among_the_bells_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    (tmp_path / "plain.bell").write_text("no socket")
    ring(tmp_path)

    assert (tmp_path / "notes.txt").read_text() == "keep"
    assert os.listdir(tmp_path) == ["notes.txt"]
