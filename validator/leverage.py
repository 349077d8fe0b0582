"""How much an account may hold, as multiples of its size: by leverage tier and class of assets.

Rule: tier 1 is every subaccount in its challenge; the others follow from the size of the account.
"""

from __future__ import annotations

from typing import Final

TIER_3_FROM: Final = 200_000.0  # USD
TIER_4_FROM: Final = 1_000_000.0
CHALLENGES: Final = frozenset(("SUBACCOUNT_CHALLENGE", "PRO_CHALLENGE_DIRECT", "PRO_CHALLENGE_FROM_STANDARD"))

PORTFOLIO: Final[dict[str, tuple[float, float, float, float]]] = {  # class of assets → tiers 1 to 4
    "crypto": (2.0, 2.0, 3.0, 4.0),
    "forex": (5.0, 10.0, 15.0, 20.0),
    "equities": (1.0, 1.5, 2.0, 2.0),
    "indices": (3.0, 6.0, 8.0, 10.0),
    "commodities": (2.0, 2.0, 3.0, 4.0),
    "hl_all": (4.0, 7.0, 10.0, 12.0),
    "all_markets": (6.0, 12.0, 18.0, 24.0),
}
PER_PAIR_BASE: Final = 0.5  # of a Hyperliquid pair in tier 1; tier n has n times as much
UNKNOWN_CLASS: Final = 1.0


def tier_of(bucket: str | None, account_size: float) -> int:
    """The leverage tier, 1 to 4."""
    if bucket in CHALLENGES:
        return 1
    if account_size >= TIER_4_FROM:
        return 4
    return 3 if account_size >= TIER_3_FROM else 2


def portfolio_multiple(asset_class: str | None, tier: int) -> float:
    """What all positions together may be worth, over the account's balance."""
    tiers = PORTFOLIO.get((asset_class or "").lower())
    return UNKNOWN_CLASS if tiers is None else tiers[tier - 1]


def pair_multiple(tier: int) -> float:
    """What a position in one Hyperliquid pair may be worth, over the account's size."""
    return PER_PAIR_BASE * tier
