"""When to ask again."""

from __future__ import annotations

import random

import pytest

from runtime.clock import FakeClock
from venues.breaker import PROBE_FIRST_S, PROBE_MAX_S, RETRY_MAX_S, SLOWEST, TRIP_AFTER, Breaker, Cadence
from venues.errors import Broken, Rejected, Retryable


def test_the_breaker_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(FakeClock())
    for _ in range(TRIP_AFTER - 1):
        breaker.failed()
    breaker.succeeded()
    for _ in range(TRIP_AFTER - 1):
        breaker.failed()

    assert not breaker.is_open

    breaker.failed()

    assert breaker.is_open
    assert breaker.delay_s() == PROBE_FIRST_S


def test_one_probe_per_interval_while_open_and_longer_waits_after_each() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(TRIP_AFTER):
        breaker.failed()
    waits = []
    for _ in range(8):
        waits.append(breaker.delay_s())
        clock.advance(breaker.delay_s())
        assert breaker.delay_s() == 0.0
        breaker.take_probe()
        assert breaker.delay_s() > 0.0
        breaker.failed()

    assert waits == sorted(waits)
    assert waits[-1] == PROBE_MAX_S


def test_a_probe_that_succeeds_closes_it() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(TRIP_AFTER):
        breaker.failed()
    clock.advance(PROBE_FIRST_S)
    breaker.take_probe()
    breaker.succeeded()

    assert not breaker.is_open
    assert breaker.delay_s() == 0.0


def test_the_cadence_jitters_around_the_interval() -> None:
    cadence = Cadence(5.0, random.Random(1))
    waits = [cadence.after_success() for _ in range(200)]

    assert 4.5 <= min(waits) < 4.7
    assert 5.3 < max(waits) <= 5.5


def test_rate_limits_slow_an_account_down_and_success_speeds_it_up_again() -> None:
    cadence = Cadence(5.0, random.Random(1))
    for _ in range(10):
        cadence.after_failure(Retryable("429", rate_limited=True))
    slow = cadence.after_success()
    for _ in range(40):
        cadence.after_success()

    assert 5.0 * SLOWEST * 0.8 < slow <= 5.0 * SLOWEST * 1.1
    assert cadence.after_success() <= 5.5


@pytest.mark.parametrize("error", [Rejected("no"), Broken("a", "b", "c")])
def test_what_asking_again_does_not_mend_is_asked_rarely(error: Exception) -> None:
    assert Cadence(5.0, random.Random(1)).after_failure(error) == 60.0  # type: ignore[arg-type]


def test_the_venues_own_wish_is_honoured() -> None:
    cadence = Cadence(1.0, random.Random(1))

    assert cadence.after_failure(Retryable("x", after_s=120.0)) >= 120.0
    assert all(cadence.after_failure(Retryable("x")) <= RETRY_MAX_S for _ in range(30))
