"""What a client asks for, read and checked.

Rule: a signal that passes here can be carried out if the market and the account allow it; whatever is wrong
with it in itself is said in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Literal, cast

import msgspec

from validator.trade_pairs import TradePair, by_id
from vanta_api.records import OrderType

Execution = Literal["MARKET", "LIMIT", "BRACKET", "LIMIT_CANCEL"]

EXECUTIONS: Final = ("MARKET", "LIMIT", "BRACKET", "LIMIT_CANCEL")
ORDER_TYPES: Final = ("LONG", "SHORT", "FLAT")
SIZES: Final = ("leverage", "value", "quantity")
_UUID: Final = re.compile(r"[!-~]{1,128}")  # printable; what clients make need not be a real uuid
_ECHO: Final = 40  # characters of what was sent that an error repeats


class SignalError(ValueError):
    """What was asked for cannot be done; the text is for the one who asked."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A checked signal. One of the sizes is set (none: all of the position); SHORT sizes are negative.

    ``pair`` is None and ``order_uuid`` is set for a cancellation; ``order_type`` is None for a bracket.
    """

    execution: Execution
    pair: TradePair | None = None
    order_type: OrderType | None = None
    leverage: float | None = None
    value: float | None = None
    quantity: float | None = None
    limit_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    order_uuid: str | None = None


def read_signal(body: Mapping[str, Any]) -> Signal:
    """Read a signal. Raises SignalError."""
    execution = cast(Execution, _word(body, "execution_type", EXECUTIONS, "MARKET"))
    order_uuid = _uuid(body.get("order_uuid"))
    if execution == "LIMIT_CANCEL":
        if order_uuid is None:
            raise SignalError("order_uuid is required to cancel an order")
        return Signal(execution=execution, order_uuid=order_uuid)
    signal = Signal(
        execution=execution,
        pair=_pair(body.get("trade_pair_id")),
        order_type=None if execution == "BRACKET" else _order_type(body),
        limit_price=_price(body, "limit_price") if execution == "LIMIT" else None,
        stop_loss=_price(body, "stop_loss"),
        take_profit=_price(body, "take_profit"),
        order_uuid=order_uuid,
    )
    _check_prices(signal)
    return msgspec.structs.replace(signal, **_size(signal, body))


def check_sides(
    order_type: OrderType, price: float, stop_loss: float | None, take_profit: float | None
) -> None:
    """Raise SignalError unless stop loss and take profit lie on the right sides of a price."""
    sign = 1 if order_type == "LONG" else -1
    is_wrong = (stop_loss is not None and sign * (price - stop_loss) <= 0) or (
        take_profit is not None and sign * (take_profit - price) <= 0
    )
    if not is_wrong:
        return
    order = "stop_loss < price < take_profit" if sign > 0 else "take_profit < price < stop_loss"
    raise SignalError(
        f"{order_type} orders must satisfy: {order}. Got stop_loss={stop_loss}, price={price}, "
        f"take_profit={take_profit}"
    )


def number(value: Any, name: str) -> float | None:
    """A finite number, given as such or as text. Raises SignalError."""
    if value is None:
        return None
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        found = None
    if found is None or not isfinite(found):
        raise SignalError(f"{name} must be a finite number")
    return found


def _order_type(body: Mapping[str, Any]) -> OrderType:
    if body.get("order_type") is None:
        raise SignalError("Missing required field: order_type")
    return cast(OrderType, _word(body, "order_type", ORDER_TYPES, None))


def _word(body: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str | None) -> str:
    value = body.get(name)
    if value is None and default is not None:
        return default
    word = value.upper() if isinstance(value, str) else ""
    if word not in allowed:
        shown = repr(value)[:_ECHO]
        raise SignalError(f"Invalid {name}: {shown}. Valid values are: {', '.join(allowed)}")
    return word


def _pair(value: Any) -> TradePair:
    pair = by_id(value) if isinstance(value, str) else None
    if pair is None:
        raise SignalError(f"Invalid trade pair: {repr(value)[:_ECHO]}")
    return pair


def _uuid(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise SignalError("order_uuid must be text of 1 to 128 printable characters")
    return value


def _price(body: Mapping[str, Any], name: str) -> float | None:
    price = number(body.get(name), name)
    if price is not None and price <= 0:
        raise SignalError(f"{name} must be greater than 0")
    return price


def _check_prices(signal: Signal) -> None:
    if signal.execution == "LIMIT":
        if signal.order_type == "FLAT":
            raise SignalError("FLAT order is not supported for LIMIT orders")
        if signal.limit_price is None:
            raise SignalError("limit_price must be set for LIMIT orders")
        if signal.order_type is not None:
            check_sides(signal.order_type, signal.limit_price, signal.stop_loss, signal.take_profit)
    if signal.execution == "BRACKET":
        if signal.stop_loss is None and signal.take_profit is None:
            raise SignalError("BRACKET orders must have at least one of stop_loss and take_profit")
        if signal.stop_loss == signal.take_profit:
            raise SignalError("stop_loss and take_profit must be different")
    if signal.order_type == "FLAT" and (signal.stop_loss is not None or signal.take_profit is not None):
        raise SignalError("FLAT orders take no stop_loss and no take_profit")


def _size(signal: Signal, body: Mapping[str, Any]) -> dict[str, float]:
    """The size by its name. A FLAT order has none, a bracket may have one."""
    sizes = {name: found for name in SIZES if (found := number(body.get(name), name)) is not None}
    if signal.order_type == "FLAT":
        return {}
    if len(sizes) != 1 and (signal.execution != "BRACKET" or sizes):
        raise SignalError(f"Exactly one of {', '.join(SIZES)} must be set, got {', '.join(sizes) or 'none'}")
    for name, size in sizes.items():
        if size == 0:
            raise SignalError(f"{name} must not be 0")
        if signal.order_type == "LONG" and size < 0:
            raise SignalError(f"{name} must be positive for LONG orders")
        sizes[name] = -abs(size) if signal.order_type == "SHORT" else abs(size)
    return sizes
