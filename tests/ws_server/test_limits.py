"""Counters: places per key, strangers per address, wrong keys per minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import FakeClock
from ws_server.limits import ADDRESSES_MAX, FailedKeys, KeyPlaces, Strangers, TokenBucket


def test_the_sixth_connection_makes_the_oldest_leave() -> None:
    """Five stay, in order of arrival."""
    places: KeyPlaces[str] = KeyPlaces(5)
    assert [places.enter("k", name) for name in "abcde"] == [None] * 5

    assert places.enter("k", "f") == "a"
    assert places.enter("k", "g") == "b"
    assert places.count("k") == 5


def test_keys_do_not_share_places() -> None:
    """Another key's connections never make mine leave."""
    places: KeyPlaces[str] = KeyPlaces(1)
    places.enter("k", "a")

    assert places.enter("other", "b") is None
    assert places.enter("k", "c") == "a"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("kl"), st.integers(0, 9)), max_size=40))
def test_there_are_never_more_than_the_limit(steps: list[tuple[bool, str, int]]) -> None:
    """Whoever comes, leaves or leaves twice."""
    places: KeyPlaces[int] = KeyPlaces(3)
    expected: dict[str, list[int]] = {"k": [], "l": []}
    for enters, key, connection in steps:
        if enters and connection not in expected[key]:
            leaver = places.enter(key, connection)
            assert leaver == (expected[key].pop(0) if len(expected[key]) == 3 else None)
            expected[key].append(connection)
        elif not enters:
            places.leave(key, connection)
            expected[key] = [other for other in expected[key] if other != connection]
        assert places.count(key) == len(expected[key]) <= 3


def test_strangers_are_counted_per_address() -> None:
    """Who authenticated is no stranger any more."""
    strangers = Strangers(2)
    assert strangers.enter("1.1.1.1")
    assert strangers.enter("1.1.1.1")
    assert not strangers.enter("1.1.1.1")
    assert strangers.enter("2.2.2.2")

    strangers.leave("1.1.1.1")

    assert strangers.enter("1.1.1.1")
    assert not strangers.enter("1.1.1.1")


def test_guessing_is_stopped_for_a_minute() -> None:
    """The oldest wrong key leaves the window first."""
    clock = FakeClock()
    failed = FailedKeys(3, clock)
    for _ in range(3):
        assert failed.retry_after_s("a") == 0
        failed.note("a")
        clock.advance(10)

    assert failed.retry_after_s("a") == 30
    assert failed.retry_after_s("b") == 0
    clock.advance(30)
    assert failed.retry_after_s("a") == 0


def test_remembered_addresses_are_bounded() -> None:
    """Guessing from a million addresses must not fill the memory."""
    failed = FailedKeys(1, FakeClock())
    for number in range(ADDRESSES_MAX + 5):
        failed.note(str(number))

    assert failed.retry_after_s("0") == 0
    assert failed.retry_after_s(str(ADDRESSES_MAX + 4)) > 0


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_bucket_never_gives_more_than_burst_and_rate(pauses: list[float]) -> None:
    """Whatever the pauses: at most burst + rate x time."""
    clock = FakeClock()
    bucket = TokenBucket(2.0, 4, clock)
    taken = 0
    for pause in pauses:
        clock.advance(pause)
        taken += bucket.take()
        assert taken <= 4 + 2.0 * clock.monotonic() + 1e-6
