"""Vanta's fee model for positions without a venue: multipliers that a return is multiplied by.

Rule: every function is closed over any pair of times; nothing loops over intervals in which the
leverage did not change, so a position that was open for a century costs no more than one of a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from validator.trade_pairs import Category, TradePair

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
FEE_V4_MS: Final = 1_713_198_680_000  # before: one fee of the pair times the largest leverage seen
FEE_V6_MS: Final = 1_720_843_707_000  # carry fees accrue from here on
CRYPTO_STEP_MS: Final = 8 * HOUR_MS
CRYPTO_OFFSET_MS: Final = 4 * HOUR_MS  # intervals end at 04:00, 12:00 and 20:00 UTC
DAILY_OFFSET_MS: Final = 21 * HOUR_MS  # intervals end at 21:00 UTC
SPREAD_RATE: Final = 0.001  # of every change of leverage, crypto only

CARRY_FACTORS: Final[dict[Category, float]] = {  # per interval at leverage 1
    "crypto": (1 - 0.1095) ** (1 / 1095),
    "forex": 0.97 ** (1 / 365),
    "indices": (1 - 0.0525) ** (1 / 365),
    "equities": (1 - 0.0525) ** (1 / 365),
}
_SATURDAY: Final = 5
_WEDNESDAY: Final = 2

Timeline = Sequence[tuple[int, float]]
"""``(ms, net leverage from then on)`` after each order, oldest first."""


def spread_fee(pair: TradePair | None, timeline: Timeline) -> float:
    """Multiplier of the transaction fee: crypto pays for every change of leverage, others nothing."""
    if pair is None or pair.category != "crypto":
        return 1.0
    return 1.0 - SPREAD_RATE * cumulative_leverage(timeline)


def cumulative_leverage(timeline: Timeline) -> float:
    """Sum of the sizes of all changes of net leverage, the closing one included."""
    total, before = 0.0, 0.0
    for _, after in timeline:
        total += abs(after - before)
        before = after
    return total


def carry_fee(
    pair: TradePair | None, timeline: Timeline, until_ms: int, *, eight_hour_steps: bool = False
) -> float:
    """Multiplier of the carry fee from the first order until ``until_ms``.

    ``eight_hour_steps`` reproduces the original's daily pairs, whose loop moves on by 8 h instead of
    24 h after the first interval, so that later intervals are charged at another weekday's rate.
    """
    if pair is None or not timeline:
        return 1.0
    start_ms = max(FEE_V6_MS, timeline[0][0])
    if pair.category == "crypto":
        step, offset, charge_step = CRYPTO_STEP_MS, CRYPTO_OFFSET_MS, CRYPTO_STEP_MS
        units: Callable[[int], int] = _one_unit
    else:
        step, offset, charge_step = DAY_MS, DAILY_OFFSET_MS, CRYPTO_STEP_MS if eight_hour_steps else DAY_MS
        units = _weekday_units
    first_ms = start_ms + step - (start_ms - offset) % step  # strictly after the start
    if until_ms < first_ms:
        return 1.0
    count = (until_ms - first_ms) // step + 1
    exponent = _exponent(timeline, first_ms, count, charge_step, units, first_ms - step)
    return float(CARRY_FACTORS[pair.category] ** exponent)


def legacy_fee(pair: TradePair | None, timeline: Timeline) -> float:
    """Multiplier of the fee before ``FEE_V4_MS``."""
    if pair is None:
        return 1.0
    return 1.0 - pair.fee * max((abs(leverage) for _, leverage in timeline), default=0.0)


def total_fee(
    pair: TradePair | None, timeline: Timeline, until_ms: int, *, eight_hour_steps: bool = False
) -> float:
    """All fees at ``until_ms`` (the close of a closed position) as one multiplier, never below 0."""
    if until_ms < FEE_V4_MS:
        return max(0.0, legacy_fee(pair, timeline))
    carry = carry_fee(pair, timeline, until_ms, eight_hour_steps=eight_hour_steps)
    return max(0.0, carry * spread_fee(pair, timeline))


def _one_unit(_: int) -> int:
    return 1


def _weekday_units(end_ms: int) -> int:
    """How many days' fee an interval that ends then costs: the weekend is paid on Wednesday."""
    weekday = (end_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
    if weekday >= _SATURDAY:
        return 0
    return 3 if weekday == _WEDNESDAY else 1


def _exponent(
    timeline: Timeline, first_ms: int, count: int, step: int, units: Callable[[int], int], begin_ms: int
) -> float:
    """Sum over the intervals of (units * largest net leverage inside), run by run of equal leverage."""
    total = 0.0
    for begin, end in _runs(timeline, first_ms, count, step):
        from_ms = first_ms + (begin - 1) * step if begin else begin_ms
        leverage = _largest(timeline, from_ms, first_ms + (end - 1) * step)
        total += leverage * _units_of_run(first_ms + begin * step, end - begin, step, units)
    return total


def _runs(timeline: Timeline, first_ms: int, count: int, step: int) -> Iterator[tuple[int, int]]:
    """Split the intervals 0 <= k < count into runs; the first and every one near an order stand alone."""
    alone = {0}
    for ms, _ in timeline:
        index = (ms - first_ms) // step + 1
        alone.update(k for k in (index - 1, index) if 0 <= k < count)
    begin = 0
    for k in sorted(alone):
        if begin < k:
            yield begin, k
        yield k, k + 1
        begin = k + 1
    if begin < count:
        yield begin, count


def _largest(timeline: Timeline, begin_ms: int, end_ms: int) -> float:
    """Largest absolute net leverage at any moment of the closed interval."""
    before = [abs(leverage) for ms, leverage in timeline if ms < begin_ms][-1:]
    inside = [abs(leverage) for ms, leverage in timeline if begin_ms <= ms <= end_ms]
    return max(before + inside, default=0.0)


def _units_of_run(first_end_ms: int, count: int, step: int, units: Callable[[int], int]) -> int:
    """Units of ``count`` intervals whose ends are ``step`` apart; whole weeks are counted once."""
    per_week = WEEK_MS // step
    weeks, rest = divmod(count, per_week)
    week = sum(units(first_end_ms + k * step) for k in range(per_week)) if weeks else 0
    return weeks * week + sum(units(first_end_ms + k * step) for k in range(rest))
