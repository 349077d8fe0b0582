"""Processes for the tests under load: ``python -m tests.journal.hands write|follow PATH ...``.

``write PATH NAME FIRST COUNT SEED`` appends its own entries NAME-FIRST, NAME-(FIRST+1), ... in appends of
random size and prints one line per acknowledged append: ``FIRST LAST SEQUENCE...``.
``follow PATH STREAM UNTIL`` follows a stream from its beginning and prints ``COUNT DIGEST`` of the entries it
got once it has seen number UNTIL; it fails at once when a number does not follow the one before.
"""

from __future__ import annotations

import os
import random
import sys
from hashlib import sha256
from pathlib import Path

from journal.entry import POSITIONS, Draft, Entry
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal

BATCH = 8  # drafts in an append, at most


def draft(writer: str, number: int) -> Draft:
    """The ``number``-th entry of a writer; some large enough to be deflated."""
    filling = "x" * (3000 if number % 17 == 0 else 300)
    return Draft(POSITIONS, f"{writer}|{number % 5}", f'["{writer}",{number},"{filling}"]'.encode())


def write(path: Path, writer: str, first: int, count: int, seed: int) -> None:
    """Append entries ``first`` to ``first + count - 1``."""
    source = random.Random(seed)
    journal = SqliteJournal(path)
    number, end = first, first + count
    while number < end:
        last = min(end, number + source.randrange(1, BATCH + 1)) - 1
        results = journal.append([draft(writer, n) for n in range(number, last + 1)])
        sequences = " ".join(str(result.sequence) for result in results)
        os.write(1, f"{number} {last} {sequences}\n".encode())  # one call: a kill never tears the line
        number = last + 1
    journal.close()


def follow(path: Path, stream: str, until: int) -> None:
    """Follow the stream to number ``until``."""
    reader = SqliteReader(path)
    total, last = sha256(), 0
    for page in reader.follow(stream, 0, stop=lambda: False, poll_s=0.2):
        for entry in page.entries:
            if entry.sequence != last + 1:
                raise SystemExit(f"{entry.sequence} came after {last}")
            last = entry.sequence
            total.update(fingerprint(entry))
        if last >= until:
            break
    sys.stdout.write(f"{last} {total.hexdigest()}\n")
    reader.close()


def fingerprint(entry: Entry) -> bytes:
    """Every byte of an entry."""
    return repr((entry.sequence, entry.key, entry.event_id, entry.time_ms, entry.body)).encode()


def main(command: str, path: str, *rest: str) -> None:
    if command == "write":
        writer, first, count, seed = rest
        write(Path(path), writer, int(first), int(count), int(seed))
    else:
        stream, until = rest
        follow(Path(path), stream, int(until))


if __name__ == "__main__":
    main(*sys.argv[1:])
