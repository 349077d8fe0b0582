"""Names that never change: uuids of orders and positions, derived from what the venue itself numbers.

Invariant: the same fill always gets the same uuid, on every machine and after every restart. A
position's uuid is the uuid of its opening order (Vanta's rule).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("6f1d3c52-9c0e-5b0c-8c5d-1f6c1c2a7b40")  # ours alone; changing it renames everything


def fill_uuid(venue: str, account: str, fill_id: str, part: str = "") -> str:
    """Uuid of the order made from a fill; ``part`` is ``close`` or ``open`` when a fill reverses."""
    return str(uuid5(NAMESPACE, "|".join(filter(None, (venue, account, "fill", fill_id, part)))))


def position_uuid(venue: str, account: str, position_id: str) -> str:
    """Uuid of the opening order where the venue numbers its positions."""
    return str(uuid5(NAMESPACE, f"{venue}|{account}|position|{position_id}"))


def resting_uuid(venue: str, account: str, order_id: str) -> str:
    """Uuid of a resting order."""
    return str(uuid5(NAMESPACE, f"{venue}|{account}|order|{order_id}"))


def carry_uuid(previous: str) -> str:
    """Uuid of the position that goes on where a full one (100 orders) was closed."""
    return str(uuid5(NAMESPACE, f"carry|{previous}"))
