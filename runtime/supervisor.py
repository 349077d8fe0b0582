"""Keeps workers alive: two nouns, Worker (a ``Spec`` that became a ``Child``) and Supervisor.

    STARTING ──ready──► RUNNING ──exit──► BACKOFF ──delay over──► STARTING
        └──exit──► BACKOFF      exit code 2 or 3 in any state ──► FATAL (reason printed, never restarted)

Rule 1: a signal handler only notes the signal; the loop acts on it.
Rule 2: one failing worker never stops another; only an ``essential`` one that is FATAL ends the whole.
Rule 3: children are started from this process's main thread, because a child dies with the thread that
started it (PR_SET_PDEATHSIG), and each in a process group of its own.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

import structlog

from runtime.clock import Clock
from runtime.exit_codes import ExitCode

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 30.0
STEADY_S: Final = 30.0  # a worker that served this long starts again with the shortest delay
STARTING_S: Final = 60.0  # not ready after this long: killed and tried again
SILENT_S: Final = 20.0  # no heartbeat for this long: stuck, killed and started again
DRAIN_S: Final = 10.0  # SIGTERM to SIGKILL
TICK_S: Final = 0.05
NOT_HELPED_BY_RESTART: Final = frozenset({int(ExitCode.USAGE), int(ExitCode.CANNOT_BOOT)})


class State(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    FATAL = "fatal"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run: ``argv`` of a plain command, and whether the product is of use without it.

    ``after`` names workers that must have been ready once before this one starts.
    """

    name: str
    argv: Sequence[str]
    essential: bool = False
    after: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


class Process(Protocol):
    """One started command."""

    pid: int

    def poll(self) -> int | None:
        """Exit code, or None while it runs (negative: killed by that signal)."""

    def ready(self) -> dict[str, Any] | None:
        """The readiness line once it came."""

    def last_beat_s(self) -> float | None:
        """Seconds since the last heartbeat of this very process; None before the first."""

    def signal(self, number: int) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Child:
    """A worker under supervision."""

    spec: Spec
    state: State = State.BACKOFF
    process: Process | None = None
    since: float = 0.0  # monotonic time of the last change of state
    next_start: float = 0.0
    failures: int = 0
    restarts: int = 0
    reason: str = ""
    was_ready: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


class Supervisor:
    """Starts the workers of ``specs`` and keeps them running until ``stop`` is asked for."""

    def __init__(
        self,
        specs: Sequence[Spec],
        spawn: Callable[[Spec], Process],
        clock: Clock,
        *,
        on_change: Callable[[Child], None] = lambda child: None,
        jitter: random.Random | None = None,
    ) -> None:
        self.children = {spec.name: Child(spec) for spec in specs}
        self._spawn, self._clock, self._on_change = spawn, clock, on_change
        self._jitter = jitter or random.Random()
        self._log = structlog.get_logger()
        self._pending: list[int] = []
        self._stopping_since: float | None = None

    def note_signal(self, number: int, frame: object = None) -> None:
        """Signal handler: remember the signal for the loop."""
        self._pending.append(number)

    def run(self) -> int:
        """Supervise until stopped; returns the exit code of the whole."""
        while not self.finished():
            self.tick()
            self._clock.sleep(TICK_S)
        return self.exit_code()

    def tick(self) -> None:
        """One turn: signals, then every child."""
        while self._pending:
            self._handle(self._pending.pop(0))
        for child in self.children.values():
            self._look_after(child)
        if self._stopping_since is None and any(self._is_lost(child) for child in self.children.values()):
            self.stop()

    def stop(self) -> None:
        """Begin the drain: SIGTERM now, SIGKILL after ``DRAIN_S``."""
        if self._stopping_since is not None:
            return
        self._stopping_since = self._clock.monotonic()
        for child in self.children.values():
            if child.process is not None:
                child.process.signal(signal.SIGTERM)
            elif child.state is not State.FATAL:
                self._change(child, State.STOPPED)

    def finished(self) -> bool:
        """True when stopping and no process is left."""
        return self._stopping_since is not None and all(c.process is None for c in self.children.values())

    def exit_code(self) -> int:
        """3 when an essential worker could not boot, else 0."""
        return int(ExitCode.CANNOT_BOOT if any(map(self._is_lost, self.children.values())) else ExitCode.OK)

    def all_ready(self) -> bool:
        """True when every worker that can run is serving."""
        return all(c.state in (State.RUNNING, State.FATAL) for c in self.children.values())

    @staticmethod
    def _is_lost(child: Child) -> bool:
        return child.spec.essential and child.state is State.FATAL

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            for child in self.children.values():
                if child.process is not None:
                    child.process.signal(signal.SIGHUP)
        else:
            self.stop()

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            self._start_if_due(child)
        elif (code := child.process.poll()) is not None:
            self._ended(child, code)
        elif self._stopping_since is not None:
            if self._clock.monotonic() - self._stopping_since > DRAIN_S:
                child.process.signal(signal.SIGKILL)
        elif child.state is State.STARTING:
            self._starting(child)
        elif (silence := child.process.last_beat_s()) is not None and silence > SILENT_S:
            self._kill(child, f"no heartbeat for {silence:.0f} s")

    def _start_if_due(self, child: Child) -> None:
        if child.state is not State.BACKOFF or self._stopping_since is not None:
            return
        waiting = any(not self.children[name].was_ready for name in child.spec.after)
        if not waiting and self._clock.monotonic() >= child.next_start:
            child.process = self._spawn(child.spec)
            self._change(child, State.STARTING)

    def _starting(self, child: Child) -> None:
        assert child.process is not None
        if (facts := child.process.ready()) is not None:
            child.facts, child.was_ready = facts, True
            self._change(child, State.RUNNING)
        elif self._clock.monotonic() - child.since > STARTING_S:
            self._kill(child, f"not ready after {STARTING_S:.0f} s")

    def _kill(self, child: Child, reason: str) -> None:
        assert child.process is not None
        self._log.warning("worker killed", name=child.spec.name, reason=reason)
        child.process.signal(signal.SIGKILL)

    def _ended(self, child: Child, code: int) -> None:
        assert child.process is not None
        child.process.close()
        child.process = None
        child.reason = describe_exit(code)
        if self._stopping_since is not None:
            self._change(child, State.STOPPED)
        elif code in NOT_HELPED_BY_RESTART:
            self._change(child, State.FATAL)
        else:
            self._back_off(child)

    def _back_off(self, child: Child) -> None:
        now = self._clock.monotonic()
        steady = child.state is State.RUNNING and now - child.since > STEADY_S
        child.failures = 1 if steady else child.failures + 1
        child.restarts += 1
        delay = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(child.failures - 1, 10))
        child.next_start = now + delay * (0.5 + self._jitter.random() / 2)
        self._change(child, State.BACKOFF)

    def _change(self, child: Child, state: State) -> None:
        child.state, child.since = state, self._clock.monotonic()
        level = self._log.warning if state in (State.BACKOFF, State.FATAL) else self._log.info
        level("worker " + state, name=child.spec.name, reason=child.reason or None, restarts=child.restarts)
        self._on_change(child)


def describe_exit(code: int) -> str:
    """``exit code 1`` or ``killed by SIGKILL (perhaps out of memory?)``."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}" + (" (perhaps out of memory?)" if -code == signal.SIGKILL else "")
