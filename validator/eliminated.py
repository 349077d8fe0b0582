"""Who is out for good: one registry fact per eliminated hotkey, whoever decided it.

Rule 1: ``elimination|<hotkey>`` is written once and never changes. It holds for a miner, and for a
subaccount under its synthetic hotkey.
Rule 2: from that fact on nothing of the hotkey reaches ``positions`` but the closing of what was open
(``gate`` holds every poller to it, in the very transaction that would write).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from journal.entry import REGISTRY
from journal.state import State
from validator.registry import Fact

ELIMINATION: Final = "elimination|"  # <hotkey>


class Elimination(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``/eliminations``. ``dd`` is the drawdown in per cent, None where it was not the reason."""

    hotkey: str
    dd: float | None = None
    reason: str
    elimination_initiated_time_ms: int
    price_info: dict[str, Any] = {}
    return_info: dict[str, Any] = {}


class EliminationMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``elimination|<hotkey>``."""

    elimination: Elimination


class Facts(Protocol):
    """The part of ``Registry`` that is asked here."""

    def get(self, key: str) -> Fact | None: ...


_decoder = msgspec.json.Decoder(EliminationMessage)


def key_of(hotkey: str) -> str:
    """The registry key of a hotkey's elimination."""
    return ELIMINATION + hotkey


def decode(body: bytes) -> Elimination:
    """Read an ``elimination|`` fact's body. Raises msgspec.ValidationError."""
    return _decoder.decode(body).elimination


def elimination_of(facts: Facts, hotkey: str) -> Elimination | None:
    """The hotkey's elimination, or None while it may trade. Raises JournalError."""
    fact = facts.get(key_of(hotkey))
    return None if fact is None else decode(fact.body)


def is_blocked(facts: Facts | State, hotkey: str) -> bool:
    """Whether the hotkey was eliminated, as the registry or a State has it. Raises JournalError."""
    key = key_of(hotkey)
    if isinstance(facts, State):
        return key in facts.latest.get(REGISTRY, {})
    return facts.get(key) is not None
