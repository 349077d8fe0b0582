"""How a route gets at the state."""

from __future__ import annotations

from typing import Final

from rest_server.errors import Problem
from rest_server.published import Published
from rest_server.services import services

NOT_READY: Final = "The server is not ready yet"
RETRY_S: Final = "2"


def state() -> Published:
    """The state as of now. Raises Problem 503 before the first one."""
    published = services().source.current()
    if published is None:
        raise Problem(503, NOT_READY, "not_ready", headers={"Retry-After": RETRY_S})
    return published
