"""What stands in the data directory before a restore, and whether a checkpoint may replace it.

Rule: a journal that is damaged does not stop a restore (it may be the reason for it), but its numbers are
never used again: what its witness and its checkpoints remember counts as well.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from journal import checkpoint, witness
from journal.checkpoint import CheckpointError
from journal.entry import ACTIONS, POSITIONS, REGISTRY, Draft, JournalError
from journal.layout import boot_state, open_reader
from journal.restore.content import Summary
from journal.restore.facts import kind_of
from journal.state import State
from runtime import heartbeat
from runtime.clock import Clock
from runtime.settings import Settings

CARRIED_KINDS: Final = frozenset(("nonce",))  # what was used up here stays used up
SIGN_OF_LIFE_MS: Final = 30_000
AHEAD_MS: Final = 3_600_000


class _Order(msgspec.Struct):
    processed_ms: int


class _Position(msgspec.Struct):
    orders: list[_Order] = []


class _PositionBody(msgspec.Struct):
    position: _Position


_position: Final = msgspec.json.Decoder(_PositionBody)


class Standing(NamedTuple):
    """What is there now. ``known``: the highest number of each stream that was ever given, as far as anything
    remembers; ``problem``: why the journal cannot be read (None: it can, or there is none)."""

    exists: bool
    problem: str | None
    known: Mapping[str, int]
    first_ms: int | None
    last_ms: int | None
    positions: int
    carried: tuple[Draft, ...]


def look(settings: Settings) -> Standing:
    """Look at the directory without touching it."""
    known = dict(_remembered(settings))
    if not settings.journal_path.is_file():
        return Standing(False, None, known, None, None, 0, ())
    try:
        reader = open_reader(settings)
        try:
            state, heads = boot_state(settings, reader), reader.heads()
        finally:
            reader.close()
    except JournalError as error:
        return Standing(True, str(error), known, None, None, 0, ())
    for stream, head in heads.items():
        known[stream] = max(head, known.get(stream, 0))
    times = [ms for entry in state.latest.get(POSITIONS, {}).values() for ms in _order_times(entry.body)]
    first, last = (min(times), max(times)) if times else (None, None)
    count = len(state.latest.get(POSITIONS, {}))
    return Standing(True, None, known, first, last, count, tuple(_carried(state)))


def _remembered(settings: Settings) -> dict[str, int]:
    seen = witness.read(settings.witness_path)
    vectors = [dict(seen.heads)] if seen is not None else []
    for path in checkpoint.files(settings.checkpoint_dir):
        try:
            vectors.append(checkpoint.read_header(path).vector)
        except CheckpointError:
            continue  # a damaged checkpoint remembers nothing
    return {
        stream: max(vector.get(stream, 0) for vector in vectors) for vector in vectors for stream in vector
    }


def _order_times(body: bytes) -> list[int]:
    try:
        return [order.processed_ms for order in _position.decode(body).position.orders]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _carried(state: State) -> list[Draft]:
    """What no checkpoint of another node can know and must not be forgotten: actions and used nonces."""
    actions = [Draft(ACTIONS, key, newest.body) for key, newest in state.latest.get(ACTIONS, {}).items()]
    facts = state.latest.get(REGISTRY, {}).items()
    nonces = [Draft(REGISTRY, key, newest.body) for key, newest in facts if kind_of(key) in CARRIED_KINDS]
    return actions + nonces


def objection(found: Summary, here: Standing) -> str | None:
    """Why this checkpoint must not replace what is there by its times, None when it may.

    A younger order that would be lost is an objection; history that begins later than ours is only warned of.
    """
    if here.last_ms is None:
        return None
    if here.last_ms > found.created_ms:
        return (
            f"the checkpoint is too old: it was made at {found.created_ms}, and there are orders up to "
            f"{here.last_ms} here that would be lost; --force restores it all the same"
        )
    if here.first_ms is not None and found.first_ms is not None and here.first_ms < found.first_ms:
        found.warnings.append(
            f"history here begins at {here.first_ms}, that of the checkpoint at {found.first_ms}"
        )
    return None


def warn_of_clock(found: Summary, clock: Clock) -> None:
    """Note a checkpoint that claims to be of the future."""
    if found.created_ms > clock.now_ms() + AHEAD_MS:
        found.warnings.append("the checkpoint says it was made in the future: is this machine's clock right?")


def occupant(data_dir: Path, clock: Clock, ask_lock: bool) -> str | None:
    """Who uses the directory: a manager that holds its lock, or a worker that was started by hand.

    ``ask_lock`` False: the caller holds the lock itself.
    """
    lock_path = data_dir / "run" / "manager.lock"
    if ask_lock and lock_path.is_file():
        lock = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "an api_manager"
        finally:
            os.close(lock)
    return worker_at(data_dir, clock)


def worker_at(data_dir: Path, clock: Clock) -> str | None:
    """The name of a worker that beats in this directory, or None."""
    for name, facts in heartbeat.read_all(data_dir).items():
        beat_ms, pid = facts["beat_ms"], facts.get("pid")
        if not isinstance(beat_ms, int) or not isinstance(pid, int) or pid == os.getpid():
            continue
        if clock.now_ms() - beat_ms < SIGN_OF_LIFE_MS and _is_running(pid):
            return f"the worker {name}"
    return None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    try:  # a process that ended and was not waited for is nobody
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True
