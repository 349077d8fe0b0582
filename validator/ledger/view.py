"""Reading ledgers back from the journal: what REST answers and statistics are made from.

Rule 1: a reader sees whole spans only, and only up to the boundary that every hotkey has passed.
Rule 2: void spans are filled in, so that checkpoints follow each other without gaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from journal.entry import LEDGER
from journal.state import State
from validator.ledger.checkpoint import PORTFOLIO, Checkpoint, Ledger, void_after, within_window
from validator.ledger.record import (
    PREFIX,
    THROUGH_KEY,
    LedgerRecord,
    PerfCheckpoint,
    read_checkpoint,
    read_through,
)
from validator.ledger.shapes import to_bundle, to_flat

Shape = Literal["flat", "bundle"]
_encode: Final = msgspec.json.Encoder().encode


class Ledgers:
    """All hotkeys' ledgers, as far as the entries that were taken."""

    def __init__(self) -> None:
        self.through_ms: int | None = None
        self._bodies: dict[str, dict[str, bytes]] = {}
        self._revisions: dict[str, int] = {}

    def load(self, state: State) -> None:
        """Take over a State's ``ledger`` stream."""
        for key, newest in state.latest.get(LEDGER, {}).items():
            self.take(key, newest.body, newest.sequence)

    def take(self, key: str, body: bytes, sequence: int) -> str | None:
        """Take over a ``ledger`` entry; returns its hotkey (None: it is about all or none of them).

        Raises msgspec.ValidationError when the body is none of ours.
        """
        if key == THROUGH_KEY:
            self.through_ms = read_through(body).end_ms
            return None
        if not key.startswith(PREFIX):
            return None
        hotkey = key.removeprefix(PREFIX).rsplit("|", 2)[0]
        self._bodies.setdefault(hotkey, {})[key] = body
        self._revisions[hotkey] = sequence
        return hotkey

    def hotkeys(self) -> list[str]:
        """Who has a ledger."""
        return sorted(self._bodies)

    def revision(self, hotkey: str) -> tuple[int, int]:
        """Changes exactly when the hotkey's ledger does: by a new entry or by time that passed."""
        return self._revisions.get(hotkey, 0), self.through_ms or 0

    def bundle(self, hotkey: str, before_ms: int | None = None) -> dict[str, Ledger] | None:
        """The portfolio's ledger and each trade pair's; None when there is none.

        ``before_ms``: only checkpoints that ended before then (what a delayed reader may see).
        """
        until_ms = self.through_ms
        if until_ms is None or hotkey not in self._bodies:
            return None
        records = (read_checkpoint(body) for body in self._bodies[hotkey].values())
        seen = [
            one for one in records if one.end_ms <= until_ms and (before_ms is None or one.end_ms < before_ms)
        ]
        return assembled(seen, until_ms if before_ms is None else min(until_ms, before_ms - 1))

    def body(self, hotkey: str, shape: Shape = "bundle", before_ms: int | None = None) -> bytes | None:
        """The answer to "this hotkey's ledger": ``{hotkey: ledger}``; None when there is none."""
        bundle = self.bundle(hotkey, before_ms)
        if bundle is None:
            return None
        return _encode({hotkey: to_bundle(bundle) if shape == "bundle" else to_flat(bundle[PORTFOLIO])})


def assembled(records: Iterable[PerfCheckpoint], until_ms: int) -> dict[str, Ledger] | None:
    """Ledgers from one hotkey's records, filled up with voids to the last boundary up to ``until_ms``."""
    ordered = without_overlaps(records)
    growing: dict[str, list[Checkpoint]] = {}
    newest: dict[str, LedgerRecord] = {}
    span_ms = 0
    for record in ordered:
        for name, one in record.ledgers.items():
            cps = growing.setdefault(name, [])
            _fill(cps, newest.get(name), one.checkpoint.start_ms, span_ms)
            cps.append(one.checkpoint)
            newest[name] = one
        span_ms = record.target_cp_duration_ms
        for name in record.retired:
            growing.pop(name, None)
    if PORTFOLIO not in growing:
        return None
    last = ordered[-1]
    for name, cps in growing.items():
        _fill(cps, newest[name], until_ms - until_ms % span_ms, span_ms)
    return {name: _ledger(name, cps, newest[name], last) for name, cps in sorted(growing.items())}


def without_overlaps(records: Iterable[PerfCheckpoint]) -> list[PerfCheckpoint]:
    """In order of time; where spans of different lengths overlap, the one that ends later."""
    kept: list[PerfCheckpoint] = []
    for record in sorted(records, key=lambda one: -one.end_ms):
        if not kept or record.end_ms <= kept[-1].end_ms - kept[-1].target_cp_duration_ms:
            kept.append(record)
    return kept[::-1]


def _fill(cps: list[Checkpoint], known: LedgerRecord | None, until_ms: int, span_ms: int) -> None:
    """Add void checkpoints up to a boundary."""
    if known is None or not cps:
        return
    while (gap_ms := until_ms - cps[-1].last_update_ms) > 0:
        cps.append(void_after(cps[-1], known.max_return, min(span_ms, gap_ms)))


def _ledger(name: str, cps: list[Checkpoint], newest: LedgerRecord, last: PerfCheckpoint) -> Ledger:
    prices = last.last_known_prices
    ledger = Ledger(
        initialization_time_ms=newest.initialization_time_ms,
        max_return=newest.max_return,
        target_cp_duration_ms=last.target_cp_duration_ms,
        target_ledger_window_ms=last.target_ledger_window_ms,
        cps=tuple(cps),
        last_known_prices={pair: known for pair, known in prices.items() if name in (PORTFOLIO, pair)},
    )
    return within_window(ledger)
