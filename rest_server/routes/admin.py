"""Operators' routes."""

from __future__ import annotations

from typing import Final

import msgspec
from flask import Blueprint

from rest_server.answers import Small
from rest_server.audited import audited, intend
from rest_server.auth import current_key
from rest_server.errors import Problem
from rest_server.health import SILENT_MS
from rest_server.operation import (
    answers,
    fails,
    needs_key,
    needs_tier,
    open_to_all,
    path_example,
    says,
    takes,
)
from rest_server.posted import MISSING, json_object, require
from rest_server.services import services
from rest_server.trader_models import Moved, MoveRequest, RpcDegraded, RpcHealth, ServiceHealth
from runtime import heartbeat
from validator import buckets, eliminated
from validator.buckets import BucketError, check_move
from validator.challenge.record import ELIMINATED
from validator.eliminations.reasons import MANUAL

blueprint: Final = Blueprint("admin", __name__)

TIER: Final = 500
NO_ACCESS: Final = "Set miner bucket endpoint requires tier 500 access"
MOVED: Final = "{hotkey} moved to {bucket}"
DEGRADED: Final = "Some services are degraded"
RUNNING: Final = "running"


@blueprint.post("/admin/miner-bucket/<hotkey>")
@audited
@needs_key
@needs_tier(TIER, NO_ACCESS)
@path_example("hotkey", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY_0")
@takes(MoveRequest)
@answers(Moved)
@fails(400, MISSING.format(name="bucket"))
@fails(400, buckets.UNKNOWN_BUCKET)
@fails(400, buckets.SIZE_REQUIRED)
@fails(400, buckets.SIZE_REFUSED)
@fails(400, buckets.SIZE_INVALID)
@fails(400, buckets.ALREADY_THERE)
@fails(400, buckets.IS_OUT)
@fails(404, buckets.NOT_FOUND)
@fails(503)
def miner_bucket(hotkey: str) -> Small:
    """Move a miner or subaccount into a bucket. Every call is in the audit log.

    The bucket ELIMINATED puts the hotkey out for good, as an elimination does. A bucket of the pro track has
    an account size of its own, but for `PRO_CHALLENGE_TRANSITION`, which keeps the standard one; leaving the
    track brings that back. The original also closes positions and begins ledgers anew when the size changes;
    here positions are the venue's and stay, and the size counts from then on. Which sizes the original
    accepts differs between its versions; here any positive one is.
    """
    body = json_object()
    require(body, ("bucket",))
    here, by = services(), f"key {current_key().id}"
    try:
        bucket, size = check_move(body["bucket"], body.get("pro_account_size"))
        intend("miner-bucket", bucket=bucket, pro_account_size=size)
        if bucket == ELIMINATED:
            _put_out(hotkey)
        else:
            buckets.move(here.registry, hotkey, bucket, size, here.clock.now_ms(), by)
    except BucketError as error:
        if error.is_missing:
            raise Problem(404, str(error)) from None
        raise Problem(400, str(error), "refused") from None
    message = MOVED.format(hotkey=hotkey, bucket=bucket)
    return Small(Moved(status="success", hotkey=hotkey, bucket=bucket, message=message))


@blueprint.get("/api/health/rpc")
@open_to_all
@answers(RpcHealth)
@fails(503, DEGRADED, body=RpcDegraded)
@says(500, "Internal server error")
def health_rpc() -> Small:
    """How each part of the product is; 503 when one is not well.

    The original asks its services over RPC; here they are processes, and this is what their own signs of life
    say. Which words the original uses for a service's state is not documented.
    """
    found = _services()
    at_ms = services().clock.now_ms()
    if any(one.status != "healthy" for one in found.values()):
        extra = {"status": "degraded", "timestamp_ms": at_ms, "services": msgspec.to_builtins(found)}
        raise Problem(503, DEGRADED, "degraded", extra=extra, headers={"Retry-After": "5"})
    return Small(RpcHealth(status="healthy", timestamp_ms=at_ms, services=found))


def _put_out(hotkey: str) -> None:
    """Eliminate a hotkey that is known here. Raises BucketError."""
    here = services()
    if eliminated.is_blocked(here.registry, hotkey):
        raise BucketError(buckets.IS_OUT.format(hotkey=hotkey))
    if not buckets.is_known(here.registry, hotkey):
        raise BucketError(buckets.NOT_FOUND.format(hotkey=hotkey), is_missing=True)
    here.entities.put_out(hotkey, MANUAL)


def _services() -> dict[str, ServiceHealth]:
    """The journal's reader, the key file and every worker, without anything about trading."""
    here = services()
    now_ms = here.clock.now_ms()
    found = {
        "journal": _judged(here.source.problem() is None, "caught up", "not caught up"),
        "api_keys": _judged(here.keys.error is None, "loaded", "the key file cannot be used"),
    }
    for name, facts in sorted(heartbeat.read_all(here.settings.data_dir).items()):
        state, age_ms = str(facts.get("state", "unknown")), max(0, now_ms - int(facts["beat_ms"]))
        error = f"silent for {age_ms // 1000} s" if age_ms >= SILENT_MS else state
        found[name] = _judged(state == RUNNING and age_ms < SILENT_MS, state, error)
    return found


def _judged(is_well: bool, detail: str, error: str) -> ServiceHealth:
    if is_well:
        return ServiceHealth(status="healthy", detail=detail)
    return ServiceHealth(status="unhealthy", error=error)
