"""Which positions a tier sees in real time: a fact of the position's uuid alone."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

REALTIME_TIER: Final = 100
LAG_MS: Final = 86_400_000  # what is not real-time for a tier is shown as of this long ago


def is_realtime(position_uuid: str, tier: int) -> bool:
    """True when a key of ``tier`` sees the position without delay; higher tiers see a superset."""
    return tier >= REALTIME_TIER or share_of(position_uuid) < tier


def share_of(position_uuid: str) -> int:
    """The position's place in 0..99: it is real-time for every tier above it."""
    return int.from_bytes(sha256(position_uuid.encode()).digest(), "big") % 100
