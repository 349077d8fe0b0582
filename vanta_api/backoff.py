"""How long to wait before trying again: full jitter, and the other side's own hint where it gave one."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from vanta_api.close_codes import REPLACED, advice

LONGEST_HINT_S = 3600.0  # a server that names a later moment is not believed


class Backoff:
    """Counts failures in a row and draws delays in seconds; ``draw(limit)`` gives 0..limit."""

    def __init__(
        self,
        first_s: float = 1.0,
        longest_s: float = 60.0,
        draw: Callable[[float], float] = lambda limit: random.uniform(0, limit),
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._draw = draw
        self.failures = 0
        self.replacements = 0

    def reset(self) -> None:
        """The connection has proved itself; failures are counted anew (replacements are not)."""
        self.failures = 0

    def delay(self, close_code: int | None = None, hint_s: float | None = None) -> float | None:
        """Seconds to wait after this close; None: do not come back.

        A hint is a lower bound that a jitter of up to a tenth (at least a second) is added to.
        """
        kind = advice(close_code)
        if kind == "never":
            return None
        if close_code == REPLACED:
            return self._after_replacement()
        self.failures += 1
        if hint_s is not None:
            hint_s = min(LONGEST_HINT_S, max(0.0, hint_s))
            return hint_s + self._draw(max(1.0, hint_s / 10))
        return self._draw(self._ceiling(self.failures))

    def _after_replacement(self) -> float:
        """Somebody newer has our place: coming straight back would drive out the next one, in a circle."""
        self.replacements += 1
        ceiling = self._ceiling(self.replacements + 4)
        return ceiling / 2 + self._draw(ceiling / 2)

    def _ceiling(self, attempt: int) -> float:
        return min(self._longest_s, self._first_s * 2.0 ** min(30, attempt - 1))


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date); None when there is none to read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
