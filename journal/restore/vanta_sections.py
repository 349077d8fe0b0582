"""The sections of Vanta's checkpoints, each with the types its fields must have where they are there."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec

from journal.restore.content import check_order, require, steps_of
from journal.restore.problem import Refused, moved, within
from vanta_api.records import RestingOrder, TradePairTuple
from vanta_api.wire import WireError, order_from_vanta, trade_pair_from_vanta

Number = int | float
Steps = list[tuple[str, int]]

_OLDEST: Final = {"testing": "CHALLENGE", "success": "MAINCOMP"}
_DROPPED: Final = frozenset(("trade_pair", "trade_pair_id"))  # of an order inside a position: its position's


class Order(msgspec.Struct):
    """An order inside a position."""

    order_type: str
    price: Number
    processed_ms: Number
    order_uuid: str | int
    leverage: Number | None = None
    value: Number | None = None
    quantity: Number | None = None
    bid: Number | None = None
    ask: Number | None = None
    slippage: Number | None = None
    quote_usd_rate: Number | None = None
    usd_base_rate: Number | None = None
    price_sources: list[dict[str, Any]] | None = None
    src: int | None = None
    execution_type: str | None = None
    limit_price: Number | None = None
    stop_loss: Number | None = None
    take_profit: Number | None = None
    venue: dict[str, Any] | None = None


class Position(msgspec.Struct):
    """A position of any generation."""

    miner_hotkey: str
    position_uuid: str
    open_ms: Number
    trade_pair: list[Any] | str | dict[str, Any]
    orders: list[Order] = []
    current_return: Number | None = None
    close_ms: Number | None = None
    net_leverage: Number | None = None
    net_value: Number | None = None
    net_quantity: Number | None = None
    return_at_close: Number | None = None
    average_entry_price: Number | None = None
    initial_entry_price: Number | None = None
    cumulative_entry_value: Number | None = None
    account_size: Number | None = None
    realized_pnl: Number | None = None
    unrealized_pnl: Number | None = None
    position_type: str | None = None
    is_closed_position: bool | None = None
    venue: dict[str, Any] | None = None


class Dashboard(msgspec.Struct):
    """A hotkey's positions; its figures are computed anew."""

    positions: list[Position]

    def unknown(self, value: Mapping[str, Any]) -> set[str]:
        """Names of fields that our records have no room for."""
        rows = value["positions"]
        own, orders = set(Position.__struct_fields__), set(Order.__struct_fields__) | _DROPPED
        found = {f"positions[].{name}" for row in rows for name in row.keys() - own}
        return found | {
            f"positions[].orders[].{name}"
            for row in rows
            for order in row.get("orders") or ()
            for name in order.keys() - orders
        }


class AccountSize(msgspec.Struct):
    """An account-size record."""

    account_size: float
    update_time_ms: int
    account_size_theta: float = 0.0
    valid_date_timestamp: int = 0


class Elimination(msgspec.Struct):
    """Who is out; older rows have only some of the fields."""

    hotkey: str
    reason: str
    elimination_initiated_time_ms: int
    dd: float | None = None
    price_info: dict[str, Any] | None = None
    return_info: dict[str, Any] | None = None


class LedgerCheckpoint(msgspec.Struct):
    """One span of a ledger; more keys are kept."""

    last_update_ms: int
    accum_ms: int | None = None
    open_ms: int | None = None
    n_updates: int | None = None
    prev_portfolio_ret: float | None = None
    prev_portfolio_realized_pnl: float | None = None
    prev_portfolio_unrealized_pnl: float | None = None
    prev_portfolio_spread_fee: float | None = None
    prev_portfolio_carry_fee: float | None = None
    gain: float | None = None
    loss: float | None = None
    spread_fee_loss: float | None = None
    carry_fee_loss: float | None = None
    mdd: float | None = None
    mpv: float | None = None
    realized_pnl: float | None = None
    unrealized_pnl: float | None = None
    equity_ret: float | None = None
    cumulative_fees_usd: float | None = None


class Ledger(msgspec.Struct):
    """A performance ledger."""

    cps: list[LedgerCheckpoint]
    initialization_time_ms: int | None = None
    max_return: float | None = None
    target_cp_duration_ms: int | None = None
    target_ledger_window_ms: int | None = None
    last_known_prices: dict[str, tuple[float, int]] | None = None


class Bucket(msgspec.Struct):
    """Which bucket a hotkey is in since when."""

    bucket: str
    bucket_start_time: int
    previous_bucket: str | None = None
    previous_bucket_start_time: int | None = None


def elimination_row(row: Elimination) -> dict[str, Any]:
    """The row with every field."""
    infos = {"price_info": row.price_info or {}, "return_info": row.return_info or {}}
    return {**msgspec.structs.asdict(row), **infos}


def buckets(section: Any) -> dict[str, Steps]:
    """Hotkey → the buckets it was in since when, oldest first. Raises Refused.

    ``{hotkey: row}``, ``{hotkey: [row, ...]}`` newest first, or ``{"testing": {...}, "success": {...}}``.
    """
    found: dict[str, Steps] = {}
    with within("challengeperiod"):
        rows = msgspec.convert(section, dict[str, Any])
    if rows and rows.keys() <= _OLDEST.keys():
        for name, row in rows.items():
            with within(f"challengeperiod.{name}"):
                starts = msgspec.convert(row, dict[str, int])
            found |= {hotkey: [(_OLDEST[name], ms)] for hotkey, ms in starts.items()}
        return found
    for hotkey, row in rows.items():
        with within(f"challengeperiod.{hotkey}"):
            if isinstance(row, list):
                known = msgspec.convert(row, Annotated[list[Bucket], msgspec.Meta(min_length=1)])
                found[hotkey] = [(one.bucket, one.bucket_start_time) for one in reversed(known)]
            else:
                found[hotkey] = steps_of(msgspec.convert(row, Bucket))
    return found


def ledger_value(value: Any) -> dict[str, Any]:
    """A flat ledger or a bundle as it is, without keys that are null. Raises msgspec.ValidationError."""
    if not isinstance(value, dict) or "cps" in value:
        return _one_ledger(value)
    return {name: _in_bundle(name, ledger) for name, ledger in value.items()}


def _in_bundle(name: str, value: Any) -> dict[str, Any]:
    try:
        return _one_ledger(value)
    except msgspec.ValidationError as error:
        raise moved(error, f".{name}") from None


def _one_ledger(value: Any) -> dict[str, Any]:
    checkpoints = msgspec.convert(value, Ledger).cps
    for number, (before, after) in enumerate(pairwise(checkpoints), 1):
        if after.last_update_ms < before.last_update_ms:
            raise msgspec.ValidationError(f"Out of order - at `$.cps[{number}].last_update_ms`")
    return {name: found for name, found in value.items() if found is not None}


def limit_orders(section: Any, rows: Mapping[str, TradePairTuple]) -> list[RestingOrder]:
    """All resting orders, of the form that Vanta writes or the one it reads. Raises Refused.

    ``rows``: what is known of trade pairs by id; an order names its own by id alone.
    """
    with within("limit_orders"):
        outer = msgspec.convert(section, dict[str, dict[str, list[Any]] | list[Any]])
    found = []
    for key, inner in outer.items():
        lists = {None: inner} if isinstance(inner, list) else dict(inner)
        for hotkey, orders in lists.items():
            path = f"limit_orders.{key}" if hotkey is None else f"limit_orders.{key}.{hotkey}"
            for number, row in enumerate(orders):
                pair = None if hotkey is None else key
                order = _resting(row, hotkey or key, pair, f"{path}[{number}]", rows)
                check_order(order, f"{path}[{number}]")
                found.append(order)
    return found


def _resting(
    row: Any, hotkey: str, pair_id: str | None, path: str, rows: Mapping[str, TradePairTuple]
) -> RestingOrder:
    require(isinstance(row, dict), path, "expected an object")
    try:
        own_pair = row.get("trade_pair_id") or row.get("trade_pair") or pair_id
        pair = trade_pair_from_vanta(own_pair)
        with within(path):
            msgspec.convert({**row, "price": row.get("price") or 0.0}, Order)
        order = order_from_vanta({**row, "price": row.get("price") or 0.0})
    except WireError as fault:
        where, _, problem = str(fault).partition(": ")
        raise Refused(f"{path}.{where}", problem) from None
    require(pair_id in (None, pair[0]), f"{path}.trade_pair_id", f"is not {pair_id}, under which it stands")
    return RestingOrder(
        miner_hotkey=hotkey,
        trade_pair_id=pair[0],
        trade_pair=rows.get(pair[0], pair),
        **msgspec.structs.asdict(order),
    )
