"""Writes penalties: for every span that all ledgers have passed, from what is registered by then.

Rule 1: a span's penalties are written once, when it is finished; only a correction of the ledger itself makes
them be looked at again. Ledgers and penalties are one stream, so its numbers tell which came later.
Rule 2: a hotkey's whole history is written newest first, so that its oldest record says that all are there.
Rule 3: ``penalty_through`` is written after the last hotkey of a boundary. Whoever is killed before that does
the boundary again, and writes only what is not there yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final, TypeVar

import msgspec
import structlog
from prometheus_client import Counter

from journal.entry import Draft, Writer
from runtime.settings import RulesSettings
from validator.assets import ASSET, read_selection
from validator.challenge import record as challenge
from validator.collateral.accounts import Size
from validator.debt.penalty import Penalties, Terms, Thresholds, Values
from validator.debt.penalty_record import (
    PREFIX,
    THROUGH_KEY,
    History,
    PenaltyRecord,
    Through,
    draft_of,
    needed,
    read_penalty,
    read_through,
    through_draft,
)
from validator.eliminations.index import Index
from validator.entities.hotkeys import parse
from validator.ledger.account import Rules
from validator.ledger.checkpoint import DAY_MS, PORTFOLIO
from validator.ledger.record import PREFIX as PERF
from validator.ledger.record import read_checkpoint
from validator.registry import Registry

DRAFTS_PER_APPEND: Final = 200  # below the 256 rows that one transaction may hold
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

WRITTEN: Final = Counter("vanta_validator_penalties", "Penalty records appended")

Found = TypeVar("Found")

Collateral = Callable[[str, int], float | None]
"""Hotkey and moment → the account size that collateral made by then; None: none is asked of it."""

_log = structlog.get_logger()


class PenaltyKeeper:
    """Keeps penalties. Make it before ``index`` loads: it watches the ledger entries."""

    def __init__(
        self,
        index: Index,
        registry: Registry,
        journal: Writer,
        rules: Rules,
        settings: RulesSettings,
        collateral: Collateral,
    ) -> None:
        self._index, self._registry, self._journal, self._rules = index, registry, journal, rules
        self._thresholds = Thresholds(
            drawdown_percent=settings.drawdown_percent, collateral_usd=settings.minimum_collateral_usd
        )
        self._default_class, self._collateral = settings.default_asset_class, collateral
        self._histories: defaultdict[str, History] = defaultdict(History)
        self._through: Through | None = None
        self._through_sequence = 0
        self._spans: list[tuple[int, str, int]] = []  # number, hotkey and end of spans that were written
        self._whole: set[str] = set()
        index.watch_ledger(self._watch)

    def tick(self) -> Iterator[None]:
        """Write what is due, a hotkey at a time; the caller may stop between two. Raises JournalError."""
        through_ms, span_ms = self._index.through_ms, self._rules.span_ms
        if through_ms is None:
            return
        done_ms, corrected = self._done_ms(), self._corrected()
        for hotkey in self._due(through_ms, done_ms, corrected):
            since_ms = None if done_ms is None else corrected.get(hotkey, done_ms + 1)
            self._write(self._records(hotkey, through_ms, since_ms))
            self._whole.add(hotkey)
            yield
        self._spans.clear()
        if done_ms is None or through_ms > done_ms:
            (done,) = self._journal.append([through_draft(through_ms, span_ms)])
            self._through = Through(end_ms=through_ms, span_ms=span_ms)
            self._through_sequence = done.sequence
            self._index.forget_closed(through_ms - self._rules.window_ms)

    def _done_ms(self) -> int | None:
        """The boundary up to which everybody's penalties are written, in spans of the present length."""
        through = self._through
        return through.end_ms if through is not None and through.span_ms == self._rules.span_ms else None

    def _corrected(self) -> dict[str, int]:
        """The first span of each hotkey that was written again after its penalties had been."""
        found: dict[str, int] = {}
        for sequence, hotkey, end_ms in self._spans:
            if sequence > self._through_sequence:
                found[hotkey] = min(end_ms, found.get(hotkey, end_ms))
        return found

    def _due(self, through_ms: int, done_ms: int | None, corrected: Container[str]) -> list[str]:
        hotkeys = self._index.ledger_hotkeys()
        if done_ms is None or through_ms > done_ms:
            return hotkeys
        return [hotkey for hotkey in hotkeys if hotkey in corrected or hotkey not in self._whole]

    def _records(self, hotkey: str, through_ms: int, since_ms: int | None) -> list[PenaltyRecord]:
        """The records to write so that every span up to the boundary has its penalties, newest first.

        ``since_ms``: those that end before have theirs, if the history is whole (None: look at all).
        """
        bundle = self._index.bundle(hotkey)
        if bundle is None or PORTFOLIO not in bundle:
            return []  # there is nothing to penalise
        window_ms = through_ms - self._rules.window_ms
        positions = [one for _, one in self._index.positions(hotkey, closed_since_ms=window_ms)]
        penalties = Penalties(bundle, positions, self._thresholds)
        ends = [end_ms for end_ms in penalties.ends() if end_ms <= through_ms]
        history = self._histories[hotkey]
        is_whole = bool(ends) and history.first_ms is not None and history.first_ms <= ends[0]
        if is_whole and since_ms is not None:
            ends = [end_ms for end_ms in ends if end_ms >= since_ms]
        return self._missing(hotkey, ends, penalties)

    def _missing(self, hotkey: str, ends: Sequence[int], penalties: Penalties) -> list[PenaltyRecord]:
        history, found = self._histories[hotkey].copy(), []  # what is written comes back from the journal
        terms = _Terms(self._registry, hotkey, self._default_class, self._collateral)
        for end_ms in ends:
            values: Values = penalties.at(end_ms, terms.at(end_ms))
            made = needed(history, end_ms, self._rules.span_ms, values, hotkey)
            if made is not None:
                history.put(made)
                found.append(made)
        return found[::-1]

    def _write(self, records: Sequence[PenaltyRecord]) -> None:
        drafts: list[Draft] = [draft_of(one, self._rules.window_ms) for one in records]
        for start in range(0, len(drafts), DRAFTS_PER_APPEND):
            done = self._journal.append(drafts[start : start + DRAFTS_PER_APPEND])
            WRITTEN.inc(sum(one.is_new for one in done))

    def _watch(self, key: str, body: bytes, sequence: int) -> None:
        """Take over a ledger entry."""
        try:
            if key == THROUGH_KEY:
                self._through, self._through_sequence = read_through(body), sequence
            elif key.startswith(PREFIX):
                found = read_penalty(body)
                self._histories[found.hotkey].put(found)
            elif key.startswith(PERF):
                written = read_checkpoint(body)
                self._spans.append((sequence, written.hotkey, written.end_ms))
        except UNREADABLE as error:
            _log.warning("ledger entry not judged", key=key, problem=str(error))


class _Terms:
    """What is registered about a hotkey, at any moment."""

    def __init__(
        self, registry: Registry, hotkey: str, default_class: str | None, collateral: Collateral
    ) -> None:
        self._hotkey, self._collateral = hotkey, collateral
        self._challenge = _read(registry, challenge.key_of(hotkey), challenge.decode)
        selected = _read(registry, ASSET + hotkey, read_selection)
        self._class = default_class if selected is None else selected.asset_class
        self._is_subaccount = parse(hotkey) is not None

    def at(self, end_ms: int) -> Terms:
        status = challenge.UNKNOWN
        if self._challenge is not None:
            status = challenge.bucket_at(self._challenge, end_ms)
        return Terms(
            collateral_usd=self._collateral(self._hotkey, end_ms),
            asset_class=self._class,
            status=status,
            is_subaccount=self._is_subaccount,
        )


def _read(registry: Registry, key: str, decode: Callable[[bytes], Found]) -> Found | None:
    """A fact; None when there is none, or it cannot be read."""
    fact = registry.get(key)
    try:
        return None if fact is None else decode(fact.body)
    except UNREADABLE as error:
        _log.warning("fact not judged", key=key, problem=str(error))
        return None


def collateral_in(registry: Registry, sizes: Callable[[], dict[str, list[Size]]]) -> Collateral:
    """Account sizes that collateral made, by day; ``sizes`` is asked again when the registry has moved."""
    known: dict[str, list[Size]] = {}
    read_at = -1

    def look_up(hotkey: str, ms: int) -> float | None:
        nonlocal known, read_at
        if registry.sequence != read_at:
            read_at = registry.sequence
            known = sizes()
        day_ms = ms - ms % DAY_MS
        made = [one for one in known.get(hotkey, ()) if one.account_size_theta > 0]
        valid = [one.account_size for one in made if one.valid_date_timestamp <= day_ms]
        return valid[-1] if valid else None

    return look_up
