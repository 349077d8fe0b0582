"""The supervisor against scripted histories: what it does is a function of what the workers do."""

from __future__ import annotations

import random
import signal
from itertools import pairwise
from typing import Any

import pytest

from runtime.clock import FakeClock
from runtime.supervisor import BACKOFF_MAX_S, DRAIN_S, SILENT_S, STARTING_S, Spec, State, Supervisor


class FakeProcess:
    """A command that does what the test says."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.facts: dict[str, Any] | None = None
        self.silence: float | None = 0.0
        self.signals: list[int] = []
        self.dies_on = {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}

    def poll(self) -> int | None:
        return self.code

    def ready(self) -> dict[str, Any] | None:
        return self.facts

    def last_beat_s(self) -> float | None:
        return self.silence

    def signal(self, number: int) -> None:
        self.signals.append(number)
        if number in self.dies_on and self.code is None:
            self.code = self.dies_on[signal.Signals(number)]

    def close(self) -> None:
        pass


class Stage:
    """A supervisor with fake processes and a clock that moves only in ``run``."""

    def __init__(self, *specs: Spec) -> None:
        self.clock = FakeClock()
        self.started: list[tuple[str, FakeProcess]] = []
        self.supervisor = Supervisor(specs, self._spawn, self.clock, jitter=random.Random(1))

    def _spawn(self, spec: Spec) -> FakeProcess:
        process = FakeProcess(len(self.started))
        self.started.append((spec.name, process))
        return process

    def run(self, seconds: float = 0.0) -> None:
        until = self.clock.monotonic() + seconds
        self.supervisor.tick()
        while self.clock.monotonic() < until:
            self.clock.advance(0.05)
            self.supervisor.tick()

    def state(self, name: str) -> State:
        return self.supervisor.children[name].state

    def names(self) -> list[str]:
        return [name for name, _ in self.started]


def spec(name: str, **options: Any) -> Spec:
    return Spec(name, ("true",), **options)


def test_runs_only_after_the_readiness_line() -> None:
    stage = Stage(spec("rest"))
    stage.run()

    assert stage.state("rest") is State.STARTING

    stage.started[0][1].facts = {"port": 1}
    stage.run()

    assert stage.state("rest") is State.RUNNING


def test_starts_again_with_growing_delays_after_crashes() -> None:
    stage = Stage(spec("rest"))
    starts = []
    for _ in range(8):
        while len(stage.started) == len(starts):
            stage.run(0.05)
        starts.append(stage.clock.monotonic())
        stage.started[-1][1].code = 1
    gaps = [later - earlier for earlier, later in pairwise(starts)]

    assert gaps[0] < 0.5
    assert gaps[-1] > 5 * gaps[0]
    assert max(gaps) <= BACKOFF_MAX_S + 0.1


@pytest.mark.parametrize("code", [2, 3])
def test_never_starts_again_what_cannot_boot(code: int) -> None:
    stage = Stage(spec("poll-o2"), spec("rest"))
    stage.run()
    stage.started[0][1].code = code
    stage.run(120)

    assert stage.state("poll-o2") is State.FATAL
    assert stage.names().count("poll-o2") == 1
    assert not stage.supervisor.finished(), "a venue that cannot boot takes nobody down"


def test_ends_with_3_when_an_essential_worker_cannot_boot() -> None:
    stage = Stage(spec("rest", essential=True), spec("ws"))
    stage.run()
    stage.started[0][1].code = 3
    stage.run(1)

    assert stage.supervisor.finished()
    assert stage.supervisor.exit_code() == 3
    assert stage.started[1][1].signals == [signal.SIGTERM]


def test_waits_for_the_workers_it_comes_after() -> None:
    stage = Stage(spec("poll", after=("sandbox",)), spec("sandbox"))
    stage.run(1)

    assert stage.names() == ["sandbox"]

    stage.started[0][1].facts = {}
    stage.run(1)

    assert stage.names() == ["sandbox", "poll"]


def test_a_silent_worker_is_killed_and_replaced() -> None:
    stage = Stage(spec("rest"))
    stage.run()
    first = stage.started[0][1]
    first.facts = {}
    stage.run(1)
    first.silence = SILENT_S + 1
    stage.run(2)

    assert first.signals == [signal.SIGKILL]
    assert len(stage.started) == 2


def test_a_worker_that_never_gets_ready_is_killed() -> None:
    stage = Stage(spec("rest"))
    stage.run(STARTING_S + 2)

    assert stage.started[0][1].signals == [signal.SIGKILL]
    assert len(stage.started) == 2


def test_drains_then_kills_what_does_not_stop() -> None:
    stage = Stage(spec("rest"), spec("ws"))
    stage.run()
    stubborn = stage.started[1][1]
    stubborn.dies_on = {signal.SIGKILL: -9}
    stage.supervisor.note_signal(signal.SIGTERM)
    stage.run(DRAIN_S - 1)

    assert stage.started[0][1].code == 0
    assert stubborn.signals == [signal.SIGTERM]

    stage.run(2)

    assert signal.SIGKILL in stubborn.signals
    assert stage.supervisor.finished()
    assert stage.supervisor.exit_code() == 0


def test_hangup_is_passed_on_and_stops_nothing() -> None:
    stage = Stage(spec("rest"))
    stage.run()
    stage.supervisor.note_signal(signal.SIGHUP)
    stage.run(1)

    assert stage.started[0][1].signals == [signal.SIGHUP]
    assert not stage.supervisor.finished()


def test_a_steady_worker_starts_again_with_the_shortest_delay() -> None:
    stage = Stage(spec("rest"))
    for _ in range(6):
        before = len(stage.started)
        while len(stage.started) == before:
            stage.run(0.05)
        stage.started[-1][1].code = 1
    while len(stage.started) == 6:
        stage.run(0.05)
    stage.started[-1][1].facts = {}
    stage.run(60)
    stage.started[-1][1].code = 1
    at = stage.clock.monotonic()
    while len(stage.started) == 7:
        stage.run(0.05)

    assert stage.clock.monotonic() - at < 0.5
