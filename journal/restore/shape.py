"""The validator checkpoint as this product writes it: what must be there, and what proves it whole.

Rule 1: every key is always present, so a checkpoint that lacks one is damaged, not old.
Rule 2: ``digests`` holds a SHA-256 for each section, over values in their canonical form. It does not depend
on the order of hotkeys or on white space, so a file that was read and written again by a JSON library still
fits; one that lost or changed a value does not.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from typing import Any, Final

import msgspec

from vanta_api.records import AccountSizeRecord, Position, RestingOrder

HEAD: Final = (
    *("version", "created_timestamp_ms", "created_date", "epoch", "sequence", "sequences"),
    *("youngest_order_processed_ms", "oldest_order_processed_ms"),
)
MAPS: Final = (
    *("challengeperiod", "miner_account_sizes", "positions", "perf_ledgers", "asset_selections"),
    *("limit_orders", "archived"),
)
FACTS: Final = "facts"  # only where it was asked for: the validator's own facts, entry by entry
FACT_STREAMS: Final = ("registry", "ledger")
OWN: Final = frozenset(("epoch", "sequence", "sequences", "archived", "digests", FACTS))  # never Vanta's


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the checkpoint says about itself."""

    version: str
    created_timestamp_ms: int
    created_date: str
    epoch: str
    sequence: int
    sequences: dict[str, int]
    youngest_order_processed_ms: int
    oldest_order_processed_ms: int


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """A hotkey's positions and figures; an open position has ``close_ms`` 0."""

    all_time_returns: float
    thirty_day_returns: float
    n_positions: int
    percentage_profitable: float
    positions: list[Position]


class AccountSize(msgspec.Struct, frozen=True, kw_only=True):
    """What a hotkey's returns are measured against, in USD, from ``valid_date_timestamp`` on."""

    account_size: float
    account_size_theta: float
    update_time_ms: int
    valid_date_timestamp: int


class Elimination(msgspec.Struct, frozen=True, kw_only=True):
    """Who is out and why; ``dd`` is the drawdown in per cent."""

    hotkey: str
    dd: float | None
    reason: str
    elimination_initiated_time_ms: int
    price_info: dict[str, Any]
    return_info: dict[str, Any]


class ChallengePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Which bucket a hotkey is in since when, and which it was in before."""

    bucket: str
    bucket_start_time: int
    previous_bucket: str | None
    previous_bucket_start_time: int | None


class LedgerCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One span of a performance ledger; more keys are kept as they are."""

    last_update_ms: int
    accum_ms: int
    prev_portfolio_ret: float
    prev_portfolio_realized_pnl: float
    prev_portfolio_unrealized_pnl: float
    prev_portfolio_spread_fee: float
    prev_portfolio_carry_fee: float
    open_ms: int
    n_updates: int
    gain: float
    loss: float
    spread_fee_loss: float
    carry_fee_loss: float
    mdd: float
    mpv: float
    realized_pnl: float
    unrealized_pnl: float
    cumulative_fees_usd: float
    equity_ret: float | msgspec.UnsetType = msgspec.UNSET


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """A performance ledger; ``last_known_prices``: trade pair → price and its time in ms."""

    initialization_time_ms: int
    max_return: float
    target_cp_duration_ms: int
    target_ledger_window_ms: int
    cps: list[LedgerCheckpoint]
    last_known_prices: dict[str, tuple[float, int]]


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """Closed positions that are no longer kept one by one; see ``journal.state.Totals``."""

    positions: int
    lasted: int
    profitable: int
    growth: float
    zeros: int


def size_record(hotkey: str, size: Any) -> AccountSizeRecord:
    """The record that an ``AccountSize`` is the row of."""
    return AccountSizeRecord(
        hotkey=hotkey,
        account_size=size.account_size,
        account_size_theta=size.account_size_theta,
        update_time_ms=size.update_time_ms,
        valid_date_timestamp=size.valid_date_timestamp,
    )


@cache
def strict(kind: Any) -> Any:
    """The type with every field required and no other allowed, at every depth."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = [(field.encode_name, strict(field.type)) for field in msgspec.structs.fields(kind)]
        return msgspec.defstruct(kind.__name__, fields, kw_only=True, frozen=True, forbid_unknown_fields=True)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple, dict):
        return origin[tuple(one if one is Ellipsis else strict(one) for one in arguments)]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(strict, arguments))]  # noqa: UP007 - made of values
    return kind


STRICT_DASHBOARD: Final = strict(Dashboard)
STRICT_ORDERS: Final = strict(list[RestingOrder])


def canonical(value: Any) -> bytes:
    """The value's JSON with sorted keys: what is sent, and what digests are made of."""
    return msgspec.json.encode(msgspec.to_builtins(value), order="deterministic")


def value_digest(raw: bytes) -> bytes:
    """Digest of one value's canonical bytes."""
    return sha256(raw).digest()


def map_digest(values: Iterable[tuple[str, bytes]]) -> str:
    """Digest of a section, from each key and its value's digest, in whatever order they come."""
    total = sha256()
    for key, digest in sorted(values):
        total.update(value_digest(key.encode()) + digest)
    return total.hexdigest()


def head_digest(head: Mapping[str, Any]) -> str:
    """Digest of the keys of ``HEAD``."""
    return value_digest(canonical([head[name] for name in HEAD])).hex()


def list_digest(rows: Any) -> str:
    """Digest of a section that is a list."""
    return value_digest(canonical(rows)).hex()
