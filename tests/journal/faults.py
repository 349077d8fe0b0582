"""A SQLite file layer whose disk can be full, fail an fsync, or lose its power at any call.

``FaultyDisk(name)`` registers itself as a SQLite vfs. Until something is armed it behaves like the system's.
A power cut takes back a random part of what was written since the last sync, in pieces of 512 bytes, as a
real disk may have kept or lost any of them, then ends the process.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import apsw

SECTOR = 512


class FaultyDisk(apsw.VFS):
    """Counts writes and syncs; ``before_call`` may raise or end the process."""

    def __init__(self, name: str) -> None:
        super().__init__(name, base="")
        self.name = name
        self.calls = 0
        self.before_call: Callable[[str, int], None] = lambda kind, number: None
        self.remember = False  # keep what a power cut would take back
        self.files: list[FaultyFile] = []

    def xOpen(self, name: Any, flags: list[int]) -> FaultyFile:  # noqa: N802
        file = FaultyFile(self, name, flags)
        self.files.append(file)
        return file

    def count(self, kind: str) -> None:
        self.calls += 1
        self.before_call(kind, self.calls)

    def cut_power(self, source: random.Random) -> None:
        """Take back a random part of every unsynced write."""
        for file in self.files:
            file.lose(source)


class FaultyFile(apsw.VFSFile):
    """One file of a FaultyDisk."""

    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._unsynced: list[tuple[int, bytes, int]] = []  # offset, bytes before, file size before

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.count("write")
        if self._disk.remember:
            size = self.xFileSize()
            before = self.xRead(min(len(data), size - offset), offset) if size > offset else b""
            self._unsynced.append((offset, before, size))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.count("sync")
        super().xSync(flags)
        self._unsynced.clear()

    def lose(self, source: random.Random) -> None:
        if not self._unsynced or not os.path.exists(self.path):
            return
        with open(self.path, "r+b") as file:
            for offset, before, _ in reversed(self._unsynced):
                for at in range(0, len(before), SECTOR):
                    if source.random() < 0.5:
                        file.seek(offset + at)
                        file.write(before[at : at + SECTOR])
            if source.random() < 0.5:
                file.truncate(self._unsynced[0][2])
        self._unsynced.clear()


def out_of_space(kind: str, _number: int) -> None:
    """A ``before_call`` of a full disk: nothing can be written."""
    if kind == "write":
        raise apsw.FullError("database or disk is full")


def broken_sync(kind: str, _number: int) -> None:
    """A ``before_call`` of a disk that cannot sync."""
    if kind == "sync":
        raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
