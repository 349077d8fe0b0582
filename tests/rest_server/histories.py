"""Random histories: what may happen to accounts, played into a world step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from runtime.clock import FakeClock
from tests.rest_server.world import BTC, DAY, FUEL, HOUR, World, fill, new_uuid, position, resting
from validator.tiers import share_of
from vanta_api.records import Order, OrderSource

START = 1_750_000_000_000


def seed_with_share(name: str, low: int, high: int) -> str:
    """A seed whose position uuid has its share in ``low..high-1``."""
    return next(s for n in range(10_000) if low <= share_of(new_uuid(s := f"{name}{n}")) < high)


@dataclass(frozen=True)
class Step:
    """Something that happens ``after_ms`` after the step before."""

    after_ms: int
    kind: str  # open, add, close, mark, place, settle_order, nothing
    hotkey: str
    slot: int
    amount: float


@dataclass
class Script:
    """Plays steps into a world; with ``until_ms`` only those that happened before."""

    world: World
    until_ms: int | None = None
    shares: tuple[int, int] = (0, 100)
    orders: dict[tuple[str, int], list[Order]] = field(default_factory=dict)
    rounds: dict[tuple[str, int], int] = field(default_factory=dict)
    placed: dict[tuple[str, int], int] = field(default_factory=dict)

    def play(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.world.clock.sleep(step.after_ms / 1000)
            if self.until_ms is None or self.world.now < self.until_ms:
                getattr(self, f"do_{step.kind}")(step)

    def do_nothing(self, step: Step) -> None:
        """Only time passes."""

    def do_open(self, step: Step) -> None:
        place = (step.hotkey, step.slot)
        if place not in self.orders:
            self.rounds[place] = self.rounds.get(place, 0) + 1
            self.orders[place] = []
            self._order(step, step.amount)

    def do_add(self, step: Step) -> None:
        if (step.hotkey, step.slot) in self.orders:
            self._order(step, abs(step.amount) * (1 if self._direction(step) > 0 else -1))

    def do_close(self, step: Step) -> None:
        if (step.hotkey, step.slot) in self.orders:
            self._order(step, 0)
            del self.orders[step.hotkey, step.slot]

    def do_mark(self, step: Step) -> None:
        self.world.mark(round(abs(step.amount) + 0.5, 4), pair=(FUEL, BTC)[step.slot % 2])

    def do_place(self, step: Step) -> None:
        place = (step.hotkey, step.slot)
        if place not in self.placed:
            self.placed[place] = self.world.now
            self.world.put_orders(resting(step.hotkey, ("resting", place), self.world.now))

    def do_settle_order(self, step: Step) -> None:
        place = (step.hotkey, step.slot)
        if place in self.placed:
            source = OrderSource.LIMIT_FILLED if step.amount > 0 else OrderSource.LIMIT_CANCELLED
            order = resting(step.hotkey, ("resting", place), self.placed[place], src=int(source))
            self.world.put_orders(order)

    def _direction(self, step: Step) -> float:
        return self.orders[step.hotkey, step.slot][0].quantity or 1.0

    def _order(self, step: Step, quantity: float) -> None:
        place = (step.hotkey, step.slot)
        orders = self.orders[place]
        name = f"{place}-{self.rounds[place]}-"
        seed = seed_with_share(name, *self.shares) if not orders else f"{name}-{len(orders)}"
        orders.append(fill(seed, quantity, abs(step.amount) + 1.0, self.world.now))
        pair = (FUEL, BTC)[step.slot % 2]
        self.world.put(position(step.hotkey, orders, pair, fees=str(len(orders))))


def setup(world: World) -> None:
    """Hotkeys are registration facts, so every one has something very old."""
    for hotkey in ("a", "b"):
        world.put(position(hotkey, [fill(f"old{hotkey}", 1, 2.0, world.now - 30 * DAY)]))


@contextmanager
def a_world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), clock=FakeClock(START))
        try:
            yield world
        finally:
            world.close()


steps = st.builds(
    Step,
    after_ms=st.sampled_from([0, 1, 999, 60_000, HOUR, 5 * HOUR, 11 * HOUR, DAY - 1, DAY, DAY + 1]),
    kind=st.sampled_from(
        ["open", "open", "add", "add", "close", "mark", "mark", "place", "settle_order", "nothing"]
    ),
    hotkey=st.sampled_from(["a", "b"]),
    slot=st.integers(0, 2),
    amount=st.sampled_from([1.0, 2.5, -1.0, -3.0, 0.5]),
)
histories = st.lists(steps, min_size=1, max_size=25)
