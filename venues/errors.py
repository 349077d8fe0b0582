"""What can go wrong at a venue's edge, named by who should act.

``Retryable``: the venue or the network; ask again after ``after_s``.
``Rejected``: our request or our credentials; asking again changes nothing.
``Broken``: the venue answered something that its documentation does not allow; the account is
quarantined with the field path, what was expected and what came, and its last good state is kept.
"""

from __future__ import annotations


class VenueError(Exception):
    """Base of everything a venue client or normaliser raises."""


class Retryable(VenueError):
    """Ask again later. ``after_s`` is the venue's own wish (Retry-After), None when it said nothing."""

    def __init__(self, message: str, *, after_s: float | None = None, rate_limited: bool = False) -> None:
        super().__init__(message)
        self.after_s = after_s
        self.rate_limited = rate_limited


class Rejected(VenueError):
    """The venue refused the request: wrong credentials, unknown account, bad parameters."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Broken(VenueError):
    """The answer does not have the documented shape. ``path`` is like ``orders[3].price``."""

    def __init__(self, path: str, expected: str, got: str) -> None:
        super().__init__(f"{path}: expected {expected}, got {got}")
        self.path = path
        self.expected = expected
        self.got = got
