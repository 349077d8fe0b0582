"""Who may come in: plain HTTP questions, reserved paths, and the limits for people without a key.

Rule: a refused stranger costs us no session and no journal read.
"""

from __future__ import annotations

import http
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from runtime.clock import Clock
from runtime.settings import WebSocketSettings
from vanta_api import close_codes, messages
from ws_server import metrics
from ws_server.limits import FailedKeys, Strangers

HEALTH_PATH: Final = "/health"
RESERVED: Final = "/v1/exchange/ws"  # trade actions: never answered by the position stream
RETRY_S: Final = 5.0  # what an overloaded server tells clients to wait
BUSY_TEXT: Final = "The server has too many connections."
GUESSING_TEXT: Final = "Too many wrong API keys from this address."


@dataclass(frozen=True, slots=True)
class Refusal:
    """The close code and the frame before it."""

    code: int
    frame: bytes


class Reception:
    """Counts strangers per address; ``connected`` says how many connections there are."""

    def __init__(self, settings: WebSocketSettings, clock: Clock, connected: Callable[[], int]) -> None:
        self._settings, self._connected = settings, connected
        self._trusted = frozenset(settings.trusted_proxies)
        self._strangers = Strangers(settings.unauthenticated_per_ip)
        self._failed = FailedKeys(settings.failed_auth_per_minute, clock)

    def refuses(self, address: str) -> Refusal | None:
        """Why the newcomer may not stay, or None: come in (and be counted)."""
        if self._connected() >= self._settings.connections:
            return _refuse("connections", close_codes.OVERLOADED, BUSY_TEXT, RETRY_S)
        if (wait_s := self._failed.retry_after_s(address)) > 0:
            return _refuse("failed_keys", close_codes.POLICY, GUESSING_TEXT, wait_s)
        if not self._strangers.enter(address):
            return _refuse("unauthenticated", close_codes.OVERLOADED, BUSY_TEXT, RETRY_S)
        return None

    def known(self, address: str) -> None:
        """A stranger from this address authenticated or left."""
        self._strangers.leave(address)

    def failed(self, address: str) -> None:
        """A stranger from this address showed a wrong key."""
        self._failed.note(address)

    def address_of(self, peer: str, headers: Headers) -> str:
        """The client's address: the peer, or what our own proxies say about it."""
        address = peer
        hops = [hop.strip() for line in headers.get_all("X-Forwarded-For") for hop in line.split(",")]
        while address in self._trusted and hops:
            address = hops.pop()
        return address


def _refuse(reason: str, code: int, text: str, wait_s: float) -> Refusal:
    metrics.REFUSED.labels(reason).inc()
    return Refusal(code, messages.error(text, reason.upper(), retry_after_ms=round(wait_s * 1000)))


def answer(request: Request, health: Callable[[], tuple[bool, dict[str, object]]]) -> Response | None:
    """Answer what is not for the stream; None lets the WebSocket handshake go on."""
    path = request.path.partition("?")[0]
    if path == HEALTH_PATH and request.method == "GET" and "Upgrade" not in request.headers:
        is_well, facts = health()
        return _json(http.HTTPStatus.OK if is_well else http.HTTPStatus.SERVICE_UNAVAILABLE, facts)
    if path == RESERVED:
        return _json(http.HTTPStatus.NOT_FOUND, {"error": "Resource not found"})
    return None


def _json(status: http.HTTPStatus, document: dict[str, object]) -> Response:
    body = msgspec.json.encode(document)
    headers: Sequence[tuple[str, str]] = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    )
    return Response(status.value, status.phrase, Headers(headers), body)
