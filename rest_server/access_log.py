"""One line per request, and the same facts as metrics.

Rule: the route's pattern is logged, never the address as it came: people put keys into query strings.
"""

from __future__ import annotations

import time
from typing import Final

import structlog
from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram

from rest_server import request_ids
from rest_server.auth import client_address, optional_key
from rest_server.negotiation import choose_encoding
from rest_server.services import services

REQUESTS: Final = Counter("vanta_http_requests", "Requests answered", ("method", "route", "status"))
SECONDS: Final = Histogram(
    "vanta_http_request_duration_seconds",
    "Time from the parsed request to the finished answer",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
SENT: Final = Counter("vanta_http_response_bytes", "Bytes of bodies", ("route",))

COMMON_HEADERS: Final = [
    ("Vary", "Authorization, Accept-Encoding"),
    ("Cache-Control", "private, no-cache"),
    ("X-Content-Type-Options", "nosniff"),
]
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

_log = structlog.get_logger()


def register(app: Flask) -> None:
    """Begin and end every request of ``app``; must be registered before whatever changes bodies."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.started_s = time.perf_counter()
    g.request_id = request_ids.choose(request.environ.get("HTTP_X_REQUEST_ID"))
    # One rule decides the coding of every body, small or large: the library that compresses small ones
    # is shown the decision instead of the header.
    chosen = choose_encoding(request.environ.get("HTTP_ACCEPT_ENCODING"))
    request.environ["HTTP_ACCEPT_ENCODING"] = chosen


def _end(response: Response) -> Response:
    headers = response.headers
    headers.pop("Vary", None)  # whatever the compressing library wrote
    headers.extend(COMMON_HEADERS)
    headers.add(request_ids.HEADER, g.request_id)
    allowance = g.get("allowance")
    if allowance is not None:
        headers.extend(allowance.headers())
    _note(response)
    return response


def _note(response: Response) -> None:
    route = request.url_rule.rule if request.url_rule else "(none)"
    method = request.method if request.method in _METHODS else "(other)"
    has_body = method != "HEAD" and response.status_code != 304
    size = (response.content_length or 0) if has_body else 0
    seconds = time.perf_counter() - g.started_s
    key = optional_key()
    if key is not None:
        services().usage.count(key.id, requests=1, bytes=size)
    REQUESTS.labels(method, route, response.status_code).inc()
    SECONDS.labels(route).observe(seconds)
    SENT.labels(route).inc(size)
    _log.info(
        "request",
        method=method,
        route=route,
        status=response.status_code,
        bytes=size,
        ms=round(seconds * 1000, 2),
        key_id=key.id if key else None,
        client=client_address(),
        request_id=g.request_id,
    )
