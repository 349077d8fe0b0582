"""What a client asked to see: the subscribe frame, and the same filter applied at home.

Rule: what the server would withhold, the client drops too, so a back-fill over REST and a server
that knows no filters give exactly what the stream gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vanta_api.sequence_tracker import POSITIONS


@dataclass(frozen=True, slots=True)
class Subscription:
    """Filters are joined by "and"; an empty one lets everything through."""

    hotkeys: frozenset[str] = frozenset()
    venues: frozenset[str] = frozenset()
    trade_pairs: frozenset[str] = frozenset()
    streams: tuple[str, ...] = (POSITIONS,)

    @classmethod
    def of(
        cls,
        hotkeys: Iterable[str] | None = None,
        venues: Iterable[str] | None = None,
        trade_pairs: Iterable[str] | None = None,
        streams: Iterable[str] | None = None,
    ) -> Subscription:
        """Build one from what a caller passes; None and nothing are the same."""
        chosen = tuple(sorted(set(streams or ()))) or (POSITIONS,)
        return cls(frozenset(hotkeys or ()), frozenset(venues or ()), frozenset(trade_pairs or ()), chosen)

    @property
    def is_filtered(self) -> bool:
        """True when some entries are not wanted."""
        return bool(self.hotkeys or self.venues or self.trade_pairs)

    @property
    def other_streams(self) -> tuple[str, ...]:
        """The wanted streams besides ``positions``."""
        return tuple(stream for stream in self.streams if stream != POSITIONS)

    def frame(self, now_ms: int, cursors: Mapping[str, int]) -> str:
        """The subscribe frame; ``cursors`` resume the other streams."""
        frame: dict[str, Any] = {"type": "subscribe", "all": True, "sender_timestamp": now_ms}
        for name in ("hotkeys", "venues", "trade_pairs"):
            if getattr(self, name):
                frame[name] = sorted(getattr(self, name))
        if self.streams != (POSITIONS,):
            frame["streams"] = list(self.streams)
            known = {stream: cursors[stream] for stream in self.other_streams if stream in cursors}
            if known:
                frame["cursors"] = known
        return json.dumps(frame)

    def admits(self, data: Mapping[str, Any]) -> bool:
        """Whether an entry's ``data`` is wanted."""
        if not self.is_filtered:
            return True
        held = data.get("position") or data.get("order")
        if not isinstance(held, Mapping):
            return not self.hotkeys or data.get("hotkey") in self.hotkeys
        venue, pair = held.get("venue"), held.get("trade_pair")
        venue_name = venue.get("name") if isinstance(venue, Mapping) else None
        pair_id = pair[0] if isinstance(pair, list) and pair else pair
        return (
            (not self.hotkeys or held.get("miner_hotkey") in self.hotkeys)
            and (not self.venues or venue_name in self.venues)
            and (not self.trade_pairs or pair_id in self.trade_pairs)
        )
