"""How the exchange says no."""

from __future__ import annotations

from typing import NoReturn


class Failure(Exception):
    """An answer with an HTTP status and one of the venue's result codes."""

    def __init__(self, status: int, result: str, details: str = "") -> None:
        super().__init__(f"{status} {result}")
        self.status, self.result, self.details = status, result, details


def refuse(result: str, details: str = "") -> NoReturn:
    """A request that is well formed but not acceptable (412)."""
    raise Failure(412, result, details)


def unauthorized(result: str = "UNAUTHORIZED", details: str = "no valid session") -> NoReturn:
    """No session, or a signature that proves nothing (401)."""
    raise Failure(401, result, details)


def malformed(details: str) -> NoReturn:
    """A body or a query that cannot be read (400)."""
    raise Failure(400, "INVALID_REQUEST_DATA", details)
