"""The frame around every worker process: settings, logs, signals, readiness, liveness, orderly end.

Rule 1: no orphans. A worker dies with its manager: by PR_SET_PDEATHSIG, by comparing its parent once
after asking for it, and, where that does not exist, by end of file on an inherited pipe.
Rule 2: a signal only sets an event; the work happens in the worker's own loop.
Rule 3: ready means bound and caught up, never "started".
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final, NoReturn

import structlog

from runtime import logs, settings
from runtime.clock import Clock, SystemClock
from runtime.exit_codes import ExitCode
from runtime.heartbeat import Heartbeat

PR_SET_PDEATHSIG: Final = 1
BEAT_EVERY_S: Final = 1.0


class CannotStart(Exception):
    """The worker cannot boot and starting it again will not help; the text names the next step."""


class Worker:
    """What a worker's main function is handed."""

    def __init__(self, name: str, settings: settings.Settings, clock: Clock) -> None:
        self.name, self.settings, self.clock = name, settings, clock
        self.stop = threading.Event()
        self.reload = threading.Event()
        self._heartbeat = Heartbeat(settings.data_dir, name, clock)
        self._lock = threading.Lock()

    def ready(self, **facts: object) -> None:
        """Tell the manager (or whoever reads our stdout) that the worker serves."""
        self.beat(state="running", **facts)
        line = json.dumps({"ready": True, "worker": self.name, "pid": os.getpid(), **facts}) + "\n"
        if (fd := os.environ.get("VANTA_READY_FD")) is not None:
            os.write(int(fd), line.encode())
        else:
            sys.stdout.write(line)
            sys.stdout.flush()

    def beat(self, **facts: object) -> None:
        """Note that the worker is alive; call at least every two seconds."""
        with self._lock:
            self._heartbeat.beat(**facts)

    def fail(self, message: str, code: ExitCode = ExitCode.CANNOT_BOOT) -> NoReturn:
        """End the process with one clear line."""
        sys.stderr.write(f"{self.name}: {message}\n")
        raise SystemExit(int(code))


def run(name: str, main: Callable[[Worker], int], argv: list[str] | None = None) -> NoReturn:
    """Run ``main`` as the worker ``name``; never returns. ``main`` returns the exit code."""
    die_with_manager()
    resolved = settings.load(sys.argv[1:] if argv is None else argv, os.environ, prog=name)
    logs.configure(name, resolved.log_level)
    worker = Worker(name, resolved, SystemClock())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop.set())
    signal.signal(signal.SIGHUP, lambda *_: worker.reload.set())
    watch_manager(worker.stop)
    try:
        code = main(worker)
    except CannotStart as error:
        worker.fail(str(error))
    except PermissionError as error:
        worker.fail(
            f"{error.filename}: {error.strerror}: give this user access to it or choose another --data-dir"
        )
    except Exception:  # noqa: BLE001 - the outermost frame: log with secrets masked, be replaced
        structlog.get_logger().exception("worker crashed")
        raise SystemExit(int(ExitCode.FAILED)) from None
    raise SystemExit(code)


def die_with_manager() -> None:
    """Ask the kernel to kill us with our manager, and leave at once if it is gone already."""
    manager = os.environ.get("VANTA_MANAGER_PID")
    if manager is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(manager):
        os._exit(ExitCode.FAILED)


def watch_manager(stop: threading.Event) -> None:
    """Set ``stop`` when the inherited pipe closes: the manager is gone (any platform)."""
    fd = os.environ.get("VANTA_LIFE_FD")
    if fd is None:
        return

    def wait() -> None:
        while os.read(int(fd), 1):
            pass  # the manager never writes; only end of file ends the loop
        stop.set()

    threading.Thread(target=wait, name="life-pipe", daemon=True).start()
