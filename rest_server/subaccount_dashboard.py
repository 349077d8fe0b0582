"""A subaccount's whole dashboard (v1).

Rule 1: everything in it is of one published state, but for the registered facts, which may be newer.
Rule 2: the entity tag stands for the dashboard alone; the time of the answer does not move it.
Rule 3: what there is nothing of is null; nothing is left out because it could not be read.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from rest_server.audience import Audience
from rest_server.documents import Document
from rest_server.dossier import Dossier
from rest_server.gzip_join import Incidental, Piece
from rest_server.published import Published
from rest_server.resting import dashboard_row, status_of
from rest_server.services import Services
from rest_server.shown import SOURCES_MS
from validator.entities.records import Standing, subaccount_row
from vanta_api.wire import rest_fragment

_encode: Final = msgspec.json.Encoder().encode


def dossier_of(standing: Standing, published: Published, audience: Audience, here: Services) -> Dossier:
    """Everything that this audience may see of the subaccount."""
    record = standing.record
    return Dossier(
        record.synthetic_hotkey, published, audience, here, record.asset_class, record.account_size
    )


def info_of(standing: Standing) -> dict[str, Any]:
    """The subaccount and whose it is."""
    return {**subaccount_row(standing), "entity_hotkey": standing.record.entity_hotkey}


def whole(standing: Standing, one: Dossier) -> Document:
    """``GET /entity/subaccount/<hotkey>``."""
    more, period = one.here.entities.more, one.challenge
    dashboard = {
        "subaccount_info": info_of(standing),
        "challenge_period": None
        if period is None
        else {"bucket": period.bucket, "start_time_ms": period.bucket_start_time},
        "ledger": more.debt_ledger(one.hotkey),
        "positions": _positions(one),
        "statistics": more.statistics(one.hotkey),
        "elimination": standing.elimination,
        "drawdown": one.drawdown,
        "account_size_data": one.account,
        "limit_orders": [dashboard_row(order) for order in one.orders if status_of(order) == "unfilled"],
        "residual": one.residual,
    }
    body = b'{"status":"success","dashboard":%b' % _encode(dashboard)
    return Document((Piece(body), Incidental(b',"timestamp":%d}' % one.here.clock.now_ms())))


def _positions(one: Dossier) -> dict[str, Any] | None:
    """The open positions, and figures over all of them; null before the first one."""
    if one.book is None:
        return None
    opened = [position for position in one.positions if not position.is_closed_position]
    since_ms = one.published.at_ms - SOURCES_MS
    fragments = [msgspec.Raw(rest_fragment(position, sources_since_ms=since_ms)) for position in opened]
    return {"positions": fragments, **one.book.figures(one.audience)}
