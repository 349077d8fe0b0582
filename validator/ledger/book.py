"""The ledgers of all hotkeys: what became of positions, minute by minute and span by span.

Rule 1: a boundary is passed by all hotkeys together; ``perf_through`` is written after the last of them.
Rule 2: what a restart has to look at again follows from that entry: positions that came after the number in
it may not be in the finished spans yet.
Rule 3: work is cut into pieces; between two of them the caller may do other things, or end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import structlog

from journal.entry import LEDGER, POSITIONS, Draft, Entry
from journal.state import State
from validator.ledger.account import Account, Rules, Work
from validator.ledger.curve import curve_of
from validator.ledger.record import (
    PREFIX,
    THROUGH_KEY,
    PerfCheckpoint,
    read_checkpoint,
    read_through,
    through_draft,
)
from validator.ledger.tape import Marks, Tapes
from vanta_api.records import decode_position_message

DRAFTS_PER_PIECE = 100  # well below the 256 rows that one transaction may hold
ACCOUNTS_PER_PIECE = 25

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_log = structlog.get_logger()


class Book:
    """Every account. ``through_ms``: the last boundary that all have passed (None: none yet);
    ``positions``: the sequence up to which positions were taken; ``tick_ms``: the newest tick; ``is_dirty``:
    something came in that no work has looked at yet."""

    def __init__(self, marks: Marks, rules: Rules) -> None:
        self.accounts: dict[str, Account] = {}
        self.through_ms: int | None = None
        self.positions = 0
        self.tick_ms = 0
        self.is_dirty = False
        self._rules = rules
        self._tapes = Tapes(marks)

    def load(self, state: State) -> None:
        """Begin with a journal's State."""
        reflected = self._load_ledgers(state)
        for key, newest in state.latest.get(POSITIONS, {}).items():
            try:
                position = decode_position_message(newest.body).position
            except _UNREADABLE as error:
                _log.warning("position not counted", key=key, problem=str(error))
                continue
            account = self._account(position.miner_hotkey)
            changed_ms = account.holdings.put(curve_of(position))
            if newest.sequence > reflected:
                account.mark_dirty(changed_ms)
        self.positions = state.vector.get(POSITIONS, 0)

    def take(self, entry: Entry) -> None:
        """Take over an entry of the positions stream."""
        self.positions = max(self.positions, entry.sequence)
        try:
            position = decode_position_message(entry.body).position
        except _UNREADABLE as error:
            _log.warning("position not counted", sequence=entry.sequence, problem=str(error))
            return
        account = self._account(position.miner_hotkey)
        account.take(curve_of(position))
        self.is_dirty = self.is_dirty or account.dirty_ms is not None

    def work(self, tick_ms: int) -> Iterator[Work]:
        """Bring everything up to a tick, piece by piece.

        Each piece's drafts must be durable before its ``commit`` is called, and that before the next piece
        is asked for. Whoever stops in between starts again with another call.
        """
        tick_ms = max(tick_ms, self.tick_ms)
        last_ms = tick_ms // self._rules.span_ms * self._rules.span_ms
        through_ms = self.through_ms
        yield from self._corrections(last_ms if through_ms is None else through_ms)
        if through_ms is None:
            yield self._passed(last_ms)
        else:
            for end_ms in range(through_ms + self._rules.span_ms, last_ms + 1, self._rules.span_ms):
                yield from self._boundary(end_ms)
        yield from self._extend(tick_ms)
        self.tick_ms, self.is_dirty = tick_ms, False

    def _corrections(self, through_ms: int) -> Iterator[Work]:
        dirty = [account for account in self._in_order() if account.dirty_ms is not None]
        yield from _pieces(account.recompute(through_ms, self._tapes) for account in dirty)

    def _boundary(self, end_ms: int) -> Iterator[Work]:
        self._tapes.forget()  # what came in late is in the store by now
        busy = (account for account in self._in_order() if not account.is_idle(end_ms))
        yield from _pieces(account.finish(end_ms, self._tapes) for account in busy)
        yield self._passed(end_ms)

    def _passed(self, end_ms: int) -> Work:
        def commit() -> None:
            self.through_ms = end_ms

        return Work([through_draft(end_ms, self._rules.span_ms, self.positions)], commit)

    def _extend(self, tick_ms: int) -> Iterator[Work]:
        for number, account in enumerate(self._in_order()):
            if account.is_watched(tick_ms):
                account.extend(tick_ms, self._tapes)
            if number % ACCOUNTS_PER_PIECE == 0:
                yield Work()

    def _in_order(self) -> list[Account]:
        return [self.accounts[hotkey] for hotkey in sorted(self.accounts)]

    def _account(self, hotkey: str) -> Account:
        account = self.accounts.get(hotkey)
        if account is None:
            account = self.accounts[hotkey] = Account(hotkey, self._rules)
        return account

    def _load_ledgers(self, state: State) -> int:
        """Take over recorded spans; returns the positions number that they reflect."""
        latest = state.latest.get(LEDGER, {})
        reflected = passed = 0
        if THROUGH_KEY in latest:
            through = read_through(latest[THROUGH_KEY].body)
            self.through_ms = through.end_ms - through.end_ms % self._rules.span_ms
            reflected, passed = through.positions, latest[THROUGH_KEY].sequence
        records: dict[str, list[tuple[PerfCheckpoint, bytes]]] = {}
        begun: dict[str, int] = {}
        for key, newest in latest.items():
            if key.startswith(PREFIX):
                record = read_checkpoint(newest.body)
                records.setdefault(record.hotkey, []).append((record, newest.body))
                begun[record.hotkey] = min(newest.sequence, begun.get(record.hotkey, newest.sequence))
        for hotkey, found in records.items():
            # A hotkey whose every record came after the boundary was passed is one whose history was still
            # being written: it begins anew, and what is there already is not written again.
            is_whole = self.through_ms is not None and begun[hotkey] < passed
            self._account(hotkey).load(found, self.through_ms if is_whole and self.through_ms else -1)
        return reflected


def _pieces(works: Iterable[Work]) -> Iterator[Work]:
    """Put small works together and cut large ones, so that one piece is one transaction."""
    drafts: list[Draft] = []
    waiting: list[Work] = []
    for count, work in enumerate(works, start=1):
        drafts += work.drafts
        waiting.append(work)
        while len(drafts) > DRAFTS_PER_PIECE:
            yield Work(drafts[:DRAFTS_PER_PIECE])
            del drafts[:DRAFTS_PER_PIECE]
        if count % ACCOUNTS_PER_PIECE == 0:
            yield _joined(drafts, waiting)
            drafts, waiting = [], []
    yield _joined(drafts, waiting)


def _joined(drafts: list[Draft], waiting: list[Work]) -> Work:
    def commit() -> None:
        for work in waiting:
            work.commit()

    return Work(drafts, commit)
