"""The history, page by page, for whoever missed some of the stream."""

from __future__ import annotations

from typing import Final

import orjson
from flask import Blueprint, request

from journal.entry import LEDGER, ORDERS, PAGE_ENTRIES, POSITIONS, REGISTRY
from rest_server import models
from rest_server.answers import Small
from rest_server.auth import current_key
from rest_server.errors import Problem
from rest_server.events import Events, Refused, Request, read_events
from rest_server.operation import answers, fails, needs_key, needs_tier, query
from rest_server.services import services

blueprint: Final = Blueprint("events", __name__)

STREAM_TIERS: Final = {POSITIONS: 100, ORDERS: 100, LEDGER: 100, REGISTRY: 200}
DEFAULT_LIMIT: Final = 100
LATEST: Final = 2**63 - 1
NDJSON: Final = "application/x-ndjson"
SNAPSHOT: Final = "/validator-checkpoint"
NO_ACCESS: Final = "Event data requires tier 100 access"
REFUSED: Final = {
    "epoch_changed": "The numbering has changed; take a snapshot and continue from it",
    "trimmed": "Entries after this number are no longer kept; take a snapshot and continue from it",
    "future_sequence": "This number has not been given yet; take a snapshot and continue from it",
}


@blueprint.get("/v1/events")
@needs_key
@needs_tier(100, NO_ACCESS)
@query(
    "after",
    "The last number already seen; 0 for all that is kept.",
    type="integer",
    minimum=0,
    maximum=LATEST,
    default=0,
)
@query("limit", "Entries a page.", type="integer", minimum=1, maximum=PAGE_ENTRIES, default=DEFAULT_LIMIT)
@query("stream", "Which numbering; registry needs tier 200.", enum=list(STREAM_TIERS), default=POSITIONS)
@query("epoch", "The epoch in which `after` was seen; 410 when it is another one now.", type="string")
@query("format", "`ndjson`: one entry a line (also by Accept).", enum=["json", "ndjson"], default="json")
@answers(models.Events, media_types=("application/json", NDJSON))
@fails(400, "Invalid query parameter")
@fails(410, REFUSED["trimmed"])
@fails(503)
def events() -> Small:
    """Entries after a number: the same bytes as on the WebSocket, without a hole."""
    asked = _asked()
    try:
        found = read_events(services().open_reader(), asked)
    except Refused as refused:
        raise _gone(refused) from None
    return _ndjson(found) if _wants_ndjson() else _json(found, asked.stream)


def _asked() -> Request:
    """The request's parameters. Raises Problem 400 or 403."""
    stream = request.args.get("stream", POSITIONS)
    if stream not in STREAM_TIERS:
        raise Problem(400, f"Invalid stream. Valid values are: {', '.join(STREAM_TIERS)}", "invalid_stream")
    key = current_key()
    if key.tier < STREAM_TIERS[stream]:
        raise Problem(
            403, f"The stream {stream} requires tier {STREAM_TIERS[stream]} access", "insufficient_tier"
        )
    if request.args.get("format", "json") not in ("json", "ndjson"):
        raise Problem(400, "Invalid format. Valid values are: json, ndjson", "invalid_format")
    return Request(
        stream=stream,
        after=_number("after", 0, 0, LATEST),
        limit=_number("limit", DEFAULT_LIMIT, 1, PAGE_ENTRIES),
        epoch=request.args.get("epoch"),
        only_vanta=key.trade_pairs == "vanta",
    )


def _number(name: str, default: int, low: int, high: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        raise Problem(400, f"Invalid {name}: expected a whole number from {low} to {high}", f"invalid_{name}")
    return int(text)


def _wants_ndjson() -> bool:
    return request.args.get("format") == "ndjson" or (
        "format" not in request.args and NDJSON in request.headers.get("Accept", "")
    )


def _gone(refused: Refused) -> Problem:
    facts = {"reason": refused.reason, "epoch": refused.epoch, "oldest": refused.oldest, "head": refused.head}
    return Problem(410, REFUSED[refused.reason], refused.reason, extra={**facts, "snapshot_url": SNAPSHOT})


def _json(found: Events, stream: str) -> Small:
    rest = {
        "epoch": found.epoch,
        "stream": stream,
        "after": found.after,
        "last": found.last,
        "head": found.head,
        "oldest": found.oldest,
        "has_more": found.has_more,
    }
    body = b'{"events":[%b],%b' % (b",".join(found.frames), orjson.dumps(rest)[1:])
    return Small(body, headers=_headers(found))


def _ndjson(found: Events) -> Small:
    body = b"".join([frame + b"\n" for frame in found.frames])
    return Small(body, headers=_headers(found), media_type=NDJSON)


def _headers(found: Events) -> dict[str, str]:
    return {
        "X-Epoch": found.epoch,
        "X-Last-Sequence": str(found.last),
        "X-Head-Sequence": str(found.head),
        "X-Has-More": "true" if found.has_more else "false",
    }
