"""Two processes create subaccounts at once and are killed at random: no id twice, none left out."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from journal.sqlite import SqliteJournal
from journal.verify import verify
from runtime.clock import SystemClock
from tests.validator.entities.people import DEFAULTS, entity
from validator.entities.clerk import Clerk
from validator.registry import Registry

ENTITIES = ("5Ants", "5Bees")
DEADLINE_S = 60.0
LIMIT = 1_000_000


class Hand:
    """A creating process; its output goes to a file, so that nothing it said is lost by the kill."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name, self._starts = directory, name, 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        command = [sys.executable, "-m", "tests.validator.entities.hands"]
        with (self._directory / f"{self._name}-{self._starts}.out").open("wb") as out:
            return subprocess.Popen(
                [*command, str(self._directory / "journal.sqlite3"), *ENTITIES], stdout=out
            )

    def said(self) -> list[list[str]]:
        """Whole lines of the present process."""
        text = (self._directory / f"{self._name}-{self._starts}.out").read_bytes().decode()
        return [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def is_at_work(self) -> bool:
        """Whether it made something since it was started."""
        assert self.process.poll() is None, "a hand died on its own"
        return any(words[0] == "made" for words in self.said())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.process = self._start()


def wait_for(hand: Hand) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not hand.is_at_work():
        assert time.monotonic() < deadline, "no creation came through"
        time.sleep(0.005)


def create_under_fire(directory: Path, kills: int, seed: int) -> None:
    """Kill one of two creating processes ``kills`` times at random moments, then hold all to account."""
    print(f"seed {seed}, {kills} kills")
    source = random.Random(seed)
    journal = SqliteJournal(directory / "journal.sqlite3")
    clerk = Clerk(Registry(journal), SystemClock(), DEFAULTS)
    for hotkey in ENTITIES:
        clerk.register(entity(hotkey, max_subaccounts=LIMIT))
    hands = [Hand(directory, "one"), Hand(directory, "two")]
    for _ in range(kills):
        victim = source.choice(hands)
        wait_for(victim)
        time.sleep(source.random() * 0.05)
        victim.restart()
    for hand in hands:
        wait_for(hand)
        hand.kill()
    check(directory, clerk)
    journal.close()
    assert verify(directory / "journal.sqlite3").is_clean


def check(directory: Path, clerk: Clerk) -> None:
    """Ids are 0..n, uuids differ, and every creation that anybody was told of is there under its receipt."""
    made: dict[str, str] = {}
    for hotkey in ENTITIES:
        found = clerk.entities.entity(hotkey)
        assert found is not None
        assert list(found.subaccounts) == list(range(len(found.subaccounts)))
        made |= {
            one.record.synthetic_hotkey: one.record.subaccount_uuid for one in found.subaccounts.values()
        }
    assert len(set(made.values())) == len(made) > 0
    told: dict[str, set[str]] = {}
    asked: set[str] = set()
    for file in directory.glob("*.out"):
        for line in file.read_text().splitlines():
            words = line.split()
            if words[0] == "asked":
                asked.add(words[1])
            if words[0] == "made" and len(words) == 4:
                told.setdefault(words[1], set()).add(words[2])
                assert made[words[2]].startswith(words[3])
    assert all(len(hotkeys) == 1 for hotkeys in told.values())
    assert len(told) <= len(made) <= len(asked)
    for receipt, (hotkey,) in ((receipt, tuple(hotkeys)) for receipt, hotkeys in told.items()):
        known = clerk.entities.receipt(receipt)
        assert known is not None
        assert known.made == "subaccount|" + "|".join(hotkey.rsplit("_", 1))


def test_ids_have_no_hole_and_no_repeat_although_creators_are_killed(tmp_path: Path) -> None:
    create_under_fire(tmp_path, kills=10, seed=int(os.environ.get("VANTA_SOAK_SEED", "11")))


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_ids_survive_hundreds_of_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("VANTA_SOAK_SEED") or time.time_ns() % 1_000_000)
    create_under_fire(tmp_path, kills=int(os.environ.get("VANTA_SOAK_ENTITY_KILLS", "300")), seed=seed)
