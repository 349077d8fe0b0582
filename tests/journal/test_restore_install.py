"""Putting a restored journal in place: all of it or nothing, whatever happens; and never over somebody."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal import checkpoint, witness
from journal.__main__ import main
from journal.eras import GAP
from journal.layout import open_journal
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from journal.verify import verify
from runtime.clock import SystemClock
from runtime.heartbeat import Heartbeat
from runtime.settings import Settings
from tests.journal.restored import MADE_MS, filled, hotkeys_of, own_checkpoint, quiet, run, state_of, tree

__all__ = ["quiet"]
pytestmark = pytest.mark.usefixtures("quiet")
ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 20_251_120
KILLS, SOAK_KILLS = 6, int(os.environ.get("VANTA_SOAK_RESTORE_KILLS", "150"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkpoint file."""
    path = tmp_path / "c.json"
    path.write_bytes(own_checkpoint(tmp_path / "source", hotkeys=2))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a journal of its own, closed."""
    settled(tmp_path / "data")
    return tmp_path / "data"


def settled(data: Path) -> None:
    journal = filled(data)
    journal.close()
    checkpoint.write(data / "checkpoints", state_of(data), MADE_MS)
    SqliteJournal(data / "journal" / "journal.sqlite3").close()  # folds the log that reading left


OLD, NEW = {"old0", "old1"}, {"hk0", "hk1"}


def test_a_new_epoch_begins_above_every_number_that_was_ever_given(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = {"positions": 5_000_000, "orders": 7}
    settings = Settings(data_dir=data)
    witness.write(settings.witness_path, "elsewhere", heads, 1)
    vector = json.loads(source.read_bytes())["sequences"]
    code, facts = run(capsys, source, "--data-dir", data)
    reader = SqliteReader(data / "journal" / "journal.sqlite3")
    (_, era) = reader.eras()
    reader.close()

    assert code == 0
    assert (era.reason, era.epoch.id) == ("restore", facts["epoch"])
    assert era.epoch.first["positions"] == 5_000_000 + GAP
    assert era.epoch.first["orders"] == max(7, vector["orders"]) + GAP
    assert hotkeys_of(data) == NEW
    seen = witness.read(settings.witness_path)
    assert seen is not None
    assert (seen.epoch, seen.heads) == (facts["epoch"], facts["sequences"])
    open_journal(settings).close()  # as the manager does at boot
    assert SqliteReader(settings.journal_path).epoch().id == facts["epoch"], "no further epoch"


def test_what_is_replaced_is_kept_and_can_be_put_back(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(data)
    seen = Settings(data_dir=data).witness_path
    before[seen.name] = hashlib.sha256(seen.read_bytes()).hexdigest()
    _, facts = run(capsys, source, "--data-dir", data)
    backup = Path(facts["backup"])

    assert tree(backup) == {name: digest for name, digest in before.items() if not name.startswith("run")}
    assert hotkeys_of(backup) == OLD
    run(capsys, source, "--data-dir", data)
    assert len(list((data / "backups").iterdir())) == 2


def test_without_a_backup_nothing_is_kept(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = run(capsys, source, "--data-dir", data, "--no-backup")

    assert (code, facts["backup"]) == (0, None)
    assert not (data / "backups").exists()
    assert checkpoint.files(data / "checkpoints") == []
    assert not (data / "restore.partial").exists()


def test_actions_and_used_nonces_are_carried_over(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, facts = run(capsys, source, "--data-dir", data)
    state = state_of(data)

    assert facts["carried_over"] == 2
    assert state.latest["actions"]["act|1"].body == b'{"intent":1}'
    assert "nonce|x::y" in state.latest["registry"]


def test_a_checkpoint_older_than_the_data_needs_force(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "younger"
    filled(data, at_ms=MADE_MS + 10 * 86_400_000).close()
    before = tree(data / "journal")
    code, facts = run(capsys, source, "--data-dir", data)
    assert (code, "too old" in facts["problem"]) == (3, True)
    assert run(capsys, source, "--data-dir", data, "--dry-run")[0] == 3
    assert (tree(data / "journal"), hotkeys_of(data)) == (before, OLD)

    code, facts = run(capsys, source, "--data-dir", data, "--force")
    assert (code, "too old" in facts["warnings"][0]) == (0, True)
    assert hotkeys_of(data) == NEW


def test_history_that_begins_later_is_warned_of(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "longer"
    filled(data, accounts=9).close()  # the ninth account began 28 days ago
    code, facts = run(capsys, source, "--data-dir", data)

    assert code == 0
    assert "history here begins" in facts["warnings"][0]


def test_a_managers_lock_is_respected(source: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "run").mkdir(exist_ok=True)
    before = tree(data / "journal")
    with open(data / "run" / "manager.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for more in ((), ("--dry-run",), ("--force",)):
            code, facts = run(capsys, source, "--data-dir", data, *more)
            assert (code, "in use" in facts["problem"]) == (2, True)
    assert tree(data / "journal") == before
    assert run(capsys, source, "--data-dir", data)[0] == 0


def test_a_worker_that_was_started_by_hand_is_respected(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        beat = Heartbeat(data, "rest", SystemClock())
        beat.beat()
        facts = json.loads((data / "run" / "rest.json").read_bytes())
        (data / "run" / "rest.json").write_text(json.dumps({**facts, "pid": sleeper.pid}))
        code, told = run(capsys, source, "--data-dir", data)
        assert (code, "the worker rest" in told["problem"]) == (2, True)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert run(capsys, source, "--data-dir", data)[0] == 0


def test_a_journal_that_somebody_has_open_is_respected(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = SqliteReader(data / "journal" / "journal.sqlite3")
    try:
        code, facts = run(capsys, source, "--data-dir", data)
        assert (code, "open" in facts["problem"]) == (1, True)
    finally:
        reader.close()
    assert hotkeys_of(data) == OLD


def test_a_damaged_journal_can_be_replaced_and_is_kept(
    source: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = data / "journal" / "journal.sqlite3"
    broken = bytearray(journal.read_bytes())
    broken[:100] = b"x" * 100
    journal.write_bytes(broken)
    journal.with_name("journal.sqlite3-wal").write_bytes(b"half a log")
    code, facts = run(capsys, source, "--data-dir", data)

    assert code == 0, facts
    assert "cannot be read" in facts["warnings"][0]
    assert hotkeys_of(data) == NEW
    backup = Path(facts["backup"]) / "journal"
    assert (backup / "journal.sqlite3").read_bytes() == broken
    assert (backup / "journal.sqlite3-wal").read_bytes() == b"half a log"
    assert not journal.with_name("journal.sqlite3-wal").exists() or verify(journal).is_clean


def test_a_directory_that_cannot_be_written_is_a_clear_refusal(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    code, facts = run(capsys, source, "--data-dir", tmp_path / "file" / "data")

    assert code == 2
    assert "cannot be written" in facts["problem"]


def test_a_file_that_is_not_there_is_a_clear_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = run(capsys, tmp_path / "none.json", "--data-dir", tmp_path / "data")

    assert (code, "No such file" in facts["problem"]) == (2, True)


def child(work: Callable[[], Any]) -> int:
    """Run ``work`` in a forked process; its wait status."""
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        with open(os.devnull, "w") as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            work()
            os._exit(0)
    return os.waitpid(pid, 0)[1]


EVENTS = frozenset(("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "shutil.rmtree"))


def die_at(number: int, inside: Path) -> None:
    """kill -9 of this very process at its nth touch of a file in the directory."""
    left = [number]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not str(arguments[0]).startswith(str(inside)):
            return
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def is_whole(data: Path) -> set[str]:
    """Whose journal it is; fails when it is not completely the old or the new one."""
    settings = Settings(data_dir=data)
    open_journal(settings).close()  # as the manager does at boot
    assert verify(settings.journal_path).is_clean
    reader = SqliteReader(settings.journal_path)
    reasons = [era.reason for era in reader.eras()]
    reader.close()
    found = hotkeys_of(data)
    assert (found, reasons) in ((OLD, ["first"]), (NEW, ["first", "restore"]))
    return found


def kill_at_touches(source: Path, tmp_path: Path, step: int) -> None:
    """Kill a restore at its first touch of a file, then ``step`` touches later, until it gets through."""
    seen: list[set[str]] = []
    number = 0
    while True:
        data = tmp_path / f"data{number}"
        settled(data)

        def work(number: int = number, data: Path = data) -> None:
            die_at(number, data)
            main(["restore", str(source), "--data-dir", str(data), "--json"])

        status = child(work)
        seen.append(is_whole(data))
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        number += step
    switched = seen.index(NEW)
    assert 5 // step < switched
    assert all(found == OLD for found in seen[:switched])
    assert all(found == NEW for found in seen[switched:])


@pytest.mark.timeout(300)
def test_killed_at_some_touches_of_files_it_leaves_the_old_or_the_new(source: Path, tmp_path: Path) -> None:
    kill_at_touches(source, tmp_path, 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_every_touch_of_a_file_it_leaves_the_old_or_the_new(source: Path, tmp_path: Path) -> None:
    kill_at_touches(source, tmp_path, 1)


def kill_often(source: Path, data: Path, kills: int, seed: int) -> None:
    """Kill the real command at random moments, again and again on the same directory."""
    print(f"seed {seed}, {kills} kills")
    chance = random.Random(seed)
    command = [sys.executable, "-m", "journal", "restore", str(source), "--data-dir", str(data), "--force"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    subprocess.run(command, env=environ, check=True, capture_output=True, cwd=data.parent)
    whole_s = time.monotonic() - started
    for _ in range(kills):
        process = subprocess.Popen(
            command, env=environ, cwd=data.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(whole_s * chance.uniform(0.3, 1.1))  # a random moment, not a wait for something
        process.kill()
        process.wait()
        assert verify(data / "journal" / "journal.sqlite3").is_clean
        assert hotkeys_of(data) in (OLD, NEW)


@pytest.mark.timeout(300)
def test_killed_at_random_moments_it_leaves_a_whole_journal(source: Path, data: Path) -> None:
    kill_often(source, data, KILLS, SEED)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_many_random_moments_it_leaves_a_whole_journal(source: Path, data: Path) -> None:
    kill_often(source, data, SOAK_KILLS, random.SystemRandom().randrange(10**9))
