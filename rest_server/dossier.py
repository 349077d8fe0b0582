"""Everything one audience may see of one hotkey, put together from the state and the registered facts.

Rule 1: below the real-time tier every part is as of 24 hours ago: positions and orders by their own rules,
checkpoints that had ended, buckets, account sizes and eliminations that had been decided by then.
Rule 2: what there is nothing of is None or empty; figures are made from what is seen, never from more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from rest_server.audience import Audience
from rest_server.books import Book
from rest_server.published import Published
from rest_server.services import Services
from validator import compact, eliminated, leverage
from validator.account import AccountSizeData, Drawdown, account_size_data, drawdown
from validator.challenge import record
from validator.eliminated import Elimination
from validator.gate import residuals
from validator.ledger.checkpoint import PORTFOLIO, Checkpoint
from validator.tiers import LAG_MS
from vanta_api.records import Position, RestingOrder

SINCE: Final = ("positions_time_ms", "limit_orders_time_ms", "checkpoints_time_ms", "daily_returns_time_ms")


@dataclass(frozen=True)
class Dossier:
    """A hotkey as ``audience`` sees it. ``asset_class`` and ``size``: what its registration says, if any."""

    hotkey: str
    published: Published
    audience: Audience
    here: Services
    asset_class: str | None = None
    size: float | None = None

    @property
    def before_ms(self) -> int | None:
        """What happened from this moment on is not seen; None: everything is."""
        return None if self.audience.is_live else self.published.at_ms - LAG_MS

    @property
    def is_known(self) -> bool:
        """Whether there is anything of this hotkey at all."""
        facts = (self.challenge, self.elimination, self.account_size, self.orders or None)
        return bool(self.positions or self.checkpoints) or any(one is not None for one in facts)

    @property
    def book(self) -> Book | None:
        return self.published.books.get(self.hotkey)

    @cached_property
    def positions(self) -> list[Position]:
        """Closed ones by closing time, then open ones."""
        return [] if self.book is None else self.book.positions(self.audience)

    @cached_property
    def orders(self) -> list[RestingOrder]:
        """Resting orders, those that are over among them."""
        return self.published.resting(self.hotkey, self.audience)

    @cached_property
    def changed_orders(self) -> list[compact.Changed]:
        """The same with the time of their newest state."""
        book = self.published.orders.get(self.hotkey)
        if book is None:
            return []
        versions = book.changes(self.audience, self.published.at_ms)
        return [compact.Changed(one.since_ms, one.order) for one in versions]

    @cached_property
    def checkpoints(self) -> Sequence[Checkpoint]:
        """Those of the portfolio's ledger, oldest first."""
        ledgers = self.published.ledgers.get(self.hotkey)
        bundle = None if ledgers is None else ledgers.bundle
        found = () if bundle is None or PORTFOLIO not in bundle else bundle[PORTFOLIO].cps
        before_ms = self.before_ms
        return found if before_ms is None else [one for one in found if one.last_update_ms < before_ms]

    @cached_property
    def challenge(self) -> record.Challenge | None:
        fact = self.here.registry.get(record.key_of(self.hotkey))
        known = None if fact is None else record.decode(fact.body)
        if known is None or self.before_ms is None:
            return known
        return record.as_of(known, self.before_ms)

    @cached_property
    def elimination(self) -> Elimination | None:
        found = eliminated.elimination_of(self.here.registry, self.hotkey)
        before_ms = self.before_ms
        if found is None or before_ms is None or found.elimination_initiated_time_ms < before_ms:
            return found
        return None

    @property
    def residual(self) -> list[dict[str, Any]]:
        """What venues still hold of an eliminated hotkey, for readers who see everything."""
        if self.elimination is None or not self.audience.is_live:
            return []
        return residuals(self.here.registry, self.hotkey)

    @cached_property
    def account_size(self) -> float | None:
        """USD: the newest that was registered, else what the registration or a position says."""
        records = self.published.registered.account_sizes.get(self.hotkey, ())
        before_ms = self.before_ms
        seen = [one for one in records if before_ms is None or one["update_time_ms"] < before_ms]
        if seen:
            return float(seen[-1]["account_size"])
        if self.size is not None:
            return self.size
        sizes = [one.account_size for one in self.positions if one.account_size > 0]
        return sizes[-1] if sizes else None

    @property
    def bucket(self) -> str | None:
        return None if self.challenge is None else self.challenge.bucket

    @cached_property
    def account(self) -> AccountSizeData | None:
        """The account's figures; None when its size is not known."""
        size = self.account_size
        if size is None:
            return None
        chosen = self.asset_class or self.here.assets.everything().get(self.hotkey)
        multiple = leverage.portfolio_multiple(chosen, leverage.tier_of(self.bucket, size))
        highest = max((one.mpv for one in self.checkpoints), default=1.0)
        return account_size_data(self.positions, size, multiple, highest)

    @property
    def loss_limit(self) -> float:
        """The share that the account may lose before it is out."""
        rules = self.here.settings.rules
        percent = rules.drawdown_percent
        if self.bucket == record.SUBACCOUNT_CHALLENGE:
            percent = min(percent, rules.subaccount_drawdown_percent)
        return percent / 100

    @property
    def drawdown(self) -> Drawdown | None:
        """How far the account is down; None when its size is not known."""
        if self.account is None:
            return None
        at_ms = self.published.at_ms if self.before_ms is None else self.before_ms
        return drawdown(self.positions, self.account, self.checkpoints, self.loss_limit, at_ms)

    @property
    def bucket_at(self) -> Callable[[int], str]:
        """The bucket that had been decided by a moment."""
        known = self.challenge
        return lambda ms: record.UNKNOWN if known is None else record.bucket_at(known, ms)


def compact_sections(one: Dossier, since: Sequence[int]) -> dict[str, Any]:
    """The compact dashboard's sections that have news; ``since``: a bound for each name of ``SINCE``."""
    at_ms = one.published.at_ms
    positions_ms, orders_ms, checkpoints_ms, days_ms = since
    period, out = one.challenge, one.elimination
    sections = {
        "challenge_period": None
        if period is None
        else {"bucket": period.bucket, "start_time_ms": period.bucket_start_time},
        "drawdown": one.drawdown,
        "elimination": None
        if out is None
        else {
            "elimination_initiated_time_ms": out.elimination_initiated_time_ms,
            "reason": out.reason,
            "dd": out.dd,
        },
        "account_size_data": one.account,
        "positions": compact.positions(one.positions, one.orders, positions_ms, at_ms),
        "limit_orders": compact.limit_orders(one.changed_orders, orders_ms, at_ms),
        "ledger": compact.ledger(one.checkpoints, one.bucket_at, checkpoints_ms),
        "statistics": compact.statistics(one.checkpoints, days_ms),
        "residual": one.residual or None,
    }
    return {name: section for name, section in sections.items() if section is not None}
