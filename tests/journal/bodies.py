"""Bodies as the product writes them, for tests of folds and totals."""

from __future__ import annotations

from journal.entry import Entry
from journal.identity import FIRST, digest, event_id
from vanta_api.records import Order, OrderMessage, Position, PositionMessage, RestingOrder, encode

BTC = ("BTCUSD", "BTC/USD", 0.001, 0.01, 0.5)
ETH = ("ETHUSD", "ETH/USD", 0.001, 0.01, 0.5)


def position_body(
    *,
    open_ms: int = 0,
    close_ms: int | None = None,
    returned: float = 1.0,
    hotkey: str = "5Hot",
    pair: tuple[str, str, float, float, float] = BTC,
    orders: int = 1,
) -> bytes:
    """A ``positions`` body; closed when ``close_ms`` is given."""
    record = Position(
        miner_hotkey=hotkey,
        position_uuid="p",
        open_ms=open_ms,
        trade_pair=pair,
        close_ms=close_ms,
        is_closed_position=close_ms is not None,
        return_at_close=returned,
        orders=tuple(
            Order(order_type="LONG", price=1.0, processed_ms=open_ms, order_uuid=f"o{n}")
            for n in range(orders)
        ),
    )
    return encode(PositionMessage(position=record))


def order_body(*, src: int = 5, processed_ms: int = 0) -> bytes:
    """An ``orders`` body."""
    record = RestingOrder(
        miner_hotkey="5Hot",
        trade_pair_id="BTCUSD",
        trade_pair=BTC,
        order_type="LONG",
        processed_ms=processed_ms,
        order_uuid="o",
        src=src,
    )
    return encode(OrderMessage(order=record))


def entry(stream: str, sequence: int, key: str, body: bytes, time_ms: int = 0) -> Entry:
    """An entry as if it were the key's first."""
    return Entry(stream, sequence, key, event_id(stream, key, FIRST, digest(body)), time_ms, body)
