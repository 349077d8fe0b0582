"""When a loss ends a hotkey. Pure: numbers in, a verdict out."""

from __future__ import annotations

from typing import Final, NamedTuple

from validator.eliminations.reasons import LIQUIDATED
from validator.ledger.checkpoint import LEAST

NOTHING_LEFT: Final = 2 * LEAST  # a portfolio that lost everything is worth LEAST
NEARLY: Final = 1e-9  # of a ratio: 1 - 0.9 is 0.09999999999999998, and that is a drawdown of 10 %


class Verdict(NamedTuple):
    """Why a hotkey is out, and its drawdown in per cent."""

    reason: str
    dd: float


def loss_verdict(value: float, worst: float, limit: float, reason: str) -> Verdict | None:
    """Whether a hotkey lost too much; None when not.

    ``value``: what its portfolio is worth as a multiplier. ``worst``: the smallest ratio of its value to the
    highest value before it. ``limit``: share that may not be lost. ``reason``: what to call it.
    """
    if value <= NOTHING_LEFT:
        return Verdict(LIQUIDATED, 0.0)
    if 1.0 - worst < limit - NEARLY:
        return None
    return Verdict(reason, round(100.0 * (1.0 - max(0.0, worst)), 2))
