"""The journal against the plainest durable thing: a file, one line a record, an fdatasync per append.

Ours numbers every entry, chains its id, compares it with the key's last one and keeps it findable; the file
does none of it, which is stated here so that the ratio is read for what it is. Records are positions of
about 1.5 KB of two thousand keys; both sides write to the same disk, in turn.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench.rows import Row, compare, show
from journal.entry import POSITIONS, Draft
from journal.sqlite import SqliteJournal

KEYS = 2000
RECORD_BYTES = 1500
THREADS = 32
REPLAYED = 20_000


class Records:
    """An endless supply of drafts that differ."""

    def __init__(self) -> None:
        source = random.Random(7)
        self._filling = source.randbytes(RECORD_BYTES // 2).hex()[: RECORD_BYTES - 40]
        self._numbers = count()

    def take(self, size: int) -> list[Draft]:
        return [self._draft(next(self._numbers)) for _ in range(size)]

    def _draft(self, number: int) -> Draft:
        body = f'{{"n":{number},"position":"{self._filling}"}}'.encode()
        return Draft(POSITIONS, f"5Hotkey{number % 200:041d}|{number % KEYS:036d}", body)


class PlainFile:
    """Lines, each append synced."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._lock = threading.Lock()

    def append(self, drafts: list[Draft]) -> int:
        with self._lock:
            os.write(self._file, b"".join([draft.body + b"\n" for draft in drafts]))
            os.fdatasync(self._file)
        return len(drafts)

    def close(self) -> None:
        os.close(self._file)


def run() -> list[Row]:
    """Append in batches, append from many threads, read everything back."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        return [*_appends(Path(directory)), _threads(Path(directory)), _replay(Path(directory))]


def _appends(directory: Path) -> Iterator[Row]:
    for size in (1, 10, 100):
        records = Records()
        journal = SqliteJournal(directory / f"{size}" / "journal.sqlite3")
        plain = PlainFile(directory / f"{size}.lines")

        def ours(journal: SqliteJournal = journal, records: Records = records, size: int = size) -> int:
            return len(journal.append(records.take(size)))

        def lines(plain: PlainFile = plain, records: Records = records, size: int = size) -> int:
            return plain.append(records.take(size))

        fast, slow = compare(ours, lines)
        journal.close()
        plain.close()
        yield Row(
            f"append, {size} a transaction", fast, slow, "entries/s", "write and fdatasync of the lines"
        )


def _threads(directory: Path) -> Row:
    records = [Records() for _ in range(THREADS)]
    journal = SqliteJournal(directory / "threads" / "journal.sqlite3")
    plain = PlainFile(directory / "threads.lines")

    def work(append: object, each: int = 20) -> int:
        def one(number: int) -> None:
            for _ in range(each):
                append([records[number].take(1)[0]])  # type: ignore[operator]

        threads = [threading.Thread(target=one, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return THREADS * each

    fast, slow = compare(lambda: work(journal.append), lambda: work(plain.append))
    journal.close()
    plain.close()
    what = f"append, 1 a transaction, {THREADS} threads"
    return Row(what, fast, slow, "entries/s", "a lock, write and fdatasync for each line")


def _replay(directory: Path) -> Row:
    records, path = Records(), directory / "replay.lines"
    journal = SqliteJournal(directory / "replay" / "journal.sqlite3")
    drafts = records.take(REPLAYED)
    for first in range(0, REPLAYED, 200):
        journal.append(drafts[first : first + 200])
    path.write_bytes(b"".join(draft.body + b"\n" for draft in drafts))

    def ours() -> int:
        after = 0
        while entries := journal.read(POSITIONS, after).entries:
            after = entries[-1].sequence
        return after

    def lines() -> int:
        with open(path, "rb") as file:
            return sum(1 for _ in file)

    fast, slow = compare(ours, lines)
    journal.close()
    return Row("replay", fast, slow, "entries/s", "for line in file")


def main() -> None:
    """Print the table."""
    show(run())


if __name__ == "__main__":
    main()
