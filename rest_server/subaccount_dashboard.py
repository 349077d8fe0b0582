"""A subaccount's dashboard: whole (v1), or only what is new (v2).

Rule 1: everything in one answer is of one published state, but for the registered facts, which may be newer.
Rule 2: the entity tag stands for the dashboard alone; the time of the answer does not move it.
Rule 3: what there is nothing of is null; nothing is left out because it could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec

from rest_server.audience import Audience
from rest_server.books import Book
from rest_server.documents import Document
from rest_server.gzip_join import Incidental, Piece
from rest_server.published import Published
from rest_server.resting import dashboard_row, status_of
from rest_server.services import Services
from rest_server.shown import SOURCES_MS
from validator import compact, leverage
from validator.account import AccountSizeData, Drawdown, account_size_data, drawdown
from validator.challenge import record as challenge
from validator.entities.records import Standing, subaccount_row
from validator.gate import residuals
from validator.ledger.checkpoint import PORTFOLIO, Checkpoint
from vanta_api.records import Position, RestingOrder
from vanta_api.wire import rest_fragment

_encode: Final = msgspec.json.Encoder().encode
SINCE: Final = ("positions_time_ms", "limit_orders_time_ms", "checkpoints_time_ms", "daily_returns_time_ms")


@dataclass(frozen=True)
class Subaccount:
    """Everything that is known of one subaccount, as this audience may see it."""

    standing: Standing
    published: Published
    audience: Audience
    here: Services

    @property
    def hotkey(self) -> str:
        return self.standing.record.synthetic_hotkey

    @property
    def book(self) -> Book | None:
        return self.published.books.get(self.hotkey)

    @cached_property
    def positions(self) -> list[Position]:
        """Closed ones by closing time, then open ones."""
        return [] if self.book is None else self.book.positions(self.audience)

    @cached_property
    def resting(self) -> list[RestingOrder]:
        return self.published.resting(self.hotkey, self.audience)

    @cached_property
    def checkpoints(self) -> Sequence[Checkpoint]:
        """Those of the portfolio's ledger, oldest first."""
        ledgers = self.published.ledgers.get(self.hotkey)
        bundle = None if ledgers is None else ledgers.bundle
        return () if bundle is None or PORTFOLIO not in bundle else bundle[PORTFOLIO].cps

    @cached_property
    def challenge(self) -> challenge.Challenge | None:
        fact = self.here.registry.get(challenge.key_of(self.hotkey))
        return None if fact is None else challenge.decode(fact.body)

    @cached_property
    def account_size(self) -> float:
        """USD: the newest that was registered, else what its creation said."""
        records = self.published.registered.account_sizes.get(self.hotkey)
        return float(records[-1]["account_size"]) if records else self.standing.record.account_size

    @cached_property
    def account(self) -> AccountSizeData:
        bucket = self.challenge.bucket if self.challenge else None
        tier = leverage.tier_of(bucket, self.account_size)
        multiple = leverage.portfolio_multiple(self.standing.record.asset_class, tier)
        highest = max((one.mpv for one in self.checkpoints), default=1.0)
        return account_size_data(self.positions, self.account_size, multiple, highest)

    @property
    def drawdown(self) -> Drawdown:
        rules = self.here.settings.rules
        is_on_trial = self.challenge is not None and self.challenge.bucket == challenge.SUBACCOUNT_CHALLENGE
        percent = rules.drawdown_percent
        if is_on_trial:
            percent = min(percent, rules.subaccount_drawdown_percent)
        at_ms = self.published.at_ms
        return drawdown(self.positions, self.account, self.checkpoints, percent / 100, at_ms)


def whole(one: Subaccount) -> Document:
    """``GET /entity/subaccount/<hotkey>``."""
    return _document(
        one,
        {
            **_always(one),
            "ledger": one.here.entities.more.debt_ledger(one.hotkey),
            "positions": _positions(one),
            "statistics": one.here.entities.more.statistics(one.hotkey),
            "limit_orders": [dashboard_row(order) for order in one.resting if status_of(order) == "unfilled"],
        },
    )


def news(one: Subaccount, since: Mapping[str, int]) -> Document:
    """``GET /v2/entity/subaccount/<hotkey>``; ``since``: the times of ``SINCE`` that were sent, else 0."""
    orders = one.published.orders.get(one.hotkey)
    changed = [
        compact.Changed(version.since_ms, version.order)
        for version in (orders.changes(one.audience, one.published.at_ms) if orders is not None else ())
    ]
    at_ms = one.published.at_ms
    positions_ms, orders_ms, checkpoints_ms, days_ms = (since.get(name, 0) for name in SINCE)
    sections = {
        "positions": compact.positions(one.positions, one.resting, positions_ms, at_ms),
        "limit_orders": compact.limit_orders(changed, orders_ms, at_ms),
        "ledger": compact.ledger(one.checkpoints, _bucket_at(one), checkpoints_ms),
        "statistics": compact.statistics(one.checkpoints, days_ms),
    }
    told = {name: section for name, section in sections.items() if section is not None}
    return _document(one, {**_always(one), **told})


def _always(one: Subaccount) -> dict[str, Any]:
    """The sections that both forms have."""
    elimination = one.standing.elimination
    period = one.challenge
    return {
        "subaccount_info": {
            **subaccount_row(one.standing),
            "entity_hotkey": one.standing.record.entity_hotkey,
        },
        "challenge_period": None
        if period is None
        else {"bucket": period.bucket, "start_time_ms": period.bucket_start_time},
        "elimination": elimination,
        "drawdown": one.drawdown,
        "account_size_data": one.account,
        "residual": [] if elimination is None else residuals(one.here.registry, one.hotkey),
    }


def _positions(one: Subaccount) -> dict[str, Any] | None:
    """The open positions, and figures over all of them; null before the first one."""
    if one.book is None:
        return None
    opened = [position for position in one.positions if not position.is_closed_position]
    since_ms = one.published.at_ms - SOURCES_MS
    fragments = [msgspec.Raw(rest_fragment(position, sources_since_ms=since_ms)) for position in opened]
    return {"positions": fragments, **one.book.figures(one.audience)}


def _bucket_at(one: Subaccount) -> Any:
    known = one.challenge
    return lambda ms: challenge.UNKNOWN if known is None else challenge.bucket_at(known, ms)


def _document(one: Subaccount, dashboard: Mapping[str, Any]) -> Document:
    time_ms = one.here.clock.now_ms()
    body = b'{"status":"success","dashboard":%b' % _encode(dashboard)
    return Document((Piece(body), Incidental(b',"timestamp":%d}' % time_ms)))
