"""Vanta's JSON, both ways: tolerant of every generation on the way in, one shape on the way out.

Rule 1: an open position's ``close_ms`` is 0 on REST and null on the WebSocket and in the journal.
Rule 2: what comes in may lack fields, carry old ones, spell enums in several ways and contain
``Infinity``; what leaves is strict JSON with every key present.
Rule 3: nothing is recomputed: stored returns of historical positions stay as they were written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from vanta_api.records import (
    ExecutionType,
    Order,
    OrderType,
    Position,
    PriceSource,
    TradePairTuple,
    VenueFacts,
    encode,
)

SLIPPAGE_V1_MS: Final = 1_739_937_600_000  # orders from here on are filled at price and slippage
_LATEST_MS: Final = 2**53  # beyond, JSON readers lose whole milliseconds
_ORDER_TYPES: Final = get_args(OrderType)
_EXECUTION_TYPES: Final = get_args(ExecutionType)
_POSITION_FLOATS: Final = (
    *("net_leverage", "net_value", "net_quantity", "average_entry_price", "cumulative_entry_value"),
    *("account_size", "realized_pnl", "unrealized_pnl"),
)
_ORDER_FLOATS: Final = ("bid", "ask", "slippage", "quote_usd_rate", "usd_base_rate")
_ORDER_OPTIONAL_FLOATS: Final = (
    *("leverage", "value", "quantity", "limit_price", "stop_loss", "take_profit"),
)
_SOURCE_FLOATS: Final = ("open", "close", "vwap", "high", "low", "bid", "ask")


class WireError(ValueError):
    """A record that cannot be read; the text starts with the path of the field."""


def entry_price(price: float, slippage: float, size: float, processed_ms: int) -> float:
    """The price an order of signed ``size`` really paid: slippage counts since ``SLIPPAGE_V1_MS``."""
    if processed_ms < SLIPPAGE_V1_MS:
        return price
    return price * (1 + slippage) if size > 0 else price * (1 - slippage)


# --- out --------------------------------------------------------------------------------------------


def rest_fragment(position: Position, *, sources_since_ms: int | None = None) -> bytes:
    """The position's JSON as REST shows it: open is ``close_ms`` 0.

    ``sources_since_ms``: orders processed earlier are shown without their price sources.
    """
    orders = position.orders
    if sources_since_ms is not None:
        orders = tuple(_without_old_sources(order, sources_since_ms) for order in orders)
    return encode(msgspec.structs.replace(position, close_ms=position.close_ms or 0, orders=orders))


def to_vanta(position: Position, *, rest: bool = False) -> dict[str, Any]:
    """The position as plain values; ``rest`` writes ``close_ms`` 0 for an open one."""
    plain: dict[str, Any] = msgspec.to_builtins(position)
    plain["trade_pair"] = list(position.trade_pair)
    if rest:
        plain["close_ms"] = position.close_ms or 0
    return plain


def _without_old_sources(order: Order, since_ms: int) -> Order:
    if order.processed_ms >= since_ms or not order.price_sources:
        return order
    return msgspec.structs.replace(order, price_sources=())


# --- in ---------------------------------------------------------------------------------------------


def from_vanta(value: Mapping[str, Any]) -> Position:
    """Read one position of any generation. Raises WireError naming the field."""
    orders = tuple(order_from_vanta(row, f"orders[{i}].") for i, row in enumerate(_rows(value, "orders")))
    kind = _enum(value.get("position_type"), _ORDER_TYPES)
    is_closed = bool(value.get("is_closed_position", kind == "FLAT"))
    fields: dict[str, Any] = {name: _number(value.get(name)) for name in _POSITION_FLOATS}
    return Position(
        miner_hotkey=_text(value, "miner_hotkey"),
        position_uuid=_text(value, "position_uuid"),
        open_ms=_time(value.get("open_ms", orders[0].processed_ms if orders else None), "open_ms"),
        trade_pair=trade_pair_from_vanta(value.get("trade_pair")),
        orders=orders,
        current_return=_number(value.get("current_return"), 1.0),
        return_at_close=_number(value.get("return_at_close"), 1.0),
        close_ms=_close_ms(value.get("close_ms"), is_closed, orders),
        initial_entry_price=_initial_entry_price(value, orders),
        position_type=kind,
        is_closed_position=is_closed,
        venue=_venue(value.get("venue"), "venue"),
        **fields,
    )


def order_from_vanta(value: Any, path: str = "") -> Order:
    """Read one executed order; its own trade pair, if any, is dropped. Raises WireError."""
    if not isinstance(value, Mapping):
        raise WireError(f"{path.rstrip('.')}: expected an object")
    order_type = _enum(value.get("order_type"), _ORDER_TYPES)
    if order_type is None:
        raise WireError(f"{path}order_type: expected LONG, SHORT or FLAT")
    fields: dict[str, Any] = {name: _number(value.get(name)) for name in _ORDER_FLOATS}
    fields |= {name: _optional_number(value.get(name)) for name in _ORDER_OPTIONAL_FLOATS}
    return Order(
        order_type=order_type,
        price=_price(value.get("price"), f"{path}price"),
        processed_ms=_time(value.get("processed_ms"), f"{path}processed_ms"),
        price_sources=tuple(_source(row) for row in _rows(value, "price_sources", path)),
        order_uuid=_text(value, "order_uuid", path),
        src=_small(value.get("src")),
        execution_type=_enum(value.get("execution_type"), _EXECUTION_TYPES) or "MARKET",
        venue=_venue(value.get("venue"), f"{path}venue"),
        **fields,
    )


def trade_pair_from_vanta(value: Any) -> TradePairTuple:
    """Read a trade pair: an id, an object with ``trade_pair_id``, or a row of one to many elements."""
    if isinstance(value, Mapping):
        value = [value.get("trade_pair_id"), value.get("trade_pair"), value.get("fees")]
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or not value or not isinstance(value[0], str):
        raise WireError("trade_pair: expected an id, an object or a row that starts with the id")
    display = value[1] if len(value) > 1 and isinstance(value[1], str) else value[0]
    fee, low, high = (_number(value[i]) if len(value) > i else 0.0 for i in (2, 3, 4))
    return (value[0], display, fee, low, high)


def positions_from_checkpoint(checkpoint: Mapping[str, Any]) -> dict[str, tuple[Position, ...]]:
    """All positions of a checkpoint (or of a ``/miner-positions`` answer), by hotkey.

    Both forms of a hotkey's value are read: the dashboard object and the bare list.
    Raises WireError whose path starts with the hotkey.
    """
    hotkeys = checkpoint.get("positions", checkpoint)
    if not isinstance(hotkeys, Mapping):
        raise WireError("positions: expected an object")
    found: dict[str, tuple[Position, ...]] = {}
    for hotkey, held in hotkeys.items():
        dashboard = held if isinstance(held, Mapping) else {"positions": held}
        rows = enumerate(_rows(dashboard, "positions", f"{hotkey}."))
        found[hotkey] = tuple(_at(f"{hotkey}.positions[{i}]", row) for i, row in rows)
    return found


def _at(path: str, row: Any) -> Position:
    if not isinstance(row, Mapping):
        raise WireError(f"{path}: expected an object")
    try:
        return from_vanta(row)
    except WireError as fault:
        raise WireError(f"{path}.{fault}") from None


def _text(value: Mapping[str, Any], name: str, path: str = "") -> str:
    found = value.get(name)
    if found is None or found == "":
        raise WireError(f"{path}{name}: missing")
    return str(found)


def _rows(value: Mapping[str, Any], name: str, path: str = "") -> Sequence[Any]:
    found = value.get(name)
    if found is None:
        return ()
    if not isinstance(found, list | tuple):
        raise WireError(f"{path}{name}: expected a list")
    return found


def _time(value: Any, path: str) -> int:
    number = _optional_number(value)
    if number is None or not 0 <= number <= _LATEST_MS:
        raise WireError(f"{path}: expected ms since 1970")
    return value if isinstance(value, int) else int(number)


def _price(value: Any, path: str) -> float:
    number = _optional_number(value)
    if number is None or number < 0:
        raise WireError(f"{path}: expected a price, 0 or more")
    return number


def _number(value: Any, default: float = 0.0) -> float:
    number = _optional_number(value)
    return default if number is None else number


def _small(value: Any) -> int:
    """An integer that every JSON reader can hold; 0 when there is none."""
    return int(max(-_LATEST_MS, min(_LATEST_MS, _number(value))))


def _optional_number(value: Any) -> float | None:
    """A finite float of a number or of a number's text; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _enum(value: Any, allowed: Sequence[Any]) -> Any:
    """``LONG`` of ``"LONG"``, ``"OrderType.LONG"`` or ``"long"``; None of anything else."""
    word = value.rpartition(".")[2].upper() if isinstance(value, str) else None
    return word if word in allowed else None


def _close_ms(value: Any, is_closed: bool, orders: Sequence[Order]) -> int | None:
    if _optional_number(value):
        return _time(value, "close_ms")
    return orders[-1].processed_ms if is_closed and orders else None


def _initial_entry_price(value: Mapping[str, Any], orders: Sequence[Order]) -> float:
    known = _optional_number(value.get("initial_entry_price"))
    if known is not None:
        return known
    if not orders:
        return 0.0
    first = orders[0]
    size = first.leverage or first.quantity or first.value or 0.0
    return entry_price(first.price, first.slippage, size, first.processed_ms)


def _source(value: Any) -> PriceSource:
    if not isinstance(value, Mapping):
        return PriceSource()
    return PriceSource(
        source=str(value.get("source", "unknown")),
        timespan_ms=_small(value.get("timespan_ms")),
        start_ms=_small(value.get("start_ms")),
        lag_ms=_small(value.get("lag_ms")),
        websocket=bool(value.get("websocket", False)),
        **{name: _optional_number(value.get(name)) for name in _SOURCE_FLOATS},
    )


def _venue(value: Any, path: str) -> VenueFacts | None:
    if value is None:
        return None
    try:
        return msgspec.convert(value, VenueFacts)
    except msgspec.ValidationError as fault:
        raise WireError(f"{path}: {fault}") from None
