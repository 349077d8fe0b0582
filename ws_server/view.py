"""What a subscriber asked to see, and whether an entry belongs to it.

Rule 1: a filter that cannot be judged (an entry without that fact) withholds the entry.
Rule 2: filters are joined by "and"; inside one filter any name is enough.
Rule 3: venue and trade-pair filters speak of positions and orders; other streams have no such facts and
pass them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from journal.entry import LEDGER, ORDERS, POSITIONS, REGISTRY, Entry
from runtime.api_keys import ApiKey
from validator.trade_pairs import is_vanta
from vanta_api.messages import Subscribe

STREAM_TIERS: Final = {POSITIONS: 100, ORDERS: 100, LEDGER: 100, REGISTRY: 200}
"""Streams that are served here, with the tier each needs. ``actions`` are their traders' own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a filter can look at. None: the entry does not say."""

    hotkey: str
    venue: str | None = None
    trade_pair: str | None = None


class ForbiddenStream(Exception):
    """A stream that does not exist here or that the key's tier does not include."""


@dataclass(frozen=True, slots=True)
class View:
    """One way of seeing the streams; subscribers with equal views share their frames."""

    streams: tuple[str, ...] = (POSITIONS,)
    hotkeys: frozenset[str] = frozenset()
    venues: frozenset[str] = frozenset()
    trade_pairs: frozenset[str] = frozenset()
    only_vanta: bool = False

    @property
    def is_filtered(self) -> bool:
        """True when entries of a stream may be withheld, so that frames need ``prev_sequence``."""
        return bool(self.hotkeys or self.venues or self.trade_pairs or self.only_vanta)

    def admits(self, stream: str, facts: Facts) -> bool:
        """Whether an entry with these facts is part of the view."""
        if self.hotkeys and facts.hotkey not in self.hotkeys:
            return False
        if stream not in _TRADED:
            return True
        if self.venues and facts.venue not in self.venues:
            return False
        if self.trade_pairs and facts.trade_pair not in self.trade_pairs:
            return False
        return not self.only_vanta or (facts.trade_pair is not None and is_vanta(facts.trade_pair))


_TRADED: Final = frozenset({POSITIONS, ORDERS})


def view_of(request: Subscribe, key: ApiKey) -> View:
    """The view that a subscribe frame asks for, inside what its key may see. Raises ForbiddenStream."""
    streams = request.streams or (POSITIONS,)
    for stream in streams:
        _check(stream, key)
    return View(
        streams=tuple(sorted(set(streams))),
        hotkeys=_names(request.hotkeys),
        venues=_names(request.venues),
        trade_pairs=_names(request.trade_pairs),
        only_vanta=key.trade_pairs == "vanta",
    )


def may_see(stream: str, key: ApiKey) -> bool:
    """Whether the key's tier includes the stream."""
    return stream in STREAM_TIERS and key.tier >= STREAM_TIERS[stream]


def _check(stream: str, key: ApiKey) -> None:
    if stream not in STREAM_TIERS:
        raise ForbiddenStream(f"there is no such stream; allowed are {', '.join(STREAM_TIERS)}")
    if not may_see(stream, key):
        raise ForbiddenStream(f"the stream {stream} needs tier {STREAM_TIERS[stream]}")


def _names(names: Iterable[str] | None) -> frozenset[str]:
    return frozenset(names or ())


class _Venue(msgspec.Struct):
    name: str | None = None


class _Position(msgspec.Struct):
    trade_pair: tuple[str, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw] | None = None
    venue: _Venue | None = None


class _PositionBody(msgspec.Struct):
    position: _Position


class _Order(msgspec.Struct):
    trade_pair_id: str | None = None
    venue: _Venue | None = None


class _OrderBody(msgspec.Struct):
    order: _Order


_position_body = msgspec.json.Decoder(_PositionBody)
_order_body = msgspec.json.Decoder(_OrderBody)


def facts_of(entry: Entry) -> Facts:
    """Read an entry's facts; a body that is not of the expected shape has none but its hotkey."""
    hotkey = entry.key.partition("|")[0]
    try:
        if entry.stream == POSITIONS:
            position = _position_body.decode(entry.body).position
            pair = position.trade_pair[0] if position.trade_pair else None
            return Facts(hotkey, _name(position.venue), pair)
        if entry.stream == ORDERS:
            order = _order_body.decode(entry.body).order
            return Facts(hotkey, _name(order.venue), order.trade_pair_id)
    except msgspec.DecodeError:
        pass  # rule 1: without facts it is withheld from every filter that asks for them
    return Facts(hotkey)


def _name(venue: _Venue | None) -> str | None:
    return venue.name if venue else None
