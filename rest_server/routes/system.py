"""About the server itself: health, readiness, metrics, and its own description."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST

from rest_server import models
from rest_server.addresses import is_loopback
from rest_server.answers import Small
from rest_server.auth import optional_key
from rest_server.docs_page import docs_page
from rest_server.errors import Problem, unauthorized
from rest_server.health import health, warnings
from rest_server.openapi import document_bytes
from rest_server.operation import answers, fails, open_to_all
from rest_server.services import services
from runtime import heartbeat

blueprint: Final = Blueprint("system", __name__)

METRICS_TIER: Final = 200
NO_METRICS: Final = "Metrics require tier 200 access or a request from this machine"


@blueprint.get("/api/health")
@open_to_all
@answers(models.Health)
def api_health() -> Small:
    """How the workers are. Always 200 while REST answers; `degraded` when something needs a look."""
    return Small(health(services(), optional_key()))


@blueprint.get("/readyz")
@open_to_all
@answers(models.Ready)
@fails(503, "The server is not ready yet")
def readyz() -> Small:
    """Whether the server has caught up with the journal, for load balancers."""
    here = services()
    if here.source.problem() is not None:
        raise Problem(503, "The server is not ready yet", "not_ready", headers={"Retry-After": "2"})
    return Small(models.Ready(status="ready", warnings=warnings(here)))


@blueprint.get("/metrics")
@open_to_all
@answers(str, media_types=("text/plain",))
@fails(403, NO_METRICS)
def metrics() -> Small:
    """Prometheus metrics of all workers."""
    key = optional_key()
    if key is None and not _is_from_here():
        raise unauthorized()
    if key is not None and key.tier < METRICS_TIER and not _is_from_here():
        raise Problem(403, NO_METRICS, "insufficient_tier")
    return Small(heartbeat.metrics(services().settings.data_dir), media_type=CONTENT_TYPE_LATEST)


@blueprint.get("/openapi.json")
@open_to_all
@answers(dict[str, Any])
def openapi_json() -> Small:
    """This description."""
    return Small(document_bytes(current_app))


@blueprint.get("/docs")
@open_to_all
@answers(str, media_types=("text/html",))
def docs() -> Small:
    """This description as a page."""
    return Small(docs_page(), media_type="text/html; charset=utf-8")


def _is_from_here() -> bool:
    """A request of this machine itself, not one that a proxy on this machine passed on."""
    passed_on = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"} & set(
        request.environ
    )
    return not passed_on and is_loopback(request.environ.get("REMOTE_ADDR", ""))
