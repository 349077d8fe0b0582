"""Who left the metagraph: noted once, and for ever.

Rule 1: only who was seen in the metagraph can leave it; a hotkey that never was in it is nobody's zombie.
Rule 2: a metagraph that is missing, empty, or smaller all at once by a quarter says nothing until it has said
so for a day: it is a fault of whoever wrote it far more often than a flight of miners.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from validator.registry import ABSENT, Registry, draft, sequence_of

DEPARTED: Final = "departed|"  # <hotkey>
MEMBERS: Final = "metagraph_members"
LOSS_LEAST: Final = 10  # hotkeys; fewer are never suspicious
LOSS_SHARE: Final = 0.25
SIZE_STEP: Final = 5  # hotkeys; a smaller change of the metagraph's size alone is not written down
BELIEVED_AFTER_MS: Final = 86_400_000
BYTES_MAX: Final = 8 * 1024 * 1024

Metagraph = Callable[[], frozenset[str] | None]
"""The subnet's hotkeys now; None: not known."""

_log = structlog.get_logger()


class Departed(msgspec.Struct, frozen=True, kw_only=True):
    """A hotkey that left."""

    hotkey: str
    detected_ms: int


class DepartedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``departed|<hotkey>``."""

    departed: Departed


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """Hotkeys we know that were in the metagraph when it was last looked at, and its size then."""

    hotkeys: tuple[str, ...]
    size: int


class MembersMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the ``registry`` entry with key ``metagraph_members``."""

    metagraph_members: Members


_encode: Final = msgspec.json.Encoder().encode
_departed: Final = msgspec.json.Decoder(DepartedMessage)
_members: Final = msgspec.json.Decoder(MembersMessage)


def is_suspicious(lost: int, before: int) -> bool:
    """Whether so many hotkeys gone at once are rather a broken metagraph."""
    return lost >= LOSS_LEAST and lost >= LOSS_SHARE * before


def departed(registry: Registry) -> dict[str, dict[str, Any]]:
    """``departed_hotkeys``: hotkey → ``{"detected_ms"}``. Raises JournalError."""
    found = (_departed.decode(fact.body).departed for fact in registry.with_prefix(DEPARTED))
    return {one.hotkey: {"detected_ms": one.detected_ms} for one in found}


class Watch:
    """Looks at the metagraph on behalf of the rules."""

    def __init__(self, registry: Registry, metagraph: Metagraph) -> None:
        self._registry, self._metagraph = registry, metagraph
        self._doubted_ms: int | None = None

    def zombies(self, known: Collection[str], now_ms: int) -> list[str]:
        """Who is out of the metagraph having been in it; ``known`` are the hotkeys to watch.

        Raises JournalError.
        """
        metagraph = self._metagraph()
        if metagraph is None:
            return []
        fact = self._registry.get(MEMBERS)
        before = None if fact is None else _members.decode(fact.body).metagraph_members
        if before is not None and self._is_doubted(before, metagraph, now_ms):
            return []
        now = Members(hotkeys=tuple(sorted(set(known) & metagraph)), size=len(metagraph))
        if before is None or _is_news(before, now):
            drafts = [draft(MEMBERS, _members_body(now), expected=sequence_of(fact))]
            gone = sorted(set(before.hotkeys) - metagraph) if before is not None else []
            new = [hotkey for hotkey in gone if self._registry.get(DEPARTED + hotkey) is None]
            drafts += [draft(DEPARTED + one, _departed_body(one, now_ms), expected=ABSENT) for one in new]
            self._registry.put_many(drafts)
        return [hotkey for hotkey in departed(self._registry) if hotkey not in metagraph]

    def _is_doubted(self, before: Members, metagraph: Collection[str], now_ms: int) -> bool:
        lost = len(set(before.hotkeys) - set(metagraph))
        if not is_suspicious(before.size - len(metagraph), before.size) and not is_suspicious(
            lost, len(before.hotkeys)
        ):
            self._doubted_ms = None
            return False
        if self._doubted_ms is None:
            self._doubted_ms = now_ms
            _log.warning("metagraph not believed yet", hotkeys=len(metagraph), before=before.size)
        return now_ms - self._doubted_ms < BELIEVED_AFTER_MS


def _is_news(before: Members, now: Members) -> bool:
    return now.hotkeys != before.hotkeys or abs(now.size - before.size) >= SIZE_STEP


def _members_body(members: Members) -> bytes:
    return _encode(MembersMessage(metagraph_members=members))


def _departed_body(hotkey: str, now_ms: int) -> bytes:
    return _encode(DepartedMessage(departed=Departed(hotkey=hotkey, detected_ms=now_ms)))


def read_metagraph(path: Path) -> frozenset[str] | None:
    """The hotkeys in a JSON list; None when the file cannot be read, is no such list, or is empty."""
    try:
        if path.stat().st_size > BYTES_MAX:
            return None
        found: Iterable[str] = msgspec.json.decode(path.read_bytes(), type=list[str])
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return None
    return frozenset(found) or None
