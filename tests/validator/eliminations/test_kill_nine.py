"""Exactly once under kill -9: the judge dies at random moments, alone and while pollers write."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from journal.entry import ORDERS, POSITIONS, REGISTRY, Journal
from journal.sqlite import SqliteJournal
from journal.verify import verify
from tests.validator.eliminations.arena import drafts, entries, position, resting
from validator import eliminated
from validator.eliminations.requests import request_elimination
from validator.positions import synthetic_flat_uuid
from validator.registry import Registry
from vanta_api.records import Position, decode_position_message

DEADLINE_S = 60.0
EACH_ROUND = 40


def start(*argv: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.validator.eliminations.hand", *map(str, argv)]
    return subprocess.Popen(command)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def wait_for_more(journal: Journal, before: int, process: subprocess.Popen[bytes]) -> None:
    """Until the registry has grown by an elimination at least."""
    deadline = time.monotonic() + DEADLINE_S
    while journal.head(REGISTRY) <= before:
        assert time.monotonic() < deadline, "nobody is eliminated"
        assert process.poll() is None, "the judge ended by itself"
        time.sleep(0.001)


def positions_of(journal: Journal) -> dict[str, list[Position]]:
    """Every record of every position, oldest first, by hotkey."""
    found: defaultdict[str, list[Position]] = defaultdict(list)
    for entry in entries(journal, POSITIONS):
        one = decode_position_message(entry.body).position
        found[one.miner_hotkey].append(one)
    return found


def facts(journal: Journal) -> Counter[str]:
    """How many elimination facts each hotkey has."""
    found = (entry.key for entry in entries(journal, REGISTRY))
    return Counter(key.removeprefix("elimination|") for key in found if key.startswith("elimination|"))


def closings(records: list[Position]) -> Counter[str]:
    """How often each position was written as closed by the rules."""
    return Counter(
        one.position_uuid
        for one in records
        if one.orders[-1].order_uuid == synthetic_flat_uuid(one.position_uuid)
    )


def seed_of_run() -> int:
    seed = int(os.environ.get("VANTA_SOAK_SEED", str(random.randrange(10**6))))
    sys.stdout.write(f"seed {seed}\n")
    return seed


def test_a_killed_judge_has_eliminated_completely_or_not_at_all(tmp_path: Path) -> None:
    judge_alone(tmp_path, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_a_judge_killed_hundreds_of_times_eliminates_completely_or_not_at_all(tmp_path: Path) -> None:
    judge_alone(tmp_path, kills=int(os.environ.get("VANTA_SOAK_KILLS", "200")))


def judge_alone(directory: Path, kills: int) -> None:
    source, path = random.Random(seed_of_run()), directory / "journal.sqlite3"
    journal = SqliteJournal(path)
    registry = Registry(journal)
    for n in range(kills):
        for k in range(EACH_ROUND):
            hotkey = f"h{n}-{k}"
            journal.append(
                drafts(*(position(hotkey, f"{hotkey}.{i}") for i in range(3)), resting(hotkey, f"{hotkey}.r"))
            )
            request_elimination(registry, hotkey, 1, "test")
        before = journal.head(REGISTRY)
        process = start("judge", path)
        wait_for_more(journal, before, process)
        time.sleep(source.random() * 0.05)  # a random moment is what is wanted here
        stop(process)
        check_whole(journal)
    process = start("judge", path)
    finish(journal, process, kills * EACH_ROUND)
    check_whole(journal)
    counts = closings([one for records in positions_of(journal).values() for one in records])
    assert set(counts.values()) == {1}
    assert len(counts) == 3 * kills * EACH_ROUND
    assert len(entries(journal, ORDERS)) == 2 * kills * EACH_ROUND
    journal.close()
    assert verify(path).is_clean


def check_whole(journal: Journal) -> None:
    """Whoever has the fact has everything closed; whoever has not has everything open."""
    out, resting_now = facts(journal), {e.key: e.body for e in entries(journal, ORDERS)}
    assert set(out.values()) <= {1}
    for hotkey, records in positions_of(journal).items():
        newest = {one.position_uuid: one.is_closed_position for one in records}
        assert set(newest.values()) == {hotkey in out}, hotkey
        assert (b'"src":7' in resting_now[f"{hotkey}|{hotkey}.r"]) == (hotkey in out)


def finish(journal: Journal, process: subprocess.Popen[bytes], expected: int) -> None:
    """Let the judge do the rest, and take one more look."""
    deadline = time.monotonic() + DEADLINE_S
    try:
        while len(facts(journal)) < expected:
            assert time.monotonic() < deadline, "not everybody was eliminated"
            assert process.poll() is None, "the judge ended by itself"
            time.sleep(0.01)
    finally:
        stop(process)


def test_after_an_elimination_pollers_changes_never_reach_positions(tmp_path: Path) -> None:
    judge_among_pollers(tmp_path, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_pollers_and_a_judge_killed_hundreds_of_times_agree(tmp_path: Path) -> None:
    judge_among_pollers(tmp_path, kills=int(os.environ.get("VANTA_SOAK_KILLS", "200")))


def judge_among_pollers(directory: Path, kills: int) -> None:
    """Two pollers trade on while hotkeys are put out and the judge is killed and started again."""
    source, path = random.Random(seed_of_run()), directory / "journal.sqlite3"
    journal = SqliteJournal(path)
    registry, hotkeys = Registry(journal), kills * 12
    journal.append(drafts(*(position(f"h{n}", f"h{n}-p0") for n in range(hotkeys))))
    pollers = [start("poll", path, source.randrange(10**6), hotkeys) for _ in range(2)]
    process = start("judge", path)
    try:
        for n in range(kills):
            before = len(facts(journal))
            for k in range(12):
                request_elimination(registry, f"h{n * 12 + k}", 1, "test")
            wait_for_facts(journal, before + 1, process)
            time.sleep(source.random() * 0.1)  # a random moment is what is wanted here
            stop(process)
            process = start("judge", path)
        wait_for_facts(journal, hotkeys, process)
        wait_until_swept(journal, process)
    finally:
        for one in (process, *pollers):
            stop(one)
    check_order(journal)
    journal.close()
    assert verify(path).is_clean


def wait_for_facts(journal: Journal, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while len(facts(journal)) < count:
        assert time.monotonic() < deadline, "not everybody was eliminated"
        assert process.poll() is None, "the judge ended by itself"
        time.sleep(0.01)


def wait_until_swept(journal: Journal, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while any(not one.is_closed_position for one in newest(journal).values()):
        assert time.monotonic() < deadline, "something stays open"
        assert process.poll() is None, "the judge ended by itself"
        time.sleep(0.01)


def newest(journal: Journal) -> dict[str, Position]:
    return {e.key: decode_position_message(e.body).position for e in entries(journal, POSITIONS)}


def check_order(journal: Journal) -> None:
    """Of each hotkey: what pollers wrote, then one closing per position, and nothing after it."""
    assert set(facts(journal).values()) == {1}
    for hotkey, records in positions_of(journal).items():
        assert eliminated.elimination_of(Registry(journal), hotkey) is not None
        is_closing = [one.is_closed_position for one in records]
        first = is_closing.index(True)
        slipped = [one for one in records[first:] if not one.is_closed_position]
        assert slipped == [], f"{hotkey}: a poller wrote after the elimination"
        uuids = {one.position_uuid for one in records}
        assert closings(records) == Counter(dict.fromkeys(uuids, 1))
