"""The one reader of the journal: order, epochs, bounds, faults, and never too far ahead."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from journal.entry import ORDERS, POSITIONS, Page
from journal.memory import MemoryJournal
from tests.ws_server.helpers import draft
from ws_server.tail import PAGES_AHEAD, RestartReason, Start, Tail, look

STREAMS = (POSITIONS, ORDERS)


class Notes:
    """A sink that writes down what it is told, in order."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.numbers: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        self.pages = 0
        self.events: list[tuple[Any, ...]] = []
        self.waiting: list[Callable[[], None]] = []

    def on_page(self, page: Page, done: Callable[[], None]) -> None:
        self.pages += 1
        self.numbers[page.entries[0].stream].extend(entry.sequence for entry in page.entries)
        if self.answers:
            done()
        else:
            self.waiting.append(done)

    def on_oldest(self, stream: str, oldest: int) -> None:
        self.events.append(("oldest", stream, oldest))

    def on_restart(self, start: Start, reason: RestartReason) -> None:
        self.events.append(("restart", reason, start.epoch.id, start.positions[POSITIONS]))

    def on_fault(self, fault: Exception) -> None:
        self.events.append(("fault", str(fault)))


async def until(condition: Callable[[], Any]) -> None:
    """Wait in the loop for the condition, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def tailing(journal: MemoryJournal, sink: Notes) -> Tail:
    """A running tail from the journal's present head."""
    tail = Tail(lambda: journal, STREAMS, look(journal, STREAMS), sink, asyncio.get_running_loop())
    tail.start()
    return tail


def test_many_writers_one_order() -> None:
    """Four writers append to two streams; each stream arrives as 1, 2, 3, ..."""
    journal, sink = MemoryJournal(), Notes()

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for number in range(60):
            stream = rng.choice(STREAMS)
            journal.append(
                [draft(seed * 1000 + number * 3 + i, stream=stream) for i in range(rng.randrange(1, 3))]
            )

    async def scenario() -> None:
        tail = tailing(journal, sink)
        writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            await asyncio.to_thread(writer.join)
        await until(lambda: all(len(sink.numbers[s]) == journal.head(s) for s in STREAMS))
        await asyncio.to_thread(tail.stop)

    asyncio.run(scenario())

    for stream in STREAMS:
        assert sink.numbers[stream] == list(range(1, journal.head(stream) + 1))


def test_a_busy_loop_is_not_flooded() -> None:
    """The reader stops after a few pages until somebody has taken them."""
    journal, sink = MemoryJournal(), Notes(answers=False)
    journal.append([draft(0)])

    async def scenario() -> None:
        tail = tailing(journal, sink)
        for begin in range(1, 4000, 400):
            journal.append([draft(number) for number in range(begin, begin + 400)])
        await until(lambda: sink.pages == PAGES_AHEAD)
        await asyncio.sleep(0.3)  # it would have read on in this time
        assert sink.pages == PAGES_AHEAD
        sink.answers = True
        for done in sink.waiting:
            done()
        await until(lambda: sink.numbers[POSITIONS][-1] == 4001)
        await asyncio.to_thread(tail.stop)

    asyncio.run(scenario())

    assert sink.numbers[POSITIONS] == list(range(2, 4002))


@pytest.mark.parametrize("unread", [0, 3])
def test_a_new_epoch_is_told_after_the_old_ones_last_entry(unread: int) -> None:
    """No entry of the old epoch is lost, none of the new one comes before the notice."""
    journal, sink = MemoryJournal(), Notes()
    journal.append([draft(n) for n in range(5)])

    async def scenario() -> str:
        start = look(journal, STREAMS)
        journal.append([draft(10 + n) for n in range(unread)])
        epoch = journal.new_epoch("new-epoch")
        tail = Tail(lambda: journal, STREAMS, start, sink, asyncio.get_running_loop())
        tail.start()
        await until(lambda: sink.events)
        journal.append([draft(99)])
        await until(lambda: sink.numbers[POSITIONS] and sink.numbers[POSITIONS][-1] > 1_000_000)
        await asyncio.to_thread(tail.stop)
        return epoch.id

    epoch_id = asyncio.run(scenario())

    first = 5 + unread + 1_000_000
    assert sink.numbers[POSITIONS] == [*range(6, 6 + unread), first]
    assert sink.events == [("restart", "epoch_changed", epoch_id, first - 1)]


def test_new_bounds_are_told_without_new_entries() -> None:
    """A client that asks for a trimmed number must be told so at once."""
    journal, sink = MemoryJournal(), Notes()
    journal.append([draft(n) for n in range(5)])

    async def scenario() -> None:
        tail = tailing(journal, sink)
        journal.trim(POSITIONS, 3)
        await until(lambda: sink.events)
        await asyncio.to_thread(tail.stop)

    asyncio.run(scenario())

    assert sink.events == [("oldest", POSITIONS, 4)]


def test_entries_that_were_trimmed_before_they_were_read_are_a_restart() -> None:
    """Better a notice than a hole."""
    journal, sink = MemoryJournal(), Notes()
    journal.append([draft(n) for n in range(5)])

    async def scenario() -> None:
        start = look(journal, STREAMS)
        journal.append([draft(10 + n) for n in range(5)])
        journal.trim(POSITIONS, 8)
        tail = Tail(lambda: journal, STREAMS, start, sink, asyncio.get_running_loop())
        tail.start()
        await until(lambda: sink.events)
        await asyncio.to_thread(tail.stop)

    asyncio.run(scenario())

    assert sink.events[0] == ("restart", "trimmed", journal.epoch().id, 10)


def test_a_journal_that_fails_is_told() -> None:
    """The thread ends; the server decides what that means."""

    class Broken(MemoryJournal):
        is_broken = False

        def read(self, *args: Any, **kwargs: Any) -> Page:
            if self.is_broken:
                raise OSError("no such disk")
            return super().read(*args, **kwargs)

    journal, sink = Broken(), Notes()

    async def scenario() -> None:
        tail = tailing(journal, sink)
        journal.is_broken = True
        await until(lambda: sink.events)
        await asyncio.to_thread(tail.stop)

    asyncio.run(scenario())

    assert sink.events == [("fault", "no such disk")]


def test_stopping_does_not_wait_for_room() -> None:
    """A tail whose pages nobody takes can still be stopped."""
    journal, sink = MemoryJournal(), Notes(answers=False)

    async def scenario() -> None:
        tail = tailing(journal, sink)
        journal.append([draft(number) for number in range(4000)])
        await until(lambda: sink.pages == PAGES_AHEAD)
        async with asyncio.timeout(3):
            await asyncio.to_thread(tail.stop)
        assert not tail._thread.is_alive()

    asyncio.run(scenario())
