"""The words of ``reason`` in an elimination, as Vanta writes them."""

from __future__ import annotations

from typing import Final

ZOMBIE: Final = "ZOMBIE"  # left the metagraph
PLAGIARISM: Final = "PLAGIARISM"
MAX_TOTAL_DRAWDOWN: Final = "MAX_TOTAL_DRAWDOWN"
FAILED_CHALLENGE_PERIOD_TIME: Final = "FAILED_CHALLENGE_PERIOD_TIME"
FAILED_CHALLENGE_PERIOD_DRAWDOWN: Final = "FAILED_CHALLENGE_PERIOD_DRAWDOWN"
LIQUIDATED: Final = "LIQUIDATED"
MANUAL: Final = "MANUAL_ELIMINATION"  # an operator asked for it and gave no reason

REASONS: Final = frozenset(
    (
        ZOMBIE,
        PLAGIARISM,
        MAX_TOTAL_DRAWDOWN,
        FAILED_CHALLENGE_PERIOD_TIME,
        FAILED_CHALLENGE_PERIOD_DRAWDOWN,
        LIQUIDATED,
    )
)

NO_DRAWDOWN: Final = -1.0  # ``dd`` of who ran out of time
