"""Statistics for every audience, made when somebody asks and brought up to date from then on.

Rule 1: each audience's book is made from what that audience may see, never from what another one sees.
Rule 2: a hotkey is measured again only when its ledgers, positions or registered facts are other ones; all
are looked at again at most every ``REFRESH_MS``, in between everybody gets the same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog

from rest_server.audience import Audience
from rest_server.documents import Document, document
from rest_server.ledger_books import known_pairs
from rest_server.papers import cut_of
from rest_server.published import Published
from runtime.clock import Clock
from validator.assets import ASSET, read_selection
from validator.challenge import record
from validator.eliminations.requests import PLAGIARISM, decode_plagiarism
from validator.ledger.checkpoint import Bundle
from validator.statistics import Facts, StatisticsBook
from validator.statistics.facts import Bucket
from validator.tiers import LAG_MS
from vanta_api.records import AccountSizeRecord, Position

REFRESH_MS: Final = 60_000
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TESTED: Final = ("SUBACCOUNT_CHALLENGE", "PRO_CHALLENGE")  # beginnings of the names of newer buckets
_BUCKETS: Final[dict[str, Bucket]] = {
    "MAINCOMP": "MAINCOMP",
    "CHALLENGE": "CHALLENGE",
    "PROBATION": "PROBATION",
    "PLAGIARISM": "PLAGIARISM",
}

_log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What a hotkey is measured from."""

    bundle: Bundle
    positions: list[Position]
    facts: Facts

    def is_same(self, other: _Inputs) -> bool:
        """Whether they are the very same ledgers and positions, and equal facts."""
        if self.bundle is not other.bundle or len(self.positions) != len(other.positions):
            return False
        pairs = zip(self.positions, other.positions, strict=True)
        return self.facts == other.facts and all(one is another for one, another in pairs)


@dataclass
class _Kept:
    """One audience's book, as of ``made_ms``; ``inputs``: what each hotkey was measured from.

    ``looked_ms``: when the state was last compared with it.
    """

    book: StatisticsBook
    made_ms: int = -1
    looked_ms: int | None = None
    inputs: dict[str, _Inputs] = field(default_factory=dict)
    documents: dict[Any, Document | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class StatisticsShelf:
    """``span_ms``: length of ledger checkpoints. Threads share it."""

    def __init__(self, version: str, span_ms: int, clock: Clock) -> None:
        self._version, self._span_ms, self._clock = version, span_ms, clock
        self._lock = threading.Lock()
        self._kept: dict[Audience, _Kept] = {}

    def everybody(self, published: Published, audience: Audience, *, checkpoints: bool) -> Document | None:
        """``GET /statistics``; None while there is nobody."""
        with self._fresh(published, audience) as kept:
            name = ("everybody", checkpoints)
            if name not in kept.documents:
                text = kept.book.envelope(kept.made_ms, checkpoints) if kept.inputs else None
                kept.documents[name] = None if text is None else document(text)
            return kept.documents[name]

    def one(
        self, published: Published, audience: Audience, hotkey: str, *, checkpoints: bool
    ) -> Document | None:
        """``GET /statistics/<id>/``; None when the hotkey is not known."""
        with self._fresh(published, audience) as kept:
            name = (hotkey, checkpoints)
            if hotkey in kept.inputs and name not in kept.documents:
                text = kept.book.element(hotkey, checkpoints, kept.made_ms)
                kept.documents[name] = None if text is None else document(text)
            return kept.documents.get(name)

    def is_empty(self, published: Published, audience: Audience) -> bool:
        """Whether there is nobody."""
        with self._fresh(published, audience) as kept:
            return not kept.inputs

    @contextmanager
    def _fresh(self, published: Published, audience: Audience) -> Iterator[_Kept]:
        """One audience's book while it is looked at: locked, and fresh enough."""
        with self._lock:
            kept = self._kept.get(audience)
            if kept is None:
                kept = self._kept[audience] = _Kept(StatisticsBook(self._version, self._span_ms))
        now_ms = self._clock.now_ms()
        with kept.lock:
            if kept.looked_ms is None or not 0 <= now_ms - kept.looked_ms < REFRESH_MS:
                refresh(kept, published, audience)
                kept.looked_ms = now_ms
            yield kept


def refresh(kept: _Kept, published: Published, audience: Audience) -> None:
    """Measure again whoever's inputs are other ones."""
    seen = _Seen(published, audience)
    inputs = {hotkey: found for hotkey in published.papers if (found := seen.inputs(hotkey)) is not None}
    for hotkey in kept.inputs.keys() - inputs.keys():
        kept.book.remove(hotkey)
    for hotkey, found in inputs.items():
        known = kept.inputs.get(hotkey)
        if known is None or not found.is_same(known):
            bundle = known_pairs(found.bundle) if audience.only_vanta else found.bundle
            kept.book.update(hotkey, bundle, found.positions, found.facts)
    kept.inputs, kept.made_ms = inputs, published.at_ms
    kept.documents.clear()


class _Seen:
    """What an audience may see of everybody's ledgers, positions and facts."""

    def __init__(self, published: Published, audience: Audience) -> None:
        self._published, self._audience = published, audience
        self._cut_ms = cut_of(audience, published.at_ms)
        self._before_ms = None if audience.is_live else published.at_ms - LAG_MS
        self._out = {row["hotkey"] for row in published.registered.eliminations if self._is_old(_began(row))}

    def inputs(self, hotkey: str) -> _Inputs | None:
        """What the hotkey is measured from; None: it is out, or has no ledger."""
        bundle = None if hotkey in self._out else self._published.papers[hotkey].bundle(self._cut_ms)
        return None if not bundle else _Inputs(bundle, self._positions(hotkey), self._facts(hotkey))

    def _positions(self, hotkey: str) -> list[Position]:
        """The positions; a real-time one as it was recorded: prices move nothing that is measured here."""
        book = self._published.books.get(hotkey)
        found = []
        for held in book.held.values() if book is not None else ():
            view = self._audience.view_of(held)
            position = held.record if view is held.live else view.position if view is not None else None
            if position is not None:
                found.append(position)
        return found

    def _is_old(self, ms: int) -> bool:
        """Whether the audience may know what happened then."""
        return self._before_ms is None or ms < self._before_ms

    def _facts(self, hotkey: str) -> Facts:
        bucket, since_ms = self._bucket(hotkey)
        sizes = self._sizes(hotkey)
        day_ms = self._published.at_ms if self._before_ms is None else self._before_ms
        made = [one for one in sizes if one.account_size_theta > 0 and one.valid_date_timestamp <= day_ms]
        return Facts(
            bucket=bucket,
            bucket_start_ms=since_ms,
            asset_selection=self._asset_class(hotkey),
            plagiarism=self._plagiarism(hotkey),
            collateral_usd=made[-1].account_size if made else None,
            account_sizes=tuple(sizes),
        )

    def _bucket(self, hotkey: str) -> tuple[Bucket | None, int]:
        body = self._published.registered.body(record.key_of(hotkey))
        try:
            known = None if body is None else record.decode(body)
        except UNREADABLE as error:
            _log.warning("bucket not shown", hotkey=hotkey, problem=str(error))
            known = None
        if known is not None and self._before_ms is not None:
            known = record.as_of(known, self._before_ms)
        if known is None:
            return None, 0
        newer: Bucket = "CHALLENGE" if known.bucket.startswith(_TESTED) else "MAINCOMP"
        return _BUCKETS.get(known.bucket, newer), known.bucket_start_time

    def _asset_class(self, hotkey: str) -> str | None:
        body = self._published.registered.body(ASSET + hotkey)
        try:
            selected = None if body is None else read_selection(body)
        except UNREADABLE as error:
            _log.warning("selection not shown", hotkey=hotkey, problem=str(error))
            return None
        return selected.asset_class if selected is not None and self._is_old(selected.time_ms) else None

    def _plagiarism(self, hotkey: str) -> float | None:
        body = self._published.registered.body(PLAGIARISM + hotkey)
        try:
            report = None if body is None else decode_plagiarism(body)
        except UNREADABLE as error:
            _log.warning("report not shown", hotkey=hotkey, problem=str(error))
            return None
        if report is None or not self._is_old(report.reported_ms):
            return None
        is_withdrawn = report.cleared_ms is not None and self._is_old(report.cleared_ms)
        return None if is_withdrawn else report.score

    def _sizes(self, hotkey: str) -> list[AccountSizeRecord]:
        rows = self._published.registered.account_sizes.get(hotkey, ())
        seen = (row for row in rows if self._is_old(row["update_time_ms"]))
        return [AccountSizeRecord(hotkey=hotkey, **row) for row in seen]


def _began(row: dict[str, Any]) -> int:
    return int(row["elimination_initiated_time_ms"])
