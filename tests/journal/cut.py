"""Ends a journal's process at its nth write or sync and checks what is left, for many n.

``python -m tests.journal.cut DIRECTORY crash|power POINTS|all SEED`` forks one writer per point. A writer
says over a pipe which appends were acknowledged. Afterwards all of them must be there, byte for byte, with
numbers without a gap, at most one append more, and a clean file.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import journal.disk
from journal.entry import ORDERS, POSITIONS, Draft, Entry
from journal.sqlite import SqliteJournal
from journal.verify import verify
from tests.journal.faults import FaultyDisk
from tests.journal.support import entries_of

APPENDS = 30
CALLS = 470  # writes and syncs the script makes, about
WAL_PAGES = 40  # so that writing back to the main file happens in the middle of the script


def script() -> list[list[Draft]]:
    """The appends: small and large, of two streams, changing the same few keys."""
    source = random.Random(1)

    def draft(n: int, m: int) -> Draft:
        stream, key = source.choice([POSITIONS, ORDERS]), f"k{source.randrange(5)}"
        return Draft(stream, key, b'"%d-%d-%s"' % (n, m, b"x" * 900))

    return [[draft(n, m) for m in range(source.randrange(1, 6))] for n in range(APPENDS)]


def write(path: Path, at: int, how: str, seed: int, acknowledged: int) -> None:
    """Run the script on a disk that ends this process at call ``at``; tell of every append."""
    setattr(journal.disk, "WAL_PAGES", WAL_PAGES)  # noqa: B010
    faulty = FaultyDisk("cut")
    store = SqliteJournal(path, vfs="cut")
    first = faulty.calls
    faulty.remember = how == "power"

    def end(_kind: str, number: int) -> None:
        if number - first == at:
            faulty.cut_power(random.Random(seed * 1_000_003 + at))
            os._exit(7)

    faulty.before_call = end
    for drafts in script():
        store.append(drafts)
        os.write(acknowledged, b".")
    os._exit(0)


def run_once(directory: Path, at: int, how: str, seed: int) -> bool:
    """Cut one writer and check; False when the script ended before the cut."""
    path = directory / f"{how}{at}" / "journal.sqlite3"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write(path, at, how, seed, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        acknowledged = len(pipe.read())
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 7), f"writer ended with {code}"
    check(path, acknowledged)
    return code == 7


def check(path: Path, acknowledged: int) -> None:
    """Everything acknowledged is there, nothing else but perhaps the append under way."""
    path.with_name(path.name + "-shm").unlink(missing_ok=True)  # lives in memory: gone after a power cut
    journal = SqliteJournal(path)
    found = {stream: entries_of(journal, stream) for stream in (POSITIONS, ORDERS)}
    journal.append([Draft(POSITIONS, "after", b"1")])
    journal.close()
    possible = [expected(acknowledged), expected(min(acknowledged + 1, APPENDS))]
    assert [contents(entries) for entries in found.values()] in possible, (
        f"{acknowledged} appends lost entries"
    )
    report = verify(path)
    assert report.is_clean, report.findings


def contents(entries: list[Entry]) -> list[tuple[int, str, bytes]]:
    return [(entry.sequence, entry.key, entry.body) for entry in entries]


def expected(appends: int) -> list[list[tuple[int, str, bytes]]]:
    """What both streams hold after a number of appends of the script."""
    found: dict[str, list[tuple[int, str, bytes]]] = {POSITIONS: [], ORDERS: []}
    for drafts in script()[:appends]:
        for draft in drafts:
            stream = found[draft.stream]
            stream.append((len(stream) + 1, draft.key, draft.body))
    return list(found.values())


def main(directory: Path, how: str, points: str, seed: int) -> None:
    total = 1
    while points == "all" and run_once(directory, total, how, seed):
        total += 1
    if points != "all":
        source = random.Random(seed)
        for at in sorted(source.sample(range(1, CALLS), int(points))):
            total += run_once(directory, at, how, seed)
    sys.stdout.write(f"{how}: {total - 1} cuts, seed {seed}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
