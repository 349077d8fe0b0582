"""How much a client may ask: per key where there is one, per address where there is none.

Rule 1: no counter is ever kept under a key itself, only under its id.
Rule 2: guessing is slow. An address that presented too many wrong keys is refused before its next key is
believed, unless that key has been used from that address before (others may share the address).
Rule 3: every answer that was counted says what is left.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import SlidingWindowCounterRateLimiter

from rest_server.counters import Counters
from rest_server.errors import Problem
from runtime.api_keys import ApiKey
from runtime.clock import Clock
from runtime.settings import RestSettings
from runtime.usage import Usage, next_day_s

WINDOW_S: Final = 60
KNOWN_MAX: Final = 10_000  # (address, key id) pairs remembered; the one unused longest is forgotten first
KNOWN_S: Final = 3600.0  # how long a key that worked from an address vouches for it


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of one limit."""

    policy: str
    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> list[tuple[str, str]]:
        """The standard's draft and the names everybody used before it."""
        return [
            ("RateLimit-Policy", f'"{self.policy}";q={self.limit};w={WINDOW_S}'),
            ("RateLimit", f'"{self.policy}";r={self.remaining};t={self.reset_s}'),
            ("X-RateLimit-Limit", str(self.limit)),
            ("X-RateLimit-Remaining", str(self.remaining)),
            ("X-RateLimit-Reset", str(self.reset_s)),
        ]


class Limiter:
    """Counts requests in ``storage`` (in memory unless several processes must share the counters)."""

    def __init__(
        self, settings: RestSettings, usage: Usage, clock: Clock, storage: Storage | None = None
    ) -> None:
        self._counters = SlidingWindowCounterRateLimiter(storage or Counters(clock))
        self._per_key = RateLimitItemPerMinute(settings.requests_per_minute)
        self._open = RateLimitItemPerMinute(settings.open_per_minute)
        self._failed = RateLimitItemPerMinute(settings.failed_auth_per_minute)
        self._settings = settings
        self._usage = usage
        self._clock = clock
        self._known = KnownPairs(clock)

    def take_open(self, address: str) -> Allowance:
        """Count a request that needs no key. Raises Problem 429."""
        return self._take("open", self._open, address)

    def take_failed(self, address: str) -> Allowance:
        """Count a wrong or missing key. Raises Problem 429 when there were too many."""
        return self._take("failed-auth", self._failed, address)

    def take_key(self, key: ApiKey, address: str) -> Allowance:
        """Count a request of a good key. Raises Problem 429 for rate, quota and suspected guessing."""
        if not self._known.has(address, key.id) and not self._counters.test(
            self._failed, "failed-auth", address
        ):
            raise _refused(self._allowance("failed-auth", self._failed, address))
        self._known.add(address, key.id)
        allowance = self._take("key", self._per_key, key.id)
        self._check_quota(key)
        return allowance

    def _take(self, policy: str, item: RateLimitItem, who: str) -> Allowance:
        is_allowed = self._counters.hit(item, policy, who)
        allowance = self._allowance(policy, item, who)
        if not is_allowed:
            raise _refused(allowance)
        return allowance

    def _allowance(self, policy: str, item: RateLimitItem, who: str) -> Allowance:
        stats = self._counters.get_window_stats(item, policy, who)
        reset_s = max(1, min(WINDOW_S, round(stats.reset_time - time.time())))
        return Allowance(policy, item.amount, max(0, stats.remaining), reset_s)

    def _check_quota(self, key: ApiKey) -> None:
        requests, size, _ = self._usage.today(key.id)
        tier = str(key.tier)
        requests_max = _first(key.quota.requests, self._settings.requests_per_day.get(tier))
        bytes_max = _first(key.quota.bytes, self._settings.bytes_per_day.get(tier))
        if (requests_max is not None and requests >= requests_max) or (
            bytes_max is not None and size >= bytes_max
        ):
            wait_s = next_day_s(self._clock.now_ms())
            raise Problem(429, "Daily quota used up", "quota_exceeded", headers={"Retry-After": str(wait_s)})


class KnownPairs:
    """Which key was used from which address lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def has(self, address: str, key_id: str) -> bool:
        """Whether the pair was added within ``KNOWN_S``."""
        seen = self._seen.get((address, key_id))
        return seen is not None and self._clock.monotonic() - seen < KNOWN_S

    def add(self, address: str, key_id: str) -> None:
        """Remember the pair."""
        with self._lock:
            self._seen[address, key_id] = self._clock.monotonic()
            self._seen.move_to_end((address, key_id))
            if len(self._seen) > KNOWN_MAX:
                self._seen.popitem(last=False)


def _first(own: int | None, by_tier: int | None) -> int | None:
    return by_tier if own is None else own


def _refused(allowance: Allowance) -> Problem:
    return Problem(429, headers={**dict(allowance.headers()), "Retry-After": str(allowance.reset_s)})
