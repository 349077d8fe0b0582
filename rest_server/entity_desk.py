"""What the routes of entities work with, and what an elimination through them does.

Rule: an elimination here is the very same act as the validator's own: one append with the fact, the closing
of everything open and what venues still hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from journal.entry import ORDERS, POSITIONS
from journal.state import Latest
from runtime.clock import Clock
from runtime.settings import Settings
from validator.eliminations.index import UNFILLED, Held
from validator.eliminations.keeper import EliminationKeeper
from validator.entities.clerk import Clerk
from validator.entities.closing import Marks
from validator.entities.directory import Entities
from validator.entities.keys import EntityKeys
from validator.entities.rules import Defaults
from validator.entities.secret import ServerSecret
from validator.registry import Registry
from vanta_api.records import (
    Position,
    RestingOrder,
    decode_order_message,
    decode_position_message,
)

Newest = Callable[[str, str], list[tuple[str, Latest]]]
"""Stream and hotkey → the newest entry of each of its keys."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_log = structlog.get_logger()


class OpenIndex:
    """What is open of a hotkey, read from the server's own state when somebody asks."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest

    def catch_up(self) -> None:
        """Nothing to do: every question is answered as of now."""

    def hotkeys(self) -> list[str]:
        """Nobody: the whole list is the validator's business."""
        return []

    def is_busy(self, hotkey: str) -> bool:
        """Whether anything is open or resting."""
        return bool(self.open_positions(hotkey) or self.resting_orders(hotkey))

    def open_positions(self, hotkey: str) -> list[tuple[Held, Position]]:
        """The hotkey's open positions, by key. Raises JournalError."""
        found = []
        for key, latest in self._newest(POSITIONS, hotkey):
            try:
                position = decode_position_message(latest.body).position
            except _UNREADABLE as error:
                _log.warning("position not closed", key=key, problem=str(error))
                continue
            if not position.is_closed_position:
                found.append((Held(key, latest.sequence, b""), position))
        return found

    def resting_orders(self, hotkey: str) -> list[tuple[Held, RestingOrder]]:
        """The hotkey's unfilled orders, by key. Raises JournalError."""
        found = []
        for key, latest in self._newest(ORDERS, hotkey):
            try:
                order = decode_order_message(latest.body).order
            except _UNREADABLE as error:
                _log.warning("order not cancelled", key=key, problem=str(error))
                continue
            if order.src in UNFILLED:
                found.append((Held(key, latest.sequence, b""), order))
        return found


def _nothing(_hotkey: str) -> Any:
    return None


def _silence() -> None:
    """There are no other nodes."""


@dataclass(frozen=True)
class More:
    """What else a dashboard shows of a hotkey (JSON values; None: there is nothing)."""

    debt_ledger: Callable[[str], Any] = _nothing
    statistics: Callable[[str], Any] = _nothing


@dataclass(frozen=True)
class EntityDesk:
    """``secret`` is what API keys are derived from; ``ring`` says that there may be news for other nodes."""

    clerk: Clerk
    keys: EntityKeys
    secret: ServerSecret
    keeper: EliminationKeeper
    more: More = More()
    ring: Callable[[], None] = _silence

    @property
    def entities(self) -> Entities:
        """Who is registered."""
        return self.clerk.entities

    def put_out(self, hotkey: str, reason: str) -> bool:
        """Eliminate a hotkey; False when it is out already. Raises UnavailableError."""
        return self.keeper.eliminate(hotkey, reason, None, self.clerk.clock.now_ms())


def open_desk(
    settings: Settings,
    registry: Registry,
    clock: Clock,
    marks: Marks,
    newest: Newest,
    *,
    ring: Callable[[], None] = _silence,
) -> EntityDesk:
    """The desk of these settings. Raises ValueError when the configured secret cannot be used."""
    entities = settings.entities
    defaults = Defaults(entities.account_size, entities.asset_class, entities.max_subaccounts)
    clerk = Clerk(registry, clock, defaults)
    secret = ServerSecret(entities.api_key_secret, settings.data_dir)
    keeper = EliminationKeeper(OpenIndex(newest), registry, marks, settings.repo_version)
    return EntityDesk(clerk, EntityKeys(secret.read, clerk.entities), secret, keeper, ring=ring)
