"""Signed requests that may be used once: whatever was accepted is never accepted again.

Rule 1: a nonce is written to the journal before the request it belongs to is carried out, so neither a
restart nor another process forgets it.
Rule 2: a nonce is remembered as long as its timestamp would be accepted. What is forgotten raises the floor
below which timestamps are refused, so a clock that is put back opens nothing again.
Rule 3: one fact per pair of coldkey and hotkey, of bounded size.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from journal.entry import Draft
from runtime.clock import Clock
from validator.registry import Fact, Registry, draft, sequence_of

NONCE: Final = "nonce|"  # <coldkey>::<hotkey>
TTL_MS: Final = 300_000  # how old a request may be
AHEAD_MS: Final = 60_000  # how far a client's clock may be ahead of ours
KEPT: Final = 256  # nonces remembered per pair: that many requests in TTL_MS + AHEAD_MS
EXPIRED: Final = f"Request expired. Max age: {TTL_MS}ms"
AHEAD: Final = "Request timestamp too far in future"
USED: Final = "Nonce already used"


class NonceError(Exception):
    """The request may not be used (again); the text is for its sender."""


class TooManyError(NonceError):
    """The pair sent so many requests that no more can be remembered now."""


class _Used(msgspec.Struct, frozen=True):
    """``used``: digest of the nonce → its timestamp in ms; timestamps below ``floor_ms`` are over."""

    floor_ms: int = 0
    used: dict[str, int] = {}


_decoder = msgspec.json.Decoder(_Used)
_encode = msgspec.json.Encoder(order="deterministic").encode


class Nonces:
    """The nonces that were used, in the registry."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock

    def use(self, coldkey: str, hotkey: str, nonce: str, timestamp_ms: int) -> None:
        """Use a nonce up. Raises NonceError when the request is too old, ahead of time or was seen before.

        Of several callers with the same nonce, wherever they run, exactly one gets through. Raises
        UnavailableError when it cannot be remembered; it is then not used up.
        """
        key = f"{NONCE}{coldkey}::{hotkey}"

        def make() -> list[Draft]:
            fact = self._registry.get(key)
            after = self._after(_decoder.decode(fact.body) if fact else _Used(), nonce, timestamp_ms)
            return [draft(key, _encode(after), expected=sequence_of(fact))]

        self._registry.transact(make)

    def _after(self, before: _Used, nonce: str, timestamp_ms: int) -> _Used:
        now_ms = self._clock.now_ms()
        floor_ms = max(before.floor_ms, now_ms - TTL_MS)
        if timestamp_ms < floor_ms:
            raise NonceError(EXPIRED)
        if timestamp_ms > now_ms + AHEAD_MS:
            raise NonceError(AHEAD)
        digest = blake2b(nonce.encode(), digest_size=16).hexdigest()
        if digest in before.used:
            raise NonceError(USED)
        used = {known: ms for known, ms in before.used.items() if ms >= floor_ms}
        if len(used) >= KEPT:
            raise TooManyError("Too many requests")
        return _Used(floor_ms, {**used, digest: timestamp_ms})


def remembered(fact: Fact) -> int:
    """Return how many nonces a ``nonce|`` fact holds."""
    return len(_decoder.decode(fact.body).used)
