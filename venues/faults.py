"""Faults on request: what real venues do on bad days, done by the sandboxes when told to.

``POST /_sandbox/faults`` with ``{"kind": "429", "path": "/v1/orders", "count": 3}`` arms one;
``DELETE /_sandbox/faults`` disarms all; ``GET`` lists those armed. ``path`` is a prefix ("" is every
request), ``count`` how many requests it hits (-1: until disarmed).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Kind = Literal[
    "429", "500", "502", "503", "504", "timeout", "slow", "truncated", "malformed", "html", "empty",
    "huge", "drift", "duplicates", "reorder", "disconnect",
]  # fmt: skip

ADMIN: Final = "/_sandbox/faults"
HUGE_BYTES: Final = 64 * 1024 * 1024


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One armed fault. ``value``: Retry-After seconds for statuses, delay in seconds for timeout and slow."""

    kind: Kind
    path: str = ""
    count: int = 1
    value: float | None = None


class Faults:
    """The armed faults of one sandbox; changed answers are drawn from ``seed``."""

    def __init__(self, seed: int) -> None:
        self.armed: list[Fault] = []
        self._random = random.Random(seed)

    def arm(self, kind: Kind, path: str = "", count: int = 1, value: float | None = None) -> None:
        """Add a fault."""
        self.armed.append(Fault(kind=kind, path=path, count=count, value=value))

    def clear(self) -> None:
        """Disarm everything."""
        self.armed.clear()

    def install(self, app: web.Application) -> None:
        """Put the faults in front of every handler of ``app`` and add the admin route."""
        app.middlewares.append(self._middleware())
        app.router.add_route("*", ADMIN, self._admin)

    def take(self, path: str) -> Fault | None:
        """The next fault for this path, counted down."""
        for fault in self.armed:
            if path.startswith(fault.path):
                fault.count -= 1
                if fault.count == 0:
                    self.armed.remove(fault)
                return fault
        return None

    def _middleware(self) -> Any:
        @web.middleware
        async def faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = None if request.path == ADMIN else self.take(request.path)
            return await handler(request) if fault is None else await self._answer(fault, request, handler)

        return faulty

    async def _answer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.kind.isdigit():
            headers = {} if fault.value is None else {"Retry-After": f"{fault.value:g}"}
            return web.json_response({"error": "injected"}, status=int(fault.kind), headers=headers)
        if fault.kind in ("timeout", "slow"):
            await asyncio.sleep(fault.value if fault.value is not None else 30.0)
            return await handler(request)
        if fault.kind == "disconnect":
            return _cut(request)
        if fault.kind == "huge":
            return web.Response(body=b"[" + b" " * HUGE_BYTES + b"]", content_type="application/json")
        answer = await handler(request)
        return self._spoiled(fault.kind, answer) if isinstance(answer, web.Response) else answer

    def _spoiled(self, kind: Kind, answer: web.Response) -> web.Response:
        body = bytes(answer.body) if isinstance(answer.body, (bytes, bytearray)) else b""
        if kind == "html":
            return web.Response(text="<html><body>Maintenance</body></html>", content_type="text/html")
        if kind == "empty":
            return web.Response(body=b"", content_type="application/json")
        if kind == "truncated":
            return _truncated(answer, body)
        if kind == "malformed":
            return web.Response(body=body[: len(body) // 2] + b"#", content_type="application/json")
        changed = self._changed(kind, msgspec.json.decode(body))
        return web.Response(body=msgspec.json.encode(changed), content_type="application/json")

    def _changed(self, kind: Kind, value: Any) -> Any:
        """The same JSON with lists doubled or shuffled, or one field renamed in every object of a list."""
        if isinstance(value, list):
            rows = [self._changed(kind, row) for row in value]
            if kind == "duplicates":
                return [row for row in rows for _ in range(2)]
            if kind == "reorder":
                self._random.shuffle(rows)
            elif kind == "drift":
                rows = [_renamed(row) for row in rows]
            return rows
        if isinstance(value, dict):
            return {key: self._changed(kind, item) for key, item in value.items()}
        return value

    async def _admin(self, request: web.Request) -> web.Response:
        if request.method == "DELETE":
            self.clear()
        elif request.method == "POST":
            try:
                self.armed.append(msgspec.json.decode(await request.read(), type=Fault))
            except msgspec.DecodeError as error:
                return web.json_response({"error": str(error)}, status=400)
        return web.Response(body=msgspec.json.encode(self.armed), content_type="application/json")


def _renamed(row: Any) -> Any:
    """Every field with a new name: what a careless API version does."""
    return {f"{key}_v2": item for key, item in row.items()} if isinstance(row, dict) else row


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _truncated(answer: web.Response, body: bytes) -> web.Response:
    """Announces the whole body, sends half of it and closes."""
    cut = web.Response(body=body[: len(body) // 2], content_type="application/json")
    cut.headers["Content-Length"] = str(len(body))
    cut.force_close()
    return cut
