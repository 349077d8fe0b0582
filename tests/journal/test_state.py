"""State is a fold: total, deterministic, the same for every interleaving and from every checkpoint."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.closing import Share
from journal.entry import DURABLE_STREAMS, ORDERS, POSITIONS, REGISTRY, Draft, Entry
from journal.fold import TrimmedError, catch_up
from journal.memory import MemoryJournal
from journal.state import DAY_MS, Dropped, State, Totals
from runtime.clock import FakeClock
from tests.journal.bodies import BTC, ETH, entry, order_body, position_body
from tests.journal.support import entries_of, fill

WINDOW_MS = 1000


def fold(entries: list[Entry], state: State | None = None) -> State:
    state = State(window_ms=WINDOW_MS) if state is None else state
    for each in entries:
        state.apply(each)
    return state


def through_parts(state: State) -> State:
    """A State made from another one's parts, as a checkpoint does it."""
    other = State(window_ms=state.window_ms)
    other.restore(*copy.deepcopy(state.parts()))  # type: ignore[arg-type]
    return other


times = st.integers(0, 5000)
returns = st.sampled_from([0.0, 0.5, 1.0, 1.25, 3.0, -1.0])
position_bodies = st.builds(
    position_body,
    open_ms=st.sampled_from([0, -100_000]),
    close_ms=st.none() | times,
    returned=returns,
    hotkey=st.sampled_from(["5A", "5B"]),
    pair=st.sampled_from([BTC, ETH]),
)
order_bodies = st.builds(order_body, src=st.integers(4, 11), processed_ms=times)
bodies = position_bodies | order_bodies | st.binary(max_size=30)


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Entries of several streams, each stream numbered 1, 2, 3, ... in some interleaving."""
    heads = dict.fromkeys(DURABLE_STREAMS, 0)
    found = []
    for stream in draw(st.lists(st.sampled_from([POSITIONS, POSITIONS, ORDERS, REGISTRY]), max_size=40)):
        heads[stream] += 1
        key = draw(st.sampled_from(["a", "b", "c"]))
        found.append(entry(stream, heads[stream], key, draw(bodies), draw(times)))
    return found


@given(histories(), st.randoms(use_true_random=False))
def test_every_interleaving_gives_the_same_state(history: list[Entry], chance: object) -> None:
    queues = {stream: [e for e in history if e.stream == stream] for stream in DURABLE_STREAMS}
    shuffled = []
    while any(queues.values()):
        stream = chance.choice([s for s, queue in queues.items() if queue])  # type: ignore[attr-defined]
        shuffled.append(queues[stream].pop(0))

    assert fold(shuffled) == fold(history)


@given(histories(), st.integers(0, 40))
def test_a_tail_on_a_checkpoint_gives_the_same_state_as_everything(history: list[Entry], cut: int) -> None:
    checkpoint = through_parts(fold(history[:cut]))

    assert fold(history[cut:], checkpoint) == fold(history)
    assert fold(history, checkpoint) == fold(history)  # entries seen before change nothing


@given(histories())
def test_totals_and_latest_together_count_every_closed_position_once(history: list[Entry]) -> None:
    state = fold(history)

    everything = fold(history, State(window_ms=10**9))
    kept, dropped = state.latest.get(POSITIONS, {}), state.dropped.get(POSITIONS, {})
    assert kept.keys() | dropped.keys() == everything.latest.get(POSITIONS, {}).keys()
    assert not kept.keys() & dropped.keys()
    counted = sum(total.positions for pairs in state.totals.values() for total in pairs.values())
    assert counted == sum(gone.share is not None for gone in dropped.values())


@given(st.binary() | st.text().map(str.encode), st.sampled_from(DURABLE_STREAMS), st.integers())
def test_apply_takes_any_body(body: bytes, stream: str, time_ms: int) -> None:
    state = fold([entry(stream, 1, "k", body, time_ms)])

    assert state.vector == {stream: 1}
    assert state.latest[stream]["k"].body == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"position":' + b"[" * 100_000,
        b'{"position":{"is_closed_position":true}}',
        b'{"position":{"miner_hotkey":"h","open_ms":1e300,"close_ms":1,"trade_pair":[],"return_at_close":1,'
        b'"is_closed_position":true}}',
        position_body(close_ms=1).replace(b'"BTCUSD"', b"null"),
        position_body(close_ms=1).replace(b"1.0", b"1e999"),
        b"\xff\xfe",
        b"",
    ],
)
def test_apply_takes_hostile_bodies(body: bytes) -> None:
    fold([entry(POSITIONS, 1, "a", body), entry(POSITIONS, 2, "b", b"{}", 10 * WINDOW_MS)])


def test_the_newest_entry_of_a_key_wins_and_old_ones_are_ignored() -> None:
    one, two = entry(REGISTRY, 1, "a", b"1", 5), entry(REGISTRY, 2, "a", b"2", 6)

    state = fold([one, two, one])
    assert state.vector == {REGISTRY: 2}
    assert (state.latest[REGISTRY]["a"].body, state.latest[REGISTRY]["a"].time_ms) == (b"2", 6)


def test_a_closed_position_leaves_the_window_and_stays_in_the_totals() -> None:
    closed = position_body(open_ms=0, close_ms=70_000, returned=1.5)
    state = State(window_ms=DAY_MS)
    fold([entry(POSITIONS, 1, "a", closed, 80_000)], state)
    assert list(state.latest[POSITIONS]) == ["a"]

    fold([entry(POSITIONS, 2, "b", position_body(), 80_000 + DAY_MS)], state)
    assert list(state.latest[POSITIONS]) == ["b"]
    assert state.totals == {"5Hot": {"BTCUSD": Totals(1, 1, 1, 1.5, 0)}}
    gone = state.dropped[POSITIONS]["a"]
    assert isinstance(gone, Dropped)
    assert (gone.sequence, gone.share) == (1, Share("5Hot", "BTCUSD", 1.5))


def test_totals_follow_the_rules_of_returns() -> None:
    closed = [(0, 59_999, 9.0), (0, 60_000, 2.0), (0, 70_000, 0.5), (0, 70_000, 1.0), (0, 70_000, 0.0)]
    state = fold(
        [
            entry(POSITIONS, n, f"k{n}", position_body(open_ms=opened, close_ms=ended, returned=value))
            for n, (opened, ended, value) in enumerate(closed, 1)
        ]
    )
    fold([entry(POSITIONS, 9, "z", b"{}", 10 * DAY_MS)], state)

    total = state.totals["5Hot"]["BTCUSD"]
    assert (total.positions, total.lasted, total.profitable, total.zeros) == (5, 4, 1, 1)
    assert total.growth == 1.0
    assert total.product == 0.0


def test_a_dropped_position_that_speaks_again_is_not_counted_twice() -> None:
    closed = position_body(close_ms=70_000, returned=1.5)
    corrected = position_body(close_ms=70_000, returned=1.25)
    state = fold(
        [
            entry(POSITIONS, 1, "a", closed, 70_000),
            entry(POSITIONS, 2, "x", closed, 70_000),
            entry(POSITIONS, 3, "b", b"{}", 90_000),
        ]
    )
    assert state.totals["5Hot"]["BTCUSD"] == Totals(2, 2, 2, 2.25, 0)

    fold([entry(POSITIONS, 4, "a", corrected, 90_001)], state)
    assert state.totals["5Hot"]["BTCUSD"] == Totals(2, 2, 2, 1.5 * 1.25, 0)
    fold([entry(POSITIONS, 5, "a", position_body(), 90_002)], state)
    assert state.totals["5Hot"]["BTCUSD"] == Totals(1, 1, 1, 1.5, 0)
    assert state.latest[POSITIONS]["a"].sequence == 5


def test_open_positions_resting_orders_and_facts_never_leave() -> None:
    state = fold(
        [
            entry(POSITIONS, 1, "open", position_body()),
            entry(ORDERS, 1, "resting", order_body(src=5)),
            entry(ORDERS, 2, "cancelled", order_body(src=7)),
            entry(REGISTRY, 1, "fact", b"{}"),
            entry(POSITIONS, 2, "z", b"{}", 10 * DAY_MS),
            entry(ORDERS, 3, "z", b"{}", 10 * DAY_MS),
        ]
    )

    assert "open" in state.latest[POSITIONS]
    assert set(state.latest[ORDERS]) == {"resting", "z"}
    assert "fact" in state.latest[REGISTRY]


def test_every_key_head_is_remembered_whether_dropped_or_not() -> None:
    journal = MemoryJournal(clock=FakeClock(1))
    journal.append([Draft(POSITIONS, "a", position_body(close_ms=5)), Draft(REGISTRY, "r", b"{}")])
    state = State(window_ms=-10)
    catch_up(state, journal)

    assert "a" in state.dropped[POSITIONS]
    expected = {
        (e.stream, e.key, e.sequence, e.event_id)
        for s in (POSITIONS, REGISTRY)
        for e in entries_of(journal, s)
    }
    assert set(state.key_heads()) == expected


def test_catch_up_reaches_the_present_in_every_stream_and_the_epoch() -> None:
    journal = MemoryJournal()
    fill(journal, 700)
    fill(journal, 3, ORDERS)
    seen: list[Entry] = []
    state = State()

    assert catch_up(state, journal, on_entry=seen.append) == 703
    assert (state.vector[POSITIONS], state.vector[ORDERS], state.epoch) == (700, 3, journal.epoch().id)
    journal.new_epoch("new-epoch")
    assert catch_up(state, journal) == 0
    assert state.vector == journal.heads()
    assert state.epoch == journal.epoch().id
    fill(journal, 1)
    assert catch_up(state, journal) == 1


def test_catch_up_refuses_to_skip_trimmed_entries() -> None:
    journal = MemoryJournal()
    fill(journal, 10)
    journal.trim(POSITIONS, 5)

    with pytest.raises(TrimmedError, match="1 to 5"):
        catch_up(State(), journal)
