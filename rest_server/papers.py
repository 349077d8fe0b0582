"""What the ``ledger`` stream says of one hotkey: performance, penalties, emissions, and the debt they make.

Rule 1: papers are immutable; a new entry of the hotkey, or a boundary that all have passed, makes new ones.
Rule 2: a delayed reader's papers are made from what had ended by then; nothing newer is even looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
import structlog

from rest_server.audience import Audience
from rest_server.gzip_join import Piece
from rest_server.ledger_books import LedgerBook, known_pairs
from validator.debt import emissions, penalty_record
from validator.debt.emissions import EmissionsRecord, newest_of, read_record
from validator.debt.join import DebtCheckpoint, debt_ledger, debt_summary, joined
from validator.debt.penalty_record import History, penalty_ledger, read_penalty
from validator.ledger.checkpoint import HOUR_MS, PORTFOLIO, Bundle
from validator.ledger.shapes import to_bundle, to_flat
from validator.ledger.view import Shape
from validator.tiers import LAG_MS

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
VERSIONS_KEPT: Final = 4  # of a thing that was made for other moments

Made = TypeVar("Made")
_encode: Final = msgspec.json.Encoder().encode
_log = structlog.get_logger()


def cut_of(audience: Audience, at_ms: int) -> int | None:
    """Only what ended before this moment is for the audience; None: everything is.

    Spans end on the hour, so this moves once an hour, and never too early.
    """
    if audience.is_live:
        return None
    newest_ms = at_ms - LAG_MS - 1
    return newest_ms - newest_ms % HOUR_MS + 1


class Papers:
    """A hotkey's; ``ledger`` None: nothing was ever finished."""

    def __init__(
        self,
        hotkey: str,
        ledger: LedgerBook | None,
        penalties: Mapping[str, bytes],
        paid: Mapping[str, bytes],
    ) -> None:
        self.hotkey, self.ledger = hotkey, ledger
        self._penalties, self._paid = penalties, paid
        self._made: dict[tuple[object, ...], Any] = {}

    def bundle(self, cut_ms: int | None) -> Bundle | None:
        """The performance ledgers; None when there are none yet."""
        return None if self.ledger is None else self.ledger.seen(cut_ms)

    def emissions(self, cut_ms: int | None) -> list[EmissionsRecord]:
        """What was paid, by time."""
        return self._once(("emissions", cut_ms), lambda: self._read_emissions(cut_ms))

    def debt(self, cut_ms: int | None) -> list[DebtCheckpoint]:
        """The joined checkpoints, oldest first."""
        return self._once(("debt", cut_ms), lambda: self._join(cut_ms))

    def perf_piece(self, shape: Shape, audience: Audience, cut_ms: int | None) -> Piece | None:
        """``{hotkey: ledger}``."""
        bundle = self.bundle(cut_ms)
        if bundle is None:
            return None

        def make() -> Piece:
            shown = known_pairs(bundle) if audience.only_vanta else bundle
            value = to_bundle(shown) if shape == "bundle" else to_flat(shown[PORTFOLIO])
            return Piece(_encode({self.hotkey: value}))

        return self._once(("perf", shape, audience.only_vanta, cut_ms), make)

    def penalty_piece(self, cut_ms: int | None) -> Piece | None:
        """``/penalty-ledger/<id>``; None while there is no penalty."""
        history, bundle = self._history(cut_ms), self.bundle(cut_ms)
        if bundle is None or history.first_ms is None:
            return None

        def make() -> Piece:
            span_ms = bundle[PORTFOLIO].target_cp_duration_ms
            ends = [one.last_update_ms for one in bundle[PORTFOLIO].cps if one.accum_ms == span_ms]
            return Piece(_encode(penalty_ledger(self.hotkey, ends, history)))

        return self._once(("penalty", cut_ms), make)

    def emissions_piece(self, cut_ms: int | None) -> Piece | None:
        """``/emissions-ledger/<id>``; None where the source says nothing."""
        records = self.emissions(cut_ms)
        if not records:
            return None
        make = lambda: Piece(_encode(emissions.emissions_ledger(self.hotkey, records)))  # noqa: E731
        return self._once(("emissions piece", cut_ms), make)

    def debt_value(self, cut_ms: int | None = None) -> dict[str, Any] | None:
        """``/debt-ledger/<id>``; None when it has no checkpoint."""
        found = self.debt(cut_ms)
        return debt_ledger(self.hotkey, found) if found else None

    def debt_piece(self, cut_ms: int | None) -> Piece | None:
        """The same as JSON."""
        if not self.debt(cut_ms):
            return None
        return self._once(("debt piece", cut_ms), lambda: Piece(_encode(self.debt_value(cut_ms))))

    def summary_member(self, cut_ms: int | None) -> bytes | None:
        """The hotkey's member of ``/debt-ledger``; None when it has no checkpoint."""
        found = self.debt(cut_ms)
        if not found:
            return None
        make = lambda: b"%b:%b" % (_encode(self.hotkey), _encode(debt_summary(self.hotkey, found)))  # noqa: E731
        return self._once(("summary", cut_ms), make)

    def _history(self, cut_ms: int | None) -> History:
        def make() -> History:
            history = History(self._read(self._penalties, read_penalty))
            return history if cut_ms is None else history.before(cut_ms)

        return self._once(("history", cut_ms), make)

    def _read_emissions(self, cut_ms: int | None) -> list[EmissionsRecord]:
        found = self._read(self._paid, read_record)
        return newest_of(one for one in found if cut_ms is None or one.chunk.chunk_end_ms < cut_ms)

    def _join(self, cut_ms: int | None) -> list[DebtCheckpoint]:
        bundle = self.bundle(cut_ms)
        if bundle is None:
            return []
        portfolio = bundle[PORTFOLIO]
        chunks = [one.chunk for one in self.emissions(cut_ms)]
        return joined(portfolio.cps, portfolio.target_cp_duration_ms, self._history(cut_ms), chunks)

    def _read(self, bodies: Mapping[str, bytes], decode: Callable[[bytes], Made]) -> list[Made]:
        found = []
        for key, body in bodies.items():
            try:
                found.append(decode(body))
            except UNREADABLE as error:
                _log.warning("ledger entry not shown", key=key, problem=str(error))
        return found

    def _once(self, name: tuple[object, ...], make: Callable[[], Made]) -> Made:
        """Make a thing the first time it is asked for. Two threads may make it at once: the same."""
        made: Made | None = self._made.get(name)
        if made is None:
            made = make()
            of_kind = [known for known in list(self._made) if known[:-1] == name[:-1]]
            for old in of_kind[: len(of_kind) + 1 - VERSIONS_KEPT]:
                self._made.pop(old, None)
            self._made[name] = made
        return made


class PaperKeeper:
    """Follows the ``ledger`` stream. Mutable and owned by one thread at a time; ``papers`` are values."""

    def __init__(self) -> None:
        self.papers: dict[str, Papers] = {}
        self._penalties: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._paid: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._touched: set[str] = set()

    def take(self, key: str, body: bytes) -> None:
        """Take over an entry."""
        kept = {penalty_record.PREFIX: self._penalties, emissions.PREFIX: self._paid}
        for prefix, bodies in kept.items():
            if key.startswith(prefix):
                hotkey = key.removeprefix(prefix).rsplit("|", 2)[0]
                bodies[hotkey][key] = body
                self._touched.add(hotkey)

    def settle(self, ledgers: Mapping[str, LedgerBook]) -> bool:
        """Make the new papers of changed hotkeys; True when there was any."""
        for hotkey, ledger in ledgers.items():
            known = self.papers.get(hotkey)
            if known is None or known.ledger is not ledger:
                self._touched.add(hotkey)
        if not self._touched:
            return False
        for hotkey in self._touched:
            penalties, paid = dict(self._penalties[hotkey]), dict(self._paid[hotkey])
            self.papers[hotkey] = Papers(hotkey, ledgers.get(hotkey), penalties, paid)
        self._touched.clear()
        return True
