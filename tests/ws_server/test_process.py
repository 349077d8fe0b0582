"""The worker as a process: boot, kill -9, SIGTERM, key file, ports; with the journal on disk."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from journal.entry import POSITIONS
from journal.sqlite import SqliteJournal
from runtime import usage
from runtime.exit_codes import ExitCode
from tests.ws_server.live import wait_for
from tests.ws_server.process import WorkerProcess, append, lasting_port
from tests.ws_server.raw import CLOSE, close_frame


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """The writer's end of the journal that the worker reads."""
    made = SqliteJournal(tmp_path / "data" / "journal" / "journal.sqlite3")
    yield made
    made.close()


def test_the_worker_serves_the_journal_of_another_process(tmp_path: Path, journal: SqliteJournal) -> None:
    """Entries written here arrive there at once, and the heartbeat says how far it is."""
    append(journal, 30)
    worker = WorkerProcess(tmp_path)
    client = worker.client(0)
    assert worker.facts["sequence"] == 30
    assert client.hear_sequences(30) == list(range(1, 31))
    began = time.monotonic()
    append(journal)
    assert client.hear()["sequence"] == 31
    assert time.monotonic() - began < 1
    wait_for(lambda: worker.beat()["sequence"] == 31, "the heartbeat")
    assert (worker.beat()["subscribers"], worker.beat()["lag"]) == (1, 0)
    assert b"vanta_ws_sequence" in (tmp_path / "data" / "run" / "ws.prom").read_bytes()
    client.close()

    assert worker.terminate() == ExitCode.OK
    assert usage.merged(tmp_path / "data" / "usage")[0]["messages"] == 31
    assert "Traceback" not in worker.stderr()


def test_a_worker_started_alone_makes_an_empty_journal(tmp_path: Path) -> None:
    """Every worker is a plain command."""
    worker = WorkerProcess(tmp_path)
    client = worker.client(0)

    assert client.welcome["current_sequence"] == 0
    client.close()
    assert worker.terminate() == ExitCode.OK


def test_sigterm_tells_subscribers_and_ends_in_time(tmp_path: Path, journal: SqliteJournal) -> None:
    """A notice, then 1012, then exit code 0, all within ten seconds."""
    append(journal, 3)
    worker = WorkerProcess(tmp_path)
    client = worker.client(0)
    assert client.hear_sequences(3) == [1, 2, 3]
    began = time.monotonic()
    worker.popen.terminate()
    notice = client.hear()
    assert (notice["type"], notice["current_sequence"]) == ("server_shutdown", 3)
    found = client.next()
    assert found is not None
    assert (found.opcode, found.close_code) == (CLOSE, 1012)
    client.send(close_frame(1012))
    client.close()

    assert worker.terminate() == ExitCode.OK
    assert time.monotonic() - began < 10


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    """Exit code 3: starting it again will not help, and nobody else's process is touched."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = WorkerProcess(tmp_path, port=port)
        code = worker._reap()

    assert code == ExitCode.CANNOT_BOOT
    assert worker.complaints() == [
        f"ws: 127.0.0.1:{port} is in use: stop what listens there or choose another with --api-ws-port"
    ]


def test_a_damaged_journal_is_one_clear_line(tmp_path: Path) -> None:
    """The line names the command that says more."""
    path = tmp_path / "data" / "journal" / "journal.sqlite3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is not a database" * 400)
    worker = WorkerProcess(tmp_path)

    assert worker._reap() == ExitCode.CANNOT_BOOT
    (line,) = worker.complaints()
    assert "run python -m journal verify" in line


def test_editing_the_key_file_closes_within_a_second(tmp_path: Path, journal: SqliteJournal) -> None:
    """From the write of the file to the close frame; a broken file changes nothing."""
    append(journal, 1)
    worker = WorkerProcess(tmp_path)
    client = worker.client(0)
    assert client.hear()["sequence"] == 1
    keys = tmp_path / "api_keys.json"
    keys.write_text('{"user": "good", ')
    time.sleep(0.6)  # two looks at the broken file
    append(journal, 1)
    assert client.hear()["sequence"] == 2

    began = time.monotonic()
    keys.write_text(json.dumps({"user": "another"}))

    assert client.hear()["code"] == "KEY_REVOKED"
    assert client.close_code() == 4005
    assert time.monotonic() - began < 1
    client.close()
    assert worker.terminate() == ExitCode.OK


def test_a_new_epoch_made_by_another_process_is_told(tmp_path: Path, journal: SqliteJournal) -> None:
    """``journal new-epoch`` while the server runs."""
    append(journal, 5)
    worker = WorkerProcess(tmp_path)
    client = worker.client(0)
    assert client.hear_sequences(5)[-1] == 5
    epoch = journal.new_epoch("new-epoch")

    notice = client.hear()
    assert (notice["type"], notice["reason"], notice["expected_sequence"]) == (
        "resync_required",
        "epoch_changed",
        6,
    )
    assert client.close_code() == 4010
    client.close()
    again = worker.client(5)
    assert (again.welcome["epoch"], again.welcome["reason"]) == (epoch.id, "epoch_changed")
    again.close()
    assert worker.terminate() == ExitCode.OK


class Appender(threading.Thread):
    """Appends without a pause until told to stop."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._path, self._random = path, random.Random(seed)
        self.stopped = threading.Event()
        self.head = 0

    def run(self) -> None:
        journal = SqliteJournal(self._path)
        while not self.stopped.is_set():
            self.head = append(journal, self._random.randrange(1, 6))
            time.sleep(0.002)
        journal.close()


class Follower:
    """A subscriber that reconnects with its last number, whatever happens to the server."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.epochs: set[str] = set()
        self.refusals: list[object] = []

    @property
    def last(self) -> int:
        return self.numbers[-1] if self.numbers else 0

    def follow(self, worker: WorkerProcess, until: int) -> None:
        """Read up to ``until`` or to the end of the connection."""
        with suppress(ConnectionError):
            client = worker.client(self.last)
            self.epochs.add(client.welcome["epoch"])
            if not client.welcome["recovered"]:
                self.refusals.append(client.welcome)
            try:
                while self.last < until:
                    frame = client.hear()
                    self.numbers += [i["sequence"] for i in frame.get("messages", [frame]) if "sequence" in i]
            finally:
                client.close()


def _kill_again_and_again(directory: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    SqliteJournal(directory / "data" / "journal" / "journal.sqlite3").close()
    writer = Appender(directory / "data" / "journal" / "journal.sqlite3", seed)
    writer.start()
    follower = Follower()
    port = lasting_port()
    worker = WorkerProcess(directory, port=port)
    for _ in range(kills):
        killer = threading.Timer(rng.uniform(0.0, 0.25), worker.kill)
        killer.start()
        follower.follow(worker, until=10**9)
        killer.join()
        worker = WorkerProcess(directory, port=port)
    writer.stopped.set()
    writer.join()
    follower.follow(worker, until=writer.head)
    assert worker.terminate() == ExitCode.OK

    assert follower.numbers == list(range(1, writer.head + 1)), f"seed {seed}"
    assert len(follower.epochs) == 1
    assert follower.refusals == []


def test_a_subscriber_survives_kill_9_of_the_server(tmp_path: Path) -> None:
    """Killed at random moments while entries are appended: no gap, no repeat, no changed number."""
    _kill_again_and_again(tmp_path, kills=4, seed=int(os.environ.get("VANTA_SOAK_SEED", "7")))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_subscriber_survives_kill_9_of_the_server_two_hundred_times(tmp_path: Path) -> None:
    """The same, often; the seed is printed."""
    seed = int(os.environ.get("VANTA_SOAK_SEED") or time.time_ns() % 1_000_000)
    _kill_again_and_again(tmp_path, kills=int(os.environ.get("VANTA_SOAK_WS_KILLS", "200")), seed=seed)


def test_no_head_is_lost_between_reading_and_serving(tmp_path: Path, journal: SqliteJournal) -> None:
    """Entries that become durable while the worker boots are part of its stream."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            append(journal, 2)

    writer = threading.Thread(target=write)
    writer.start()
    worker = WorkerProcess(tmp_path)
    client = worker.client(0)
    stop.set()
    writer.join()
    head = journal.head(POSITIONS)

    assert client.hear_sequences(head) == list(range(1, head + 1))
    client.close()
    assert worker.terminate() == ExitCode.OK
