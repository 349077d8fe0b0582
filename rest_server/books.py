"""One hotkey's positions, and its dashboard for every audience as encoded pieces.

Rule 1: a book is immutable; a change makes a new book, and only that hotkey's.
Rule 2: an audience's piece is made again only when something that audience sees was replaced. What one
audience may not see therefore cannot move its answer, its order or its entity tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import msgspec

from journal.state import Totals
from rest_server.audience import Audience
from rest_server.gzip_join import Joined, Piece, Stored
from rest_server.shown import Held, Shown
from validator.aggregates import MINIMUM_DURATION_MS, aggregates
from validator.trade_pairs import is_vanta
from vanta_api.records import Position

_encode: Final = msgspec.json.Encoder().encode
_OPEN_LAST: Final = 2**63  # open positions come after every closed one


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A hotkey as one audience sees it. ``piece`` is the inside of its JSON object, without braces."""

    views: tuple[Shown, ...]
    totals: Mapping[str, Totals]
    name: Piece
    piece: Piece
    thirty_day_returns: float
    _members: dict[Piece, Piece] = field(default_factory=dict, repr=False)

    def member(self, last: Piece) -> Piece:
        """The hotkey's whole member of a JSON object, ``last`` being what closes it."""
        made = self._members.get(last)
        if made is None:
            made = self._members[last] = Joined((self.name, self.piece, last))
        return made


class Book:
    """The positions of ``hotkey`` by uuid, as of ``at_ms``.

    ``totals``: what positions that are no longer kept (all of them very old) add to the figures, by pair.
    """

    def __init__(
        self, hotkey: str, held: Mapping[str, Held], at_ms: int, totals: Mapping[str, Totals]
    ) -> None:
        self.hotkey = hotkey
        self.held = held
        self.totals = totals
        self.name = Stored(_encode(hotkey) + b":{")
        self._at_ms = at_ms
        self._dashboards: dict[Audience, Dashboard] = {}
        self._newest: dict[Audience, Dashboard] = {}  # of this book and of those it replaced

    def replaced(
        self, changed: Mapping[str, Held], gone: Iterable[str], at_ms: int, totals: Mapping[str, Totals]
    ) -> Book:
        """The book after some positions were replaced, added or dropped."""
        held = {**self.held, **changed}
        for uuid in gone:
            held.pop(uuid, None)
        book = Book(self.hotkey, held, at_ms, totals)
        book._newest = self._newest  # every use compares the views first, so sharing is safe
        return book

    def dashboard(self, audience: Audience) -> Dashboard:
        """The hotkey for this audience; made now unless nothing it sees was replaced."""
        made = self._dashboards.get(audience)
        if made is None:
            made = self._dashboards[audience] = self._carried_or_made(audience)
        return made

    def _carried_or_made(self, audience: Audience) -> Dashboard:
        views = tuple(view for one in self.held.values() if (view := audience.view_of(one)) is not None)
        made = self._newest.get(audience)
        # Views have no value equality: this compares identities.
        if made is None or made.views != views or made.totals is not self.totals:
            made = self._newest[audience] = self._make(audience, views)
        return made

    def _make(self, audience: Audience, views: tuple[Shown, ...]) -> Dashboard:
        seen = sorted(
            ((view.position, view) for view in views if view.position is not None),
            key=lambda pair: _order(pair[0]),
        )
        figures = self._figures(audience, [position for position, _ in seen])
        fragments = b",".join([view.fragment for _, view in seen])
        inside = b'%b,"positions":[%b]' % (_encode(figures)[1:-1], fragments)
        return Dashboard(views, self.totals, self.name, Piece(inside), figures["thirty_day_returns"])

    def _figures(self, audience: Audience, seen: list[Position]) -> dict[str, Any]:
        figures = aggregates(seen, self._at_ms)
        figures.pop("total_leverage")  # belongs to entity dashboards only
        older = [t for pair, t in self.totals.items() if not audience.only_vanta or is_vanta(pair)]
        if older:
            lasted = sum(map(_has_lasted, seen))
            profitable = round(figures["percentage_profitable"] * lasted) + sum(t.profitable for t in older)
            lasted += sum(t.lasted for t in older)
            figures["percentage_profitable"] = profitable / lasted if lasted else 0.0
            figures["n_positions"] += sum(t.positions for t in older)
            figures["all_time_returns"] *= prod(t.product for t in older)
        return figures


def _has_lasted(position: Position) -> bool:
    """Whether the position counts towards returns."""
    is_over = position.is_closed_position and position.close_ms is not None
    return is_over and (position.close_ms or 0) - position.open_ms >= MINIMUM_DURATION_MS


def _order(position: Position) -> tuple[int, int, str]:
    """Closed positions by closing time, then open ones by opening time."""
    closed = position.close_ms if position.is_closed_position and position.close_ms else _OPEN_LAST
    return closed, position.open_ms, position.position_uuid
