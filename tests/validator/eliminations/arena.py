"""A journal with traders in it, prices, and the keepers that judge them."""

from __future__ import annotations

from collections.abc import Iterable

from journal.entry import ORDERS, POSITIONS, Draft, Entry, Journal
from journal.fold import catch_up, entries_after
from journal.state import State
from tests.validator.make import O2_PAIR, fill
from validator.eliminations.departed import Watch
from validator.eliminations.index import Index
from validator.eliminations.keeper import Effect, EliminationKeeper
from validator.positions import identity, order_identity, rebuild
from validator.registry import Registry
from vanta_api.records import (
    MarkMessage,
    OrderMessage,
    Position,
    PositionMessage,
    RestingOrder,
    TradePairTuple,
    VenueFacts,
    decode_order_message,
    decode_position_message,
    encode,
)

T0 = 1_750_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
VERSION = "8.8.9"
OTHER_PAIR: TradePairTuple = ("O2:ETH/USDC", "ETH/USDC", 0.0004, 0.0, 1.0)


class Prices:
    """Marks that tests set; the same at every moment."""

    def __init__(self, **prices: str) -> None:
        self.prices = prices or {"O2:FUEL/USDC": "3"}

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None:
        price = self.prices.get(trade_pair_id)
        if price is None:
            return None
        return MarkMessage(trade_pair_id=trade_pair_id, venue="o2", instrument="x", price=price, time_ms=ms)


def position(
    hotkey: str,
    uuid: str,
    *,
    quantity: str = "2",
    closed: bool = False,
    pair: TradePairTuple = O2_PAIR,
    opened_ms: int = T0 - DAY,
) -> Position:
    """A position opened a day before T0 at 2 (closed an hour later at 2.5)."""
    orders = [fill(quantity, "2", opened_ms, uuid=uuid)]
    if closed:
        orders.append(fill(f"-{quantity}", "2.5", opened_ms + HOUR, uuid=f"{uuid}-end", flat=True))
    venue = VenueFacts(name="o2", account="a1", instrument=pair[1], observed_ms=opened_ms)
    return rebuild(hotkey, orders, pair, 100_000.0, position_uuid=uuid, venue=venue)


def resting(hotkey: str, uuid: str, src: int = 5) -> RestingOrder:
    """A resting order."""
    return RestingOrder(
        miner_hotkey=hotkey,
        trade_pair_id=O2_PAIR[0],
        trade_pair=O2_PAIR,
        order_type="LONG",
        quantity=1.0,
        limit_price=1.5,
        processed_ms=T0 - HOUR,
        order_uuid=uuid,
        src=src,
        venue=VenueFacts(name="o2", account="a1", instrument=O2_PAIR[1], order_id=uuid, status="open"),
    )


def drafts(*records: Position | RestingOrder) -> list[Draft]:
    """What a poller appends."""
    made = []
    for one in records:
        if isinstance(one, Position):
            key, body = f"{one.miner_hotkey}|{one.position_uuid}", encode(PositionMessage(position=one))
            made.append(Draft(POSITIONS, key, body, identity(one)))
        else:
            key, body = f"{one.miner_hotkey}|{one.order_uuid}", encode(OrderMessage(order=one))
            made.append(Draft(ORDERS, key, body, order_identity(one)))
    return made


class Arena:
    """Keepers on a journal, started from its State like a worker."""

    def __init__(
        self,
        journal: Journal,
        prices: Prices | None = None,
        *,
        metagraph: Iterable[str] | None = None,
        effects: Iterable[Effect] = (),
    ) -> None:
        self.journal = journal
        self.members = None if metagraph is None else frozenset(metagraph)
        state = State()
        catch_up(state, journal)
        self.registry = Registry(journal, state)
        self.index = Index(journal)
        self.index.load(state)
        watch = Watch(self.registry, lambda: self.members)
        self.keeper = EliminationKeeper(
            self.index,
            self.registry,
            prices or Prices(),
            VERSION,
            watch=watch,
            effects=tuple(effects),
        )


def entries(journal: Journal, stream: str) -> list[Entry]:
    """Everything in a stream."""
    return list(entries_after(journal, stream, 0))


def newest_positions(journal: Journal) -> dict[str, Position]:
    """The newest record of every position, by key."""
    return {e.key: decode_position_message(e.body).position for e in entries(journal, POSITIONS)}


def newest_orders(journal: Journal) -> dict[str, RestingOrder]:
    """The newest record of every resting order, by key."""
    return {e.key: decode_order_message(e.body).order for e in entries(journal, ORDERS)}
