"""Who an answer is for: the readers who may see exactly the same.

Rule: everything that reaches a reader is chosen by an audience, never by a key; two keys of one audience
get the same bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rest_server.shown import Held, Shown
from runtime.api_keys import ApiKey
from validator.tiers import REALTIME_TIER

TIERS: Final = (0, 30, 50, 100)


class Audience(NamedTuple):
    """A tier of ``TIERS``, and whether only Vanta's own pairs are shown."""

    tier: int
    only_vanta: bool = False

    @property
    def is_live(self) -> bool:
        """Whether nothing at all is delayed."""
        return self.tier >= REALTIME_TIER

    def view_of(self, held: Held) -> Shown | None:
        """The view of a position this audience gets; None: not at all."""
        if self.only_vanta and not held.is_vanta:
            return None
        return held.live if self.is_live or held.share < self.tier else held.delayed


def audience_of(key: ApiKey, tier: int | None = None) -> Audience:
    """The audience of a key, or of a lower ``tier`` it asked for. Odd tiers get the next lower one."""
    wanted = key.tier if tier is None else min(tier, key.tier)
    return Audience(max(known for known in TIERS if known <= max(wanted, 0)), key.trade_pairs == "vanta")
