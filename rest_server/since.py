"""The times that incremental dashboards are asked with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from flask import request

from rest_server.errors import Problem
from rest_server.operation import query

View = TypeVar("View", bound=Callable[..., Any])

LATEST_MS: Final = 2**53
BAD_TIME: Final = "{name} must be a time in ms"
_TEXTS: Final = {
    "positions_time_ms": "Only positions of which something was learnt after this time, and open ones.",
    "limit_orders_time_ms": "Only resting orders that changed after this time.",
    "checkpoints_time_ms": "Only ledger checkpoints that ended after this time.",
    "daily_returns_time_ms": "Only days that began after this time.",
}


def takes_times(*names: str) -> Callable[[View], View]:
    """Document the parameters ``names``."""

    def decorate(view: View) -> View:
        for name in reversed(names):
            view = query(name, _TEXTS[name], type="integer", minimum=0, maximum=LATEST_MS)(view)
        return view

    return decorate


def times(names: Sequence[str]) -> tuple[int, ...]:
    """The bounds that were sent, 0 where there is none. Raises Problem 400."""
    return tuple(_time(name) for name in names)


def _time(name: str) -> int:
    text = request.args.get(name)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= LATEST_MS):
        raise Problem(400, BAD_TIME.format(name=name), "invalid_time")
    return int(text)
