"""Ledgers by day: what daily metrics are made from, for the portfolio or for one class of assets.

Rule: only days that checkpoints cover completely count; a checkpoint belongs to the UTC day it began in.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from math import fsum
from typing import NamedTuple

import msgspec

from validator.ledger.checkpoint import DAY_MS, PORTFOLIO, Bundle, Checkpoint
from validator.ledger.markets import is_closed_all_day, market_of
from validator.statistics.constants import CLASS_OF_VENUE, CLASSES
from validator.trade_pairs import by_id


class Day(NamedTuple):
    """One complete day, counted since 1970: its logarithmic return, realised P&L, and what is open at its
    end (USD)."""

    number: int
    log_return: float
    realized: float
    unrealized: float

    @property
    def date(self) -> str:
        """``YYYY-MM-DD``."""
        return datetime.fromtimestamp(self.number * DAY_MS / 1000, UTC).date().isoformat()


def complete_days(checkpoints: Iterable[Checkpoint], trade_pair_id: str = PORTFOLIO) -> list[Day]:
    """The complete days, oldest first. A forex pair's days on which its market never opened are left out."""
    by_day: dict[int, list[Checkpoint]] = {}
    for one in checkpoints:
        by_day.setdefault(one.start_ms // DAY_MS, []).append(one)
    return [
        Day(
            number,
            fsum(one.gain + one.loss for one in parts),
            fsum(one.realized_pnl for one in parts),
            parts[-1].unrealized_pnl,
        )
        for number, parts in sorted(by_day.items())
        if sum(one.accum_ms for one in parts) == DAY_MS and not _is_skipped(trade_pair_id, number)
    ]


def class_of(trade_pair_id: str) -> str | None:
    """The class of assets a trade pair is scored in; None for those that only count overall."""
    pair = by_id(trade_pair_id)
    if pair is None:
        return CLASS_OF_VENUE.get(trade_pair_id.partition(":")[0])
    return pair.category if pair.category in CLASSES else None


def class_checkpoints(bundle: Bundle, asset_class: str) -> list[Checkpoint]:
    """All pairs of a class as one series: what each gained, lost and realised, added up span by span.

    ``mdd`` is the worst of any pair: there is no value of the class that a drawdown could be taken from.
    """
    merged: dict[int, Checkpoint] = {}
    for name, ledger in bundle.items():
        if name == PORTFOLIO or class_of(name) != asset_class:
            continue
        for one in ledger.cps:
            known = merged.get(one.last_update_ms)
            merged[one.last_update_ms] = one if known is None else _together(known, one)
    return [merged[end_ms] for end_ms in sorted(merged)]


def _together(one: Checkpoint, other: Checkpoint) -> Checkpoint:
    return msgspec.structs.replace(
        one,
        accum_ms=max(one.accum_ms, other.accum_ms),
        n_updates=one.n_updates + other.n_updates,
        gain=one.gain + other.gain,
        loss=one.loss + other.loss,
        spread_fee_loss=one.spread_fee_loss + other.spread_fee_loss,
        carry_fee_loss=one.carry_fee_loss + other.carry_fee_loss,
        realized_pnl=one.realized_pnl + other.realized_pnl,
        unrealized_pnl=one.unrealized_pnl + other.unrealized_pnl,
        mdd=min(one.mdd, other.mdd),
    )


def _is_skipped(trade_pair_id: str, day_number: int) -> bool:
    if trade_pair_id == PORTFOLIO or market_of(trade_pair_id) != "forex":
        return False
    day = datetime.fromtimestamp(day_number * DAY_MS / 1000, UTC).date()
    return is_closed_all_day("forex", day)
