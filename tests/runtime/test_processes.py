"""Supervision with real processes: readiness, orderly stop, crashes, and no orphans after kill -9."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.boot import CannotBoot, claim_data_dir, require_free_port
from runtime.clock import SystemClock
from runtime.process import SystemProcess
from runtime.supervisor import Spec, State, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent

WORKER = """
import sys
from runtime.worker import Worker, run
def main(worker: Worker) -> int:
    worker.ready(port=1)
    while not worker.stop.wait(0.05):
        worker.beat()
    return 0
run(sys.argv.pop(1), main)
"""

MANAGER = """
import os, sys
from pathlib import Path
from runtime import logs
from runtime.clock import SystemClock
from runtime.process import SystemProcess
from runtime.supervisor import Spec, Supervisor
logs.configure("manager")
data, worker = Path(sys.argv[1]), sys.argv[2]
clock = SystemClock()
specs = [Spec(f"w{n}", [sys.executable, "-c", worker, f"w{n}", "--data-dir", str(data)]) for n in range(3)]
supervisor = Supervisor(specs, lambda spec: SystemProcess(spec, data, clock, os.environ), clock)
while not supervisor.all_ready():
    supervisor.tick()
    clock.sleep(0.02)
print(*[c.process.pid for c in supervisor.children.values()], flush=True)
supervisor.run()
"""


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def supervise(data: Path, *codes: str) -> Supervisor:
    clock = SystemClock()
    specs = [
        Spec(f"w{n}", [sys.executable, "-c", code, f"w{n}", "--data-dir", str(data)])
        for n, code in enumerate(codes)
    ]
    return Supervisor(specs, lambda spec: SystemProcess(spec, data, clock, environ()), clock)


def turn(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    def ticked() -> bool:
        supervisor.tick()
        return condition()

    until(ticked)


def test_a_worker_is_ready_beats_restarts_after_kill_and_drains(tmp_path: Path) -> None:
    supervisor = supervise(tmp_path, WORKER)
    child = supervisor.children["w0"]
    turn(supervisor, lambda: child.state is State.RUNNING)
    process = child.process
    assert process is not None
    assert child.facts["port"] == 1
    turn(supervisor, lambda: process.last_beat_s() is not None)
    os.kill(process.pid, signal.SIGKILL)
    turn(supervisor, lambda: child.state is State.BACKOFF)

    assert "SIGKILL" in child.reason

    turn(supervisor, lambda: child.state is State.RUNNING)
    supervisor.stop()
    turn(supervisor, supervisor.finished)

    assert child.reason == "exit code 0"
    assert supervisor.exit_code() == 0


def test_bad_settings_are_fatal_with_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    supervisor = supervise(
        tmp_path, WORKER.replace("sys.argv.pop(1), main", "'w0', main, ['--api-rest-port', 'x']")
    )
    child = supervisor.children["w0"]
    turn(supervisor, lambda: child.state is State.FATAL)
    supervisor.stop()
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("w0:")]

    assert len(said) == 1
    assert "api_rest_port" in said[0]


def test_no_orphans_when_the_manager_is_killed(tmp_path: Path) -> None:
    for _ in range(3):
        manager = subprocess.Popen(
            [sys.executable, "-c", MANAGER, str(tmp_path), WORKER],
            env=environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with manager:
            assert manager.stdout is not None
            pids = [int(pid) for pid in manager.stdout.readline().split()]
            assert len(pids) == 3
            manager.kill()
        until(lambda pids=pids: not any(map(is_alive, pids)), 5.0)  # type: ignore[misc]


def test_a_worker_started_by_hand_prints_its_readiness(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, "w", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, env=environ(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)

        assert '"ready": true' in line
        assert process.wait(10) == 0


def test_a_data_directory_has_one_manager(tmp_path: Path) -> None:
    lock = claim_data_dir(tmp_path / "data")
    with pytest.raises(CannotBoot, match="another api_manager"):
        claim_data_dir(tmp_path / "data")
    os.close(lock)
    os.close(claim_data_dir(tmp_path / "data"))


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotBoot, match="cannot be written"):
        claim_data_dir(tmp_path / "file")


def test_a_port_in_use_is_named_and_its_owner_lives() -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with pytest.raises(CannotBoot, match=f"127.0.0.1:{port} is in use"):
            require_free_port("127.0.0.1", port, "--api-rest-port")

        socket.create_connection(("127.0.0.1", port)).close()
