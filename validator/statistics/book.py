"""Statistics of all hotkeys, kept encoded.

Rule 1: ``update`` of a hotkey measures that hotkey again and nobody else.
Rule 2: places are compared again at the next question after any change, once for all hotkeys.
Rule 3: what did not change is not encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from validator.ledger.checkpoint import SPAN_MS, Bundle
from validator.statistics.constants import printable
from validator.statistics.element import Own, Shared, joined
from validator.statistics.facts import Facts
from validator.statistics.measures import measure
from validator.statistics.standing import Entrant, Standings, compare, in_order
from vanta_api.records import Position

_encode: Final = msgspec.json.Encoder().encode
NO_FACTS: Final = Facts()


class StatisticsBook:
    """One audience's statistics.

    ``revision`` moves whenever an answer may be another one; only ``remaining_time_ms`` of a challenge period
    follows the time that is asked for as well.
    """

    def __init__(self, version: str, span_ms: int = SPAN_MS) -> None:
        self.revision = 0
        self._version, self._span_ms = version, span_ms
        self._entrants: dict[str, Entrant] = {}
        self._own: dict[str, Own] = {}
        self._standings: Standings | None = Standings()
        self._shared: dict[str, Shared] = {}
        self._now_ms = 0

    def update(
        self, hotkey: str, bundle: Bundle, positions: Sequence[Position], facts: Facts = NO_FACTS
    ) -> None:
        """Measure a hotkey by its ledgers, positions and facts, as far as the audience may see them."""
        measures = measure(bundle, positions)
        self._entrants[hotkey] = Entrant(measures, facts)
        self._own[hotkey] = Own(hotkey, measures, facts)
        self._changed()

    def remove(self, hotkey: str) -> None:
        """Forget a hotkey."""
        if self._entrants.pop(hotkey, None) is not None:
            del self._own[hotkey]
            self._changed()

    def hotkeys(self) -> list[str]:
        """Everyone, by the rank of their weight."""
        return in_order(self._entrants, self._compared())

    def element(self, hotkey: str, checkpoints: bool = True, now_ms: int | None = None) -> bytes | None:
        """One hotkey's element (None: not known). ``now_ms``: for challenge periods; else the last told."""
        if hotkey not in self._entrants:
            return None
        self._now_ms = self._now_ms if now_ms is None else now_ms
        shared = self._shared_of(hotkey, self._compared())
        return joined(self._own[hotkey], shared, self._now_ms, checkpoints=checkpoints)

    def envelope(self, now_ms: int, checkpoints: bool = True) -> bytes:
        """The answer with everyone in it."""
        standings = self._compared()
        self._now_ms = now_ms
        elements = [
            joined(self._own[hotkey], self._shared_of(hotkey, standings), now_ms, checkpoints=checkpoints)
            for hotkey in in_order(self._entrants, standings)
        ]
        created = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        head = {"version": self._version, "created_timestamp_ms": now_ms, "created_date": created}
        tail = {
            "constants": printable(self._version, self._span_ms),
            "network_data": {"asset_competitiveness": standings.competitiveness},
        }
        return b'%b,"data":[%b],%b' % (_encode(head)[:-1], b",".join(elements), _encode(tail)[1:])

    def _changed(self) -> None:
        self.revision += 1
        self._standings = None
        self._shared.clear()

    def _compared(self) -> Standings:
        if self._standings is None:
            self._standings = compare({hotkey: self._entrants[hotkey] for hotkey in sorted(self._entrants)})
        return self._standings

    def _shared_of(self, hotkey: str, standings: Standings) -> Shared:
        found = self._shared.get(hotkey)
        if found is None:
            facts = self._entrants[hotkey].facts
            found = self._shared[hotkey] = Shared(hotkey, facts, standings)
        return found
