"""What a handler is given: messages whose positions and orders read like objects.

Rule 1: an object keeps the server's own JSON; nothing is lost, reordered or rounded, and a field that a
newer server adds can be read at once.
Rule 2: a known field that the server did not send has the default a record has.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from vanta_api import records
from vanta_api.wire import WireError, trade_pair_from_vanta

UNUSUAL_LAG_MS: Final = 10_000
logger = logging.getLogger("VantaWebSocketMessage")


def now_ms() -> int:
    """Wall time in ms."""
    return time.time_ns() // 1_000_000


def _defaults(record: type[msgspec.Struct]) -> dict[str, Any]:
    """``{field: default}`` of a record; None where it has none."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(record):
        has_default = field.default is not msgspec.NODEFAULT
        found[field.name] = field.default if has_default else None
    return found


class TradePair(str):
    """A trade pair that is its own id: it compares, hashes and prints like ``"BTCUSD"``."""

    trade_pair_id: str
    trade_pair: str
    fees: float
    min_leverage: float
    max_leverage: float

    __slots__ = ("fees", "max_leverage", "min_leverage", "trade_pair", "trade_pair_id")

    @classmethod
    def of(cls, value: Any) -> TradePair:
        """Read any of Vanta's forms: an id, a row or an object; of anything else, the empty id."""
        try:
            row = trade_pair_from_vanta(value)
        except WireError:
            row = ("", "", 0.0, 0.0, 0.0)
        made = cls(row[0])
        made.trade_pair_id, made.trade_pair, made.fees, made.min_leverage, made.max_leverage = row
        return made


class Fields:
    """A JSON object whose fields are attributes."""

    _known: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = dict(raw)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._raw:
            return self._raw[name]
        if name in self._known:
            return self._known[name]
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __dir__(self) -> Iterator[str]:
        return iter({*super().__dir__(), *self._known, *self._raw})

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(json.dumps(self._raw, sort_keys=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({json.dumps(self._raw)})"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object as the server sent it (a copy)."""
        return dict(self._raw)

    to_python_dict = to_dict


class VenueFacts(Fields):
    """The ``venue`` object: exact decimal strings and times in ms."""

    _known = _defaults(records.VenueFacts)


class PriceSource(Fields):
    """One quote that was used to price an order."""

    _known = _defaults(records.PriceSource)


class Order(Fields):
    """One order; ``trade_pair`` is that of its position."""

    _known = _defaults(records.Order)

    def __init__(self, raw: Mapping[str, Any], trade_pair: TradePair) -> None:
        own = {name: value for name, value in raw.items() if name not in ("trade_pair", "trade_pair_id")}
        super().__init__({"trade_pair_id": str(trade_pair), **own})
        self.trade_pair = trade_pair

    @property
    def price_sources(self) -> list[PriceSource]:
        """The quotes that priced it."""
        return [PriceSource(row) for row in self._raw.get("price_sources") or ()]

    @property
    def venue(self) -> VenueFacts | None:
        """What the venue said of it."""
        return _venue(self._raw)


class Position(Fields):
    """One position with its orders, oldest first."""

    _known = _defaults(records.Position)

    def __init__(self, raw: Mapping[str, Any]) -> None:
        super().__init__(raw)
        self.trade_pair = TradePair.of(raw.get("trade_pair") or raw.get("trade_pair_id"))
        self.orders = [Order(row, self.trade_pair) for row in raw.get("orders") or ()]

    @property
    def venue(self) -> VenueFacts | None:
        """What the venue said of it."""
        return _venue(self._raw)

    @property
    def is_open_position(self) -> bool:
        """True until the closing order."""
        return not self.is_closed_position

    def compact_dict_no_orders(self) -> dict[str, Any]:
        """The JSON object without ``orders``."""
        return {name: value for name, value in self._raw.items() if name != "orders"}


def _venue(raw: Mapping[str, Any]) -> VenueFacts | None:
    facts = raw.get("venue")
    return VenueFacts(facts) if isinstance(facts, Mapping) else None


class VantaWebSocketMessage:
    """One entry of the stream.

    ``sequence``: its number. ``timestamp``: when it became available, ms. ``position`` and ``new_order``
    (the position's last order): of a ``positions`` entry. For another ``stream`` ``position`` is None,
    ``new_order`` is the resting order of an ``orders`` entry, and ``data`` has everything.
    """

    def __init__(self, raw_message: Mapping[str, Any] | str | bytes, clock_offset_ms: float = 0) -> None:
        """``clock_offset_ms``: how far this machine's clock is ahead of the server's.

        Raises ValueError when it is not an entry's frame.
        """
        raw = raw_message if isinstance(raw_message, Mapping) else msgspec.json.decode(raw_message)
        if not isinstance(raw, Mapping) or not isinstance(raw.get("data"), Mapping):
            raise ValueError("not the frame of an entry: it has no data")
        self.data: Mapping[str, Any] = raw["data"]
        self.stream: str = raw.get("stream", "positions")
        self.sequence: int | None = raw.get("sequence", raw.get("stream_sequence"))
        self.timestamp: float | None = raw.get("timestamp")
        self.repo_version = self.data.get("repo_version") or self.data.get("miner_repo_version")
        self.clock_offset_ms = clock_offset_ms
        held = self.data.get("position")
        self.position: Any = Position(held) if isinstance(held, Mapping) else None
        self.new_order: Any = self._order()
        self._warn_of_lag()

    @property
    def timelag_from_order(self) -> int:
        """Approximate ms since the order was processed; 0 when there is none."""
        return self._since(self.new_order.processed_ms if self.new_order is not None else None)

    @property
    def timelag_from_queue(self) -> int:
        """Approximate ms since the entry became available to the server."""
        return self._since(self.timestamp)

    def format_slack_message(self, server_host: str, server_alias: str | None = None) -> str:
        """The message as a Slack text."""
        server = f"{server_alias} ({server_host})" if server_alias else server_host
        lines = [f"*Vanta message {self.sequence}* from `{server}`", "```", *self._facts(), "```"]
        return "\n".join(lines)

    def __str__(self) -> str:
        if self.position is None:
            return f"VantaWebSocketMessage(stream={self.stream}, seq={self.sequence})\n{_indented(self.data)}"
        order = self.new_order.to_dict() if self.new_order is not None else None
        return (
            f"VantaWebSocketMessage(seq={self.sequence})\n"
            f"Position Summary:\n{_indented(self.position.compact_dict_no_orders())}\n"
            f"New Order:\n{_indented(order)}\n"
            f"Approx Timelag (ms): from_queue={self.timelag_from_queue}, from_order={self.timelag_from_order}"
        )

    def __repr__(self) -> str:
        return f"<VantaWebSocketMessage {self.stream} {self.sequence}>"

    def _order(self) -> Order | None:
        if self.position is not None:
            return self.position.orders[-1] if self.position.orders else None
        row = self.data.get("order")
        if not isinstance(row, Mapping):
            return None
        return Order(row, TradePair.of(row.get("trade_pair") or row.get("trade_pair_id")))

    def _since(self, ms: float | None) -> int:
        return 0 if ms is None else round(now_ms() - ms - self.clock_offset_ms)

    def _warn_of_lag(self) -> None:
        is_live = self.timelag_from_queue <= UNUSUAL_LAG_MS  # a replay is old as a whole
        if is_live and self.position is not None and self.timelag_from_order > UNUSUAL_LAG_MS:
            logger.warning("order is %d ms old: consider ignoring it", self.timelag_from_order)

    def _facts(self) -> Iterator[str]:
        position, order = self.position, self.new_order
        if position is not None:
            yield f"Position {position.trade_pair} | {position.position_type} | {position.net_leverage}x"
            yield f"  Miner: {position.miner_hotkey}, UUID: {position.position_uuid}"
            yield f"  Return: {position.return_at_close}, PnL: {position.realized_pnl}"
        if order is not None:
            yield f"Order {order.order_type} | {order.leverage}x at {order.price}"
            for source in order.price_sources:
                yield f"  - {source.source}: {source.close} (lag {source.lag_ms} ms)"
        yield f"Time lag: queue {self.timelag_from_queue} ms, order {self.timelag_from_order} ms"


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2)
