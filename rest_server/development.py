"""What operators see of the account DEVELOPMENT; to everybody else there is no such hotkey."""

from __future__ import annotations

from typing import Final

import msgspec

from rest_server.auth import current_key
from rest_server.documents import Document, document
from rest_server.services import services
from validator.aggregates import aggregates
from validator.orders.desk import DEVELOPMENT
from vanta_api.records import RestingOrder
from vanta_api.wire import rest_fragment

TIER: Final = 200

_encode: Final = msgspec.json.Encoder().encode


def is_development(hotkey: str) -> bool:
    """Whether an operator asks for the development account."""
    key = current_key()
    return hotkey == DEVELOPMENT and key.tier >= TIER and key.entity is None


def own_orders() -> list[RestingOrder]:
    """Its resting orders, those that are over among them, oldest first."""
    orders = services().development.book().orders.values()
    return sorted(orders, key=lambda one: (one.processed_ms, one.order_uuid))


def own_dashboard() -> Document | None:
    """Its positions as ``/miner-positions/<id>`` shows a miner's; None before the first one."""
    here = services()
    held = here.development.positions()
    if not held:
        return None
    figures = aggregates(held, here.clock.now_ms())
    del figures["total_leverage"]  # belongs to entity dashboards only
    return document(_encode({**figures, "positions": [msgspec.Raw(rest_fragment(one)) for one in held]}))
