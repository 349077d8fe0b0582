"""Several processes at once: order under fire, and kill -9 at random moments."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from journal.entry import POSITIONS
from journal.sqlite import SqliteJournal
from journal.verify import verify
from tests.journal.hands import draft, fingerprint
from tests.journal.support import entries_of, numbers

DEADLINE_S = 60.0


def start(*argv: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.journal.hands", *map(str, argv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def output(process: subprocess.Popen[bytes]) -> str:
    printed, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    return printed.decode()


def test_four_writers_and_two_followers_agree_on_every_number(tmp_path: Path) -> None:
    path, each = tmp_path / "journal.sqlite3", 300
    SqliteJournal(path).close()
    followers = [start("follow", path, POSITIONS, 4 * each) for _ in range(2)]
    writers = [start("write", path, f"w{n}", 0, each, n) for n in range(4)]

    acknowledged = [line for writer in writers for line in output(writer).splitlines()]
    told = [output(follower).split() for follower in followers]
    journal = SqliteJournal(path)
    found = entries_of(journal)
    journal.close()
    assert numbers(found) == list(range(1, 4 * each + 1))
    given = [int(number) for line in acknowledged for number in line.split()[2:]]
    assert sorted(given) == numbers(found)
    for n in range(4):
        own = [entry.body for entry in found if entry.key.startswith(f"w{n}|")]
        assert own == [draft(f"w{n}", number).body for number in range(each)]
    digest = sha256(b"".join(map(fingerprint, found))).hexdigest()
    assert told == [[str(4 * each), digest]] * 2
    assert verify(path).is_clean


def test_writers_killed_at_random_moments_lose_and_repeat_nothing(tmp_path: Path) -> None:
    kill_writers(tmp_path, kills=12)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_writers_killed_hundreds_of_times_lose_and_repeat_nothing(tmp_path: Path) -> None:
    kill_writers(tmp_path, kills=int(os.environ.get("VANTA_SOAK_KILLS", "200")))


class Hand:
    """A writer that is started again after every kill, from where its entries in the journal end."""

    def __init__(self, path: Path, name: str, source: random.Random) -> None:
        self._path, self.name, self._source = path, name, source
        self.acknowledged: dict[int, int] = {}  # own number → sequence
        self.written = 0  # own entries in the journal, acknowledged or not
        self._unread = b""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        seed = self._source.randrange(10**6)
        return start("write", self._path, self.name, self.written, 10**9, seed)

    def listen(self) -> None:
        """Take over what was acknowledged by now."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0]:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                break
            *lines, self._unread = (self._unread + piece).split(b"\n")
            for line in lines:
                first, last, *sequences = map(int, line.split())
                assert len(sequences) == last - first + 1
                for number, sequence in zip(range(first, last + 1), sequences, strict=True):
                    assert self.acknowledged.setdefault(number, sequence) == sequence

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listen()
        assert self._unread == b""
        assert self.process.stdout is not None
        self.process.stdout.close()

    def revive(self) -> None:
        self.process = self._start()


def kill_writers(directory: Path, kills: int) -> None:
    """Kill one of three writers again and again, at random moments after it has begun to append."""
    seed = int(os.environ.get("VANTA_SOAK_SEED", str(random.randrange(10**6))))
    sys.stdout.write(f"seed {seed}\n")
    source, path = random.Random(seed), directory / "journal.sqlite3"
    journal = SqliteJournal(path)
    hands = [Hand(path, f"w{n}", source) for n in range(3)]
    seen: list[tuple[int, bytes]] = []  # what a reader saw while it happened
    try:
        for _ in range(kills):
            hand = source.choice(hands)
            wait_for_progress(hand)
            time.sleep(source.random() * 0.02)  # a random moment is what is wanted here
            hand.kill()
            for entry in entries_of(journal, after=len(seen)):
                seen.append((entry.sequence, entry.event_id))
                next(h for h in hands if entry.key.startswith(f"{h.name}|")).written += 1
            hand.revive()
    finally:
        for hand in hands:
            hand.kill()
    check(path, journal, hands, seen)


def wait_for_progress(hand: Hand) -> None:
    """Wait until the writer has acknowledged something since it was started."""
    before, deadline = len(hand.acknowledged), time.monotonic() + DEADLINE_S
    while len(hand.acknowledged) == before:
        assert time.monotonic() < deadline, "a writer does not append"
        assert hand.process.poll() is None, "a writer ended by itself"
        hand.listen()
        time.sleep(0.001)


def check(path: Path, journal: SqliteJournal, hands: list[Hand], seen: list[tuple[int, bytes]]) -> None:
    found = entries_of(journal)
    journal.close()
    assert numbers(found) == list(range(1, len(found) + 1))
    assert [(e.sequence, e.event_id) for e in found[: len(seen)]] == seen
    assert verify(path).findings == []
    for hand in hands:
        own = [entry for entry in found if entry.key.startswith(f"{hand.name}|")]
        # every entry of the writer once, in its order: nothing repeated after a restart, nothing left out
        assert [e.body for e in own] == [draft(hand.name, number).body for number in range(len(own))]
        assert {n: e.sequence for n, e in enumerate(own) if n in hand.acknowledged} == hand.acknowledged
