"""Carries out eliminations: one append per hotkey, and whatever of it turns up later.

Rule 1: the fact, the closing of everything and the last bucket are written in one transaction that is held to
what was read: to the fact not being there, and to every position and order being the one that is closed.
Rule 2: a process that is killed at any moment has eliminated a hotkey completely or not at all; started
again, it decides anew.
Rule 3: ``sweep`` makes true for everybody who is out, whoever put it out, that nothing of it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog
from prometheus_client import Counter

from journal.entry import Draft
from validator import eliminated
from validator.challenge import record as challenge
from validator.eliminated import Elimination, EliminationMessage
from validator.eliminations.closing import closing_drafts, prices_of
from validator.eliminations.departed import Watch
from validator.eliminations.index import UNREADABLE, Held
from validator.eliminations.reasons import ZOMBIE
from validator.eliminations.requests import requests
from validator.entities.closing import Marks
from validator.registry import ABSENT, Registry, draft, sequence_of
from vanta_api.records import Position, RestingOrder

Effect = Callable[[Elimination], Sequence[Draft]]
"""Further drafts of the same append: what else an elimination does (it may be asked several times)."""

ELIMINATIONS = Counter("vanta_validator_eliminations", "Hotkeys eliminated by this process", ("reason",))

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger()


class WhatIsOpen(Protocol):
    """The part of an ``index.Index`` that is asked here."""

    def catch_up(self) -> None: ...

    def hotkeys(self) -> list[str]: ...

    def is_busy(self, hotkey: str) -> bool: ...

    def open_positions(self, hotkey: str) -> list[tuple[Held, Position]]: ...

    def resting_orders(self, hotkey: str) -> list[tuple[Held, RestingOrder]]: ...


class EliminationKeeper:
    """Eliminates. ``marks`` prices what is closed, ``version`` is what closed positions carry."""

    def __init__(
        self,
        index: WhatIsOpen,
        registry: Registry,
        marks: Marks,
        version: str,
        *,
        watch: Watch | None = None,
        effects: Sequence[Effect] = (),
    ) -> None:
        self._index, self._registry, self._marks, self._version = index, registry, marks, version
        self._watch, self._effects = watch, tuple(effects)

    def tick(self, now_ms: int) -> list[str]:
        """Do what operators asked for, put zombies out, sweep; returns who is newly out.

        Raises JournalError.
        """
        self._index.catch_up()
        asked = [(one.hotkey, one.reason) for one in requests(self._registry)]
        asked += [(hotkey, ZOMBIE) for hotkey in self._zombies(now_ms)]
        gone = [hotkey for hotkey, reason in asked if self.eliminate(hotkey, reason, None, now_ms)]
        self.sweep()
        return gone

    def eliminate(self, hotkey: str, reason: str, dd: float | None, now_ms: int) -> bool:
        """Put a hotkey out for good; False when it is out already. Raises JournalError."""
        done = self._registry.transact(lambda: self._elimination(hotkey, reason, dd, now_ms))
        if done:
            ELIMINATIONS.labels(reason).inc()
            _log.warning("hotkey eliminated", hotkey=hotkey, reason=reason, drawdown_percent=dd)
            self._index.catch_up()
            self._sweep_one(hotkey)  # what was written between the look and the append
        return bool(done)

    def sweep(self) -> int:
        """Close whatever is open of those who are out; returns for how many that was needed.

        Raises JournalError.
        """
        facts = self._registry.with_prefix(eliminated.ELIMINATION)
        return sum(self._sweep_one(fact.key.removeprefix(eliminated.ELIMINATION)) for fact in facts)

    def _sweep_one(self, hotkey: str) -> bool:
        return bool(self._registry.transact(lambda: self._remains(hotkey)))

    def _zombies(self, now_ms: int) -> list[str]:
        if self._watch is None:
            return []
        known = [
            fact.key.removeprefix(challenge.PREFIX) for fact in self._registry.with_prefix(challenge.PREFIX)
        ]
        return self._watch.zombies([*known, *self._index.hotkeys()], now_ms)

    def _elimination(self, hotkey: str, reason: str, dd: float | None, now_ms: int) -> list[Draft]:
        """Everything an elimination writes; nothing when the hotkey is out already."""
        if self._registry.get(eliminated.key_of(hotkey)) is not None:
            return []
        self._index.catch_up()
        held = self._index.open_positions(hotkey)
        row = Elimination(
            hotkey=hotkey,
            dd=dd,
            reason=reason,
            elimination_initiated_time_ms=now_ms,
            price_info=prices_of([position for _, position in held], self._marks, now_ms),
        )
        body = _encode(EliminationMessage(elimination=row))
        fact = draft(eliminated.key_of(hotkey), body, expected=ABSENT)
        extra = [one for effect in self._effects for one in effect(row)]
        return [fact, *self._last_bucket(row), *self._closing(row), *extra]

    def _remains(self, hotkey: str) -> list[Draft]:
        """What closes all that is still open of a hotkey that is out."""
        fact = self._registry.get(eliminated.key_of(hotkey))
        if fact is None:
            return []
        try:
            row = eliminated.decode(fact.body)
        except UNREADABLE as error:
            _log.warning("elimination not swept", hotkey=hotkey, problem=str(error))
            return []
        self._index.catch_up()
        return [*self._last_bucket(row), *self._closing(row)]

    def _closing(self, row: Elimination) -> list[Draft]:
        if not self._index.is_busy(row.hotkey):
            return []
        positions = self._index.open_positions(row.hotkey)
        orders = self._index.resting_orders(row.hotkey)
        at_ms = row.elimination_initiated_time_ms
        return closing_drafts(positions, orders, self._marks, at_ms, self._version)

    def _last_bucket(self, row: Elimination) -> list[Draft]:
        """The hotkey's step into ELIMINATED, unless it made it already."""
        key, at_ms = challenge.key_of(row.hotkey), row.elimination_initiated_time_ms
        fact = self._registry.get(key)
        if fact is None:
            out = challenge.admitted(row.hotkey, challenge.ELIMINATED, at_ms, reason=row.reason)
            return [draft(key, challenge.encode(out), expected=ABSENT)]
        known = challenge.decode(fact.body)
        if known.is_out:
            return []
        out = challenge.moved(known, challenge.ELIMINATED, at_ms, at_ms, row.reason)
        return [draft(key, challenge.encode(out), expected=sequence_of(fact))]


def rows(registry: Registry) -> list[Elimination]:
    """Every elimination, by time. Raises JournalError."""
    found = (eliminated.decode(fact.body) for fact in registry.with_prefix(eliminated.ELIMINATION))
    return sorted(found, key=lambda row: (row.elimination_initiated_time_ms, row.hotkey))
