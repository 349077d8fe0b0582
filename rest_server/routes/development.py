"""Orders for trying things out."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from flask import Blueprint

from rest_server.answers import Small
from rest_server.entity_auth import NOT_YOURS, only_operators
from rest_server.errors import Problem
from rest_server.operation import answers, fails, needs_key, needs_tier, takes
from rest_server.posted import json_object
from rest_server.services import services
from rest_server.trader_models import DevelopmentAnswer, DevelopmentOrder
from validator.orders.book import Change
from validator.orders.desk import DEVELOPMENT
from validator.orders.signal import Signal, SignalError
from vanta_api.records import Order, RestingOrder

blueprint: Final = Blueprint("development", __name__)

TIER: Final = 200
NO_ACCESS: Final = "Development order endpoint requires tier 200 access"
REFUSED: Final = "Signal error: {problem}"
_NOT_SHOWN: Final = frozenset(("miner_hotkey", "trade_pair", "venue"))


@blueprint.post("/development/order")
@needs_key
@needs_tier(TIER, NO_ACCESS)
@takes(DevelopmentOrder)
@answers(DevelopmentAnswer)
@fails(400, REFUSED)
@fails(403, NOT_YOURS)
@fails(503)
def development_order() -> Small:
    """Place or cancel an order of the account DEVELOPMENT, filled by Vanta's rules at the present marks.

    The account is in no list of hotkeys, its orders are in no frame and no checkpoint;
    `/miner-positions/DEVELOPMENT`, `/limit-orders/DEVELOPMENT` and `/orders/DEVELOPMENT` show them to
    operators. Without an account size it is measured against 5,000 USD. What the original's stop-limit and
    trailing orders do is not documented; they are refused. Its slippage tables are not published; crypto pays
    their fallback of 0.01 %.
    """
    only_operators()
    here = services()
    try:
        signal, change = here.development.submit(json_object())
    except SignalError as error:
        raise Problem(400, REFUSED.format(problem=error), "signal_error") from None
    shown, record = _told(signal, change, here.clock.now_ms())
    return Small(
        DevelopmentAnswer(
            status="success",
            execution_type=signal.execution,
            order_uuid=record["order_uuid"],
            order=shown,
            order_record=record,
        )
    )


def _told(signal: Signal, change: Change, now_ms: int) -> tuple[str, dict[str, Any]]:
    """What was done, as text and as an object."""
    if change.done is None:
        done = {
            "status": "cancelled",
            "order_uuid": signal.order_uuid,
            "miner_hotkey": DEVELOPMENT,
            "cancelled_ms": now_ms,
            "num_cancelled": change.cancelled,
        }
        return json.dumps(done), done
    record = _order(change.done, signal)
    return str(record), record


def _order(done: Order | RestingOrder, signal: Signal) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(done))  # lists, as JSON has them
    pair = {"trade_pair_id": signal.pair.trade_pair_id if signal.pair else None}
    return {**pair, **{name: value for name, value in record.items() if name not in _NOT_SHOWN}}
