"""What a delayed reader may see of a hotkey: the inputs of its statistics, never the statistics themselves.

Rule: below the real-time tier, checkpoints count once they ended more than 24 h ago, and positions that are
not real-time for the tier are taken back to where they stood then. A book made from these inputs ranks,
weighs and counts only what its readers may know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from validator.ledger.checkpoint import Bundle
from validator.ledger.view import Ledgers
from validator.positions import truncate
from validator.statistics.facts import Facts
from validator.tiers import LAG_MS, REALTIME_TIER, is_realtime
from vanta_api.records import Position

MarkThen = Callable[[str], Decimal | None]
"""Trade pair id → the price at the delayed moment."""


def seen_bundle(ledgers: Ledgers, hotkey: str, tier: int, now_ms: int) -> Bundle:
    """The hotkey's ledgers as a tier sees them; empty when it sees none."""
    before_ms = None if tier >= REALTIME_TIER else now_ms - LAG_MS
    return ledgers.bundle(hotkey, before_ms) or {}


def seen_positions(
    positions: Iterable[Position], tier: int, now_ms: int, mark_then: MarkThen
) -> list[Position]:
    """The positions as a tier sees them."""
    seen = []
    for one in positions:
        shown: Position | None = one
        if not is_realtime(one.position_uuid, tier):
            shown = truncate(one, now_ms - LAG_MS, mark_then(one.trade_pair[0]))
        if shown is not None:
            seen.append(shown)
    return seen


def seen_facts(facts: Facts, tier: int, now_ms: int) -> Facts:
    """The facts as a tier sees them: account sizes that are older than the delay."""
    if tier >= REALTIME_TIER:
        return facts
    older = tuple(one for one in facts.account_sizes if one.update_time_ms < now_ms - LAG_MS)
    return msgspec.structs.replace(facts, account_sizes=older)
