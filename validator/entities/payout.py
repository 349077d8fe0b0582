"""What a subaccount earned: week by week, above the highest balance that was settled before.

Rule 1: a week runs from Monday 00:00 UTC to the next; what its account was worth at the end is the newest
checkpoint's word up to then.
Rule 2: open losses count, open profits do not: ``payout = max(0, balance - highest + min(0, unrealized))``.
Rule 3: what was paid out raises the height that the next week is measured from, whether or not that week was
asked about.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from validator.fold import finite
from validator.ledger.checkpoint import DAY_MS, Checkpoint
from vanta_api.records import Position

WEEK_MS: Final = 7 * DAY_MS
MONDAY_MS: Final = 4 * DAY_MS  # 1970-01-05, the first Monday


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """One week. Amounts are USD; ``end_ms`` of a week that is not over is the time it is known up to."""

    start_ms: int
    end_ms: int
    eow_balance: float
    eow_unrealized: float
    payout: float
    orders: int


def settlements(
    checkpoints: Sequence[Checkpoint],
    positions: Sequence[Position],
    account_size: float,
    start_ms: int,
    end_ms: int,
) -> list[Settlement]:
    """The weeks that lie at least in part between the two times.

    ``checkpoints`` are the portfolio's, oldest first.
    """
    known = [one for one in checkpoints if one.last_update_ms <= end_ms]
    times = sorted(order.processed_ms for one in positions for order in one.orders)
    highest, found = account_size, []
    for begin_ms, last in _weeks(known):
        balance = account_size + last.prev_portfolio_realized_pnl - last.cumulative_fees_usd
        unrealized = last.prev_portfolio_unrealized_pnl
        payout = finite(max(0.0, balance - highest + min(0.0, unrealized)))
        highest += payout
        until_ms = min(begin_ms + WEEK_MS, end_ms) if last is known[-1] else begin_ms + WEEK_MS
        if begin_ms + WEEK_MS > start_ms:
            found.append(
                Settlement(
                    start_ms=begin_ms,
                    end_ms=until_ms,
                    eow_balance=finite(balance),
                    eow_unrealized=finite(unrealized),
                    payout=payout,
                    orders=_between(times, begin_ms, until_ms),
                )
            )
    return found


def within(checkpoints: Sequence[Checkpoint], start_ms: int, end_ms: int) -> list[Checkpoint]:
    """The checkpoints that ended between the two times, both included."""
    return [one for one in checkpoints if start_ms <= one.last_update_ms <= end_ms]


def week_of(ms: int) -> int:
    """When the week began that a checkpoint ending at ``ms`` belongs to."""
    return (ms - 1 - MONDAY_MS) // WEEK_MS * WEEK_MS + MONDAY_MS


def _weeks(checkpoints: Sequence[Checkpoint]) -> Iterator[tuple[int, Checkpoint]]:
    """Each week's beginning and its last checkpoint."""
    last: dict[int, Checkpoint] = {}
    for one in checkpoints:
        last[week_of(one.last_update_ms)] = one
    yield from sorted(last.items())


def _between(times: Sequence[int], start_ms: int, end_ms: int) -> int:
    return bisect_right(times, end_ms - 1) - bisect_right(times, start_ms - 1)
