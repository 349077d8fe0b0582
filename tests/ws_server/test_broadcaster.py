"""Fan-out and catching up, without sockets: what each subscriber gets, in which write."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from journal.entry import ORDERS, POSITIONS, Page
from journal.memory import MemoryJournal
from runtime.clock import FakeClock
from tests.ws_server.helpers import api_key, draft, settings
from tests.ws_server.outlets import FakeLink
from ws_server.broadcaster import HELD_BYTES, Broadcaster
from ws_server.catch_up import CatchUp
from ws_server.pages import Pages
from ws_server.recent import Hole
from ws_server.subscriber import Mode, Subscriber
from ws_server.tail import look
from ws_server.view import View

STREAMS = (POSITIONS, ORDERS)


class Stage:
    """A journal, a broadcaster and whoever listens; turns happen when the test says so."""

    def __init__(self, **changes: Any) -> None:
        self.journal = MemoryJournal()
        self.clock = FakeClock()
        self.settings = settings(**changes)
        self.turns = 0
        self.overflowed: list[Subscriber] = []
        self.lost: list[tuple[Subscriber, str]] = []
        self.broadcaster = Broadcaster(self.settings, self.clock, self._schedule, self.overflowed.append)
        self.after = dict.fromkeys(STREAMS, 0)

    def begin(self) -> None:
        """Start at the journal's head."""
        start = look(self.journal, STREAMS)
        self.broadcaster.begin(start.epoch, start.positions, start.oldest)
        self.after = dict(start.positions)

    def _schedule(self, _: object) -> None:
        self.turns += 1

    def append(
        self, count: int = 1, hotkeys: Sequence[str] = ("hk",), stream: str = POSITIONS, **f: Any
    ) -> None:
        """Write entries, hotkeys in rotation."""
        head = self.journal.head(stream)
        names = [hotkeys[number % len(hotkeys)] for number in range(count)]
        self.journal.append([draft(head + n + 1, name, stream, **f) for n, name in enumerate(names)])

    def read(self) -> None:
        """What the tail does: hand over the next page of each stream."""
        for stream in STREAMS:
            page = self.journal.read(stream, self.after[stream])
            if page.entries:
                self.after[stream] = page.entries[-1].sequence
                self.broadcaster.feed(page, lambda: None)

    def turn(self) -> None:
        """Read and send everything."""
        self.read()
        while self.turns:
            self.turns -= 1
            self.broadcaster.turn()

    def subscriber(
        self, view: View | None = None, fresh: dict[str, int] | None = None, **link: Any
    ) -> Subscriber:
        """Somebody who follows ``view``; live at once if possible."""
        found = Subscriber(FakeLink(**link), api_key(), self.broadcaster.position(POSITIONS))
        self.broadcaster.start(found, view or View(), fresh or {})
        self.broadcaster.join(found)
        return found

    def catch_up(self) -> CatchUp:
        """The replay engine; needs a running loop."""
        self.pages = Pages(lambda: self.journal, self.settings)
        return CatchUp(
            self.settings,
            self.clock,
            self.broadcaster,
            self.pages,
            self.overflowed.append,
            lambda subscriber, reason: self.lost.append((subscriber, reason)),
        )


class NamedLink(FakeLink):
    """Notes whose turn it was."""

    def __init__(self, name: str, order: list[str]) -> None:
        super().__init__()
        self._name, self._order = name, order

    def write(self, frames: bytes) -> int:
        self._order.append(self._name)
        return super().write(frames)


def link_of(subscriber: Subscriber) -> FakeLink:
    """The test's end of the subscriber."""
    assert isinstance(subscriber.link, FakeLink)
    return subscriber.link


@pytest.fixture
def stage() -> Stage:
    """An empty journal, everything at its default."""
    made = Stage()
    made.begin()
    return made


def test_what_became_durable_together_goes_out_in_one_write(stage: Stage) -> None:
    """Twenty entries, one write, still one frame per entry."""
    subscriber = stage.subscriber()
    stage.append(20)
    stage.turn()

    assert len(link_of(subscriber).writes) == 1
    assert link_of(subscriber).sequences == list(range(1, 21))
    assert all("type" not in frame for frame in link_of(subscriber).frames)


def test_subscribers_with_the_same_view_share_the_bytes(stage: Stage) -> None:
    """The frame is built once: it is the same object for everybody."""
    one, two = stage.subscriber(), stage.subscriber()
    stage.append(3)
    stage.turn()

    assert link_of(one).writes[0] is link_of(two).writes[0]


def test_a_turn_has_an_upper_size() -> None:
    """A burst is spread over turns, so that the loop can do other things between them."""
    stage = Stage(turn_bytes=2000)
    stage.begin()
    subscriber = stage.subscriber()
    stage.append(50, pad=300)
    stage.turn()

    assert link_of(subscriber).sequences == list(range(1, 51))
    assert len(link_of(subscriber).writes) > 5
    assert all(len(write) < 3000 for write in link_of(subscriber).writes)


def test_the_reader_waits_while_too_much_is_pending(stage: Stage) -> None:
    """Memory is bounded between the journal and the loop."""
    resumed: list[int] = []
    stage.append(300, pad=10_000)
    after = fed = 0
    while len(resumed) == fed:  # until a page is not answered at once
        page = stage.journal.read(POSITIONS, after)
        after = page.entries[-1].sequence
        stage.broadcaster.feed(page, lambda: resumed.append(1))
        fed += 1

    assert HELD_BYTES < after * 10_200 < HELD_BYTES * 2
    while stage.turns:
        stage.turns -= 1
        stage.broadcaster.turn()
    assert len(resumed) == fed


def test_a_hole_is_never_hidden(stage: Stage) -> None:
    """A reader that skipped a number ends the broadcast."""
    stage.append(3)
    page = stage.journal.read(POSITIONS, 1)
    stage.broadcaster.feed(page, lambda: None)

    with pytest.raises(Hole):
        stage.broadcaster.turn()


def test_a_newcomer_gets_what_is_recent_and_the_rest_live(stage: Stage) -> None:
    """Joining and the last replayed message happen in one turn."""
    stage.append(5)
    stage.turn()
    subscriber = stage.subscriber(fresh={POSITIONS: 2})
    assert subscriber.mode is Mode.LIVE
    stage.append(2)
    stage.turn()

    assert link_of(subscriber).sequences == [3, 4, 5, 6, 7]


def test_a_filtered_view_gets_only_its_entries_with_predecessors(stage: Stage) -> None:
    """Two subscribers of one filter that began at different numbers each get their own chain."""
    view = View(hotkeys=frozenset({"a"}))
    early = stage.subscriber(view)
    stage.append(4, hotkeys=("a", "b"))
    stage.turn()
    late = stage.subscriber(view)
    stage.append(4, hotkeys=("b", "a"))
    stage.turn()
    stage.append(1, hotkeys=("b",))
    stage.turn()
    stage.append(1, hotkeys=("a",))
    stage.turn()

    chain = [(f["sequence"], f["prev_sequence"]) for f in link_of(early).frames]
    assert chain == [(1, 0), (3, 1), (6, 3), (8, 6), (10, 8)]
    chain = [(f["sequence"], f["prev_sequence"]) for f in link_of(late).frames]
    assert chain == [(6, 4), (8, 6), (10, 8)]


def test_a_changed_filter_goes_on_where_the_stream_was(stage: Stage) -> None:
    """No hole, no repeat, and the first filtered frame names the last number that was sent."""
    subscriber = stage.subscriber()
    stage.append(3, hotkeys=("a",))
    stage.turn()
    stage.broadcaster.start(subscriber, View(hotkeys=frozenset({"b"})), {})
    assert stage.broadcaster.join(subscriber)
    stage.append(3, hotkeys=("a", "b"))
    stage.turn()
    stage.broadcaster.start(subscriber, View(hotkeys=frozenset({"a"})), {})
    assert stage.broadcaster.join(subscriber)
    stage.append(1, hotkeys=("a",))
    stage.turn()

    chain = [(frame["sequence"], frame.get("prev_sequence")) for frame in link_of(subscriber).frames]
    assert chain == [(1, None), (2, None), (3, None), (5, 3), (7, 5)]


def test_streams_are_independent(stage: Stage) -> None:
    """Orders reach those who asked for them, under their own numbers."""
    both = stage.subscriber(View(streams=(ORDERS, POSITIONS)))
    only = stage.subscriber()
    stage.append(2)
    stage.append(2, stream=ORDERS)
    stage.turn()

    numbers = [
        (f.get("stream", POSITIONS), f.get("stream_sequence", f.get("sequence")))
        for f in link_of(both).frames
    ]
    assert sorted(numbers) == [(ORDERS, 1), (ORDERS, 2), (POSITIONS, 1), (POSITIONS, 2)]
    assert link_of(only).sequences == [1, 2]


def test_a_full_buffer_leaves_the_live_stream_with_its_cursor() -> None:
    """A slow client costs one integer and what its buffer holds."""
    stage = Stage(write_buffer_bytes=4096, turn_bytes=2048)
    stage.begin()
    slow, quick = stage.subscriber(is_slow=True), stage.subscriber()
    stage.append(40, pad=300)
    stage.turn()

    assert slow.mode is Mode.BEHIND
    assert slow.full_since is not None
    assert slow.cursors == {POSITIONS: link_of(slow).sequences[-1]}
    assert link_of(slow).waiting < 4096 + 3000
    assert link_of(quick).sequences == list(range(1, 41))


def test_a_buffer_over_the_hard_limit_is_reported() -> None:
    """One write that is too much for a client that reads nothing."""
    stage = Stage(write_buffer_bytes=4096, buffer_limit_bytes=64 * 1024, turn_bytes=128 * 1024)
    stage.begin()
    slow = stage.subscriber(is_slow=True)
    stage.append(10, pad=10_000)
    stage.turn()

    assert stage.overflowed == [slow]
    assert slow.mode is Mode.BEHIND


def test_a_closed_link_leaves_by_itself(stage: Stage) -> None:
    """A write that is refused takes the subscriber out, and counts nothing."""
    subscriber = stage.subscriber()
    link_of(subscriber).is_open = False
    stage.append(1)
    stage.turn()

    assert stage.broadcaster.live_count == 0
    assert (subscriber.messages, subscriber.bytes) == (0, 0)


def test_what_was_written_is_counted(stage: Stage) -> None:
    """Metering counts data messages and their bytes, live and replayed."""
    stage.append(2)
    stage.turn()
    subscriber = stage.subscriber(fresh={POSITIONS: 0})
    stage.append(3)
    stage.turn()

    assert subscriber.messages == 5
    assert subscriber.bytes == sum(map(len, link_of(subscriber).writes))


def test_a_heartbeat_tells_what_was_really_sent() -> None:
    """A client that was told a number it does not have knows that it lost something."""
    stage = Stage(write_buffer_bytes=4096, turn_bytes=2048)
    stage.begin()
    slow, quick = stage.subscriber(is_slow=True), stage.subscriber()
    stage.append(40, pad=300)
    stage.turn()
    waiting = Subscriber(FakeLink(), api_key(), 17)

    position = stage.broadcaster.position(POSITIONS)
    assert quick.told(position) == 40
    assert slow.told(position) == link_of(slow).sequences[-1] < 40
    assert waiting.told(position) == 17


def test_replay_meets_live_without_hole_or_repeat_while_entries_arrive() -> None:
    """Batches within the limits until the head is met, single frames after it."""
    stage = Stage(batch_entries=10, recent_entries=5, turn_bytes=1024)
    stage.append(95)
    stage.begin()

    async def scenario() -> Subscriber:
        catch_up = stage.catch_up()
        subscriber = stage.subscriber(fresh={POSITIONS: 3})
        catch_up.add(subscriber)
        while catch_up.waiting:
            await catch_up.serve_next()
            stage.append(1)
            stage.turn()
        await stage.pages.close()
        return subscriber

    subscriber = asyncio.run(scenario())
    stage.append(2)
    stage.turn()

    assert subscriber.mode is Mode.LIVE
    assert link_of(subscriber).sequences == list(range(4, stage.journal.head(POSITIONS) + 1))
    batches = [frame for frame in link_of(subscriber).frames if frame.get("type") == "batch"]
    assert max(frame["count"] for frame in batches) == 10


def test_everyone_who_is_behind_gets_a_page_in_turn() -> None:
    """A long replay does not keep a short one waiting."""
    stage = Stage(batch_entries=10, recent_entries=1, turn_bytes=1024)
    stage.append(200)
    stage.begin()
    order: list[str] = []

    async def scenario() -> None:
        catch_up = stage.catch_up()
        names = {"long": 0, "short": 170, "other": 0}
        for name, cursor in names.items():
            subscriber = stage.subscriber(fresh={POSITIONS: cursor})
            subscriber.link = NamedLink(name, order)
            catch_up.add(subscriber)
        while catch_up.waiting:
            await catch_up.serve_next()
        await stage.pages.close()

    asyncio.run(scenario())

    assert order[:9] == ["long", "short", "other"] * 3
    assert set(order[9:]) == {"long", "other"}


def test_pages_are_shared_by_those_who_resume_together() -> None:
    """A reconnect storm reads the journal once per page, not once per page and client."""
    stage = Stage(batch_entries=10, recent_entries=1, turn_bytes=1024)
    stage.append(100)
    stage.begin()
    reads: list[int] = []
    read = stage.journal.read

    def counted(stream: str, after: int, *limits: int, **more: int) -> Page:
        reads.append(after)
        return read(stream, after, *limits, **more)

    async def scenario() -> list[Subscriber]:
        catch_up = stage.catch_up()
        found = [stage.subscriber(fresh={POSITIONS: cursor}) for cursor in (0, 3, 7, 0, 9)]
        for subscriber in found:
            catch_up.add(subscriber)
        stage.journal.read = counted  # type: ignore[method-assign]
        while catch_up.waiting:
            await catch_up.serve_next()
        await stage.pages.close()
        return found

    found = asyncio.run(scenario())

    assert [link_of(s).sequences[-1] for s in found] == [100] * 5
    assert sorted(reads) == [0, 3, 7, 9, *range(10, 90, 10), 90]


def test_a_page_that_was_trimmed_meanwhile_is_told() -> None:
    """Retention may overtake a replay; the client must know."""
    stage = Stage(batch_entries=10, recent_entries=1, turn_bytes=1024)
    stage.append(50)
    stage.begin()

    async def scenario() -> Subscriber:
        catch_up = stage.catch_up()
        subscriber = stage.subscriber(fresh={POSITIONS: 0})
        catch_up.add(subscriber)
        await catch_up.serve_next()
        stage.journal.trim(POSITIONS, 30)
        await catch_up.serve_next()
        await stage.pages.close()
        return subscriber

    subscriber = asyncio.run(scenario())

    assert stage.lost == [(subscriber, "trimmed")]
    assert link_of(subscriber).sequences == list(range(1, 11))


def test_a_page_read_for_an_old_view_is_thrown_away() -> None:
    """Unsubscribing while a page is being read must not let it through."""
    stage = Stage(batch_entries=10, recent_entries=1, turn_bytes=1024)
    stage.append(50)
    stage.begin()

    async def scenario() -> Subscriber:
        catch_up = stage.catch_up()
        subscriber = stage.subscriber(fresh={POSITIONS: 0})
        catch_up.add(subscriber)
        step = asyncio.ensure_future(catch_up.serve_next())
        await asyncio.sleep(0)
        subscriber.pause()
        await step
        await stage.pages.close()
        return subscriber

    assert link_of(asyncio.run(scenario())).writes == []


def test_a_number_ahead_of_the_broadcast_waits_for_it() -> None:
    """REST showed entry 3 already; the stream begins with 4."""
    stage = Stage()
    stage.begin()
    stage.append(3)

    async def scenario() -> Subscriber:
        catch_up = stage.catch_up()
        subscriber = stage.subscriber(fresh={POSITIONS: 3})
        catch_up.add(subscriber)
        await catch_up.serve_next()
        assert subscriber.mode is Mode.BEHIND
        stage.append(2)
        stage.turn()
        while not catch_up.waiting:
            await asyncio.sleep(0.001)
        await catch_up.serve_next()
        await stage.pages.close()
        return subscriber

    assert link_of(asyncio.run(scenario())).sequences == [4, 5]


def _expected(journal: MemoryJournal, after: int, hotkeys: frozenset[str]) -> list[int]:
    found: list[int] = []
    while (page := journal.read(POSITIONS, after)).entries:
        found.extend(e.sequence for e in page.entries if not hotkeys or e.key.partition("|")[0] in hotkeys)
        after = page.entries[-1].sequence
    return found


def _check(journal: MemoryJournal, subscriber: Subscriber, after: int) -> None:
    hotkeys = subscriber.view.hotkeys
    assert link_of(subscriber).sequences == _expected(journal, after, hotkeys)
    previous = after
    for frame in link_of(subscriber).frames:
        for inner in frame.get("messages", [frame]):
            if hotkeys:
                assert inner["prev_sequence"] == previous
            previous = inner["sequence"]


@pytest.mark.parametrize("seed", range(25))
def test_no_hole_and_no_repeat_whatever_happens_in_which_order(seed: int) -> None:
    """Appends, turns, pages, slow readers and newcomers in random order (the seed is the test's name)."""
    rng = random.Random(seed)
    stage = Stage(
        batch_entries=rng.choice([1, 3, 10]),
        recent_entries=rng.choice([1, 4, 20]),
        turn_bytes=rng.choice([1024, 2000, 5000]),
        write_buffer_bytes=4096,
    )
    stage.append(rng.randrange(40), hotkeys=("a", "b", "c"))
    stage.begin()

    async def scenario() -> list[tuple[Subscriber, int]]:
        catch_up = stage.catch_up()
        everyone: list[tuple[Subscriber, int]] = []
        for _ in range(150):
            what = rng.random()
            if what < 0.35:
                stage.append(rng.randrange(1, 8), hotkeys=("a", "b", "c"), pad=rng.choice([0, 400]))
            elif what < 0.55:
                stage.turn()
            elif what < 0.65:
                after = rng.randrange(stage.broadcaster.position(POSITIONS) + 1)
                view = View(hotkeys=frozenset(rng.sample("abc", rng.randrange(3))))
                subscriber = stage.subscriber(view, {POSITIONS: after}, is_slow=rng.random() < 0.5)
                everyone.append((subscriber, after))
                catch_up.add(subscriber)
            elif what < 0.75 and everyone:
                slow = rng.choice(everyone)[0]
                link_of(slow).drain()
                catch_up.drained(slow)
            elif catch_up.waiting:
                await catch_up.serve_next()
        await _settle(stage, catch_up, everyone)
        return everyone

    everyone = asyncio.run(scenario())

    assert everyone
    assert not stage.lost
    assert not stage.overflowed
    for subscriber, after in everyone:
        _check(stage.journal, subscriber, after)


async def _settle(stage: Stage, catch_up: CatchUp, everyone: list[tuple[Subscriber, int]]) -> None:
    """Let everybody read to the end."""
    while True:
        stage.turn()
        for subscriber, _ in everyone:
            link_of(subscriber).drain()
            catch_up.drained(subscriber)
        if not catch_up.waiting and all(s.mode is Mode.LIVE for s, _ in everyone):
            break
        while catch_up.waiting:
            await catch_up.serve_next()
    await stage.pages.close()


def test_a_page_of_the_past_is_never_of_another_epoch() -> None:
    """A new epoch that began behind our back ends the replay instead of skipping numbers."""
    stage = Stage(batch_entries=10, recent_entries=1, turn_bytes=1024)
    stage.append(50)
    stage.begin()

    async def scenario() -> Subscriber:
        catch_up = stage.catch_up()
        subscriber = stage.subscriber(fresh={POSITIONS: 0})
        stage.broadcaster.epoch = type(stage.broadcaster.epoch)("another", {}, 0)
        catch_up.add(subscriber)
        await catch_up.serve_next()
        await stage.pages.close()
        return subscriber

    subscriber = asyncio.run(scenario())
    assert stage.lost == [(subscriber, "epoch_changed")]
    assert link_of(subscriber).writes == []


def test_an_empty_page_changes_nothing(stage: Stage) -> None:
    """Feeding nothing plans no turn."""
    stage.broadcaster.feed(Page((), 1, 0, stage.broadcaster.epoch.id, False), lambda: None)

    assert stage.turns == 0


def test_the_stream_is_busy_for_a_while_after_an_entry(stage: Stage) -> None:
    """Replays rest only while live subscribers have something to wait for."""
    assert not stage.broadcaster.is_busy
    stage.append(1)
    stage.turn()
    assert stage.broadcaster.is_busy
    stage.clock.advance(0.5)
    assert not stage.broadcaster.is_busy
