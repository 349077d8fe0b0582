"""One hotkey's ledgers over time: where they stood at recent boundaries, and the span in the making.

Rule: nothing is taken over before it is durable. ``recompute`` and ``finish`` return work whose ``commit`` is
called once its drafts are in the journal; until then the account is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from journal.entry import Draft
from validator.ledger.checkpoint import PORTFOLIO
from validator.ledger.curve import Curve
from validator.ledger.holdings import Holdings
from validator.ledger.record import PerfCheckpoint, draft_of, record_of, stand_after
from validator.ledger.span import Finished, Span, Stand
from validator.ledger.tape import Tapes


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of all ledgers, in ms. ``correction_ms``: how far back finished spans are looked at again."""

    span_ms: int
    window_ms: int
    correction_ms: int


@dataclass(frozen=True, slots=True)
class Work:
    """Entries to append, and what to call once they are durable."""

    drafts: list[Draft] = field(default_factory=list)
    commit: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Outcome:
    """Finished spans that are not durable yet. ``bodies``: those that must be written, by their end."""

    ends: Sequence[int]
    stands: list[Stand] = field(default_factory=list)
    bodies: dict[int, Draft] = field(default_factory=dict)


class Account:
    """A hotkey. ``stands``: the boundaries at which something was recorded, oldest first."""

    def __init__(self, hotkey: str, rules: Rules) -> None:
        self.hotkey = hotkey
        self._rules = rules
        self.holdings = Holdings()
        self.stands: list[Stand] = []
        self.span: Span | None = None
        self.dirty_ms: int | None = None
        self._recorded: dict[int, bytes] = {}

    def load(self, records: Sequence[tuple[PerfCheckpoint, bytes]], through_ms: int) -> None:
        """Take over what the journal says, up to a boundary; later records are only remembered.

        ``records`` come with their bodies, as they are in the journal.
        """
        stand: Stand | None = None
        for record, body in sorted(records, key=lambda pair: pair[0].end_ms):
            if record.end_ms <= through_ms:
                stand = stand_after(stand, record)
                self.stands.append(stand)
            if record.target_cp_duration_ms == self._rules.span_ms:
                self._recorded[record.end_ms] = body
        self._forget_before(self._horizon_ms(through_ms))

    def take(self, curve: Curve) -> None:
        """Take over a position as it is now."""
        final_ms = self.stands[-1].settled_ms if self.stands else 0
        self.mark_dirty(self.holdings.put(curve, final_ms))

    def mark_dirty(self, moment_ms: int | None) -> None:
        """Note that values may have changed from a moment on."""
        if moment_ms is None:
            return
        if self.span is not None and moment_ms < self.span.tick_ms:
            self.span = None
        self.dirty_ms = moment_ms if self.dirty_ms is None else min(self.dirty_ms, moment_ms)

    def is_idle(self, end_ms: int) -> bool:
        """Whether the span that ends at ``end_ms`` has nothing to record."""
        start_ms = end_ms - self._rules.span_ms
        settled_ms = self.stands[-1].settled_ms if self.stands else 0
        next_settled_ms = max(settled_ms, start_ms - self._rules.window_ms)
        return self.holdings.is_idle(start_ms, end_ms, settled_ms, next_settled_ms)

    def finish(self, end_ms: int, tapes: Tapes) -> Work:
        """The span that ends at ``end_ms``, from the marks as the store has them now."""
        return self._work([end_ms], tapes)

    def recompute(self, through_ms: int, tapes: Tapes) -> Work:
        """Every finished span that may be another one since the account became dirty."""
        span_ms = self._rules.span_ms
        moment_ms = through_ms if self.dirty_ms is None else self.dirty_ms
        if self.stands:  # a hotkey that is seen for the first time gets its whole history
            moment_ms = max(moment_ms, through_ms - self._rules.correction_ms)
        first_ms = moment_ms - moment_ms % span_ms + span_ms
        return self._work(range(first_ms, through_ms + 1, span_ms), tapes)

    def is_watched(self, tick_ms: int) -> bool:
        """Whether the span in the making can be another one at a tick than it was at the last."""
        start_ms = tick_ms // self._rules.span_ms * self._rules.span_ms
        seen_ms = start_ms if self.span is None or self.span.start_ms != start_ms else self.span.tick_ms
        return self.holdings.is_watched(seen_ms)

    def extend(self, tick_ms: int, tapes: Tapes) -> None:
        """Bring the span in the making up to a tick."""
        start_ms = tick_ms // self._rules.span_ms * self._rules.span_ms
        if self.span is None or self.span.start_ms != start_ms:
            self.span = self._begin(self._stand_at(start_ms), start_ms)
        if self.span.tick_ms < tick_ms:
            self.span.advance(tapes, tick_ms)

    def value(self) -> tuple[float, float]:
        """What the portfolio is worth now as a multiplier, and that over the largest value so far."""
        if self.span is not None and PORTFOLIO in self.span.running:
            running = self.span.running[PORTFOLIO]
            return running.ret, running.drawdown
        if self.stands:
            last = self.stands[-1].ledgers[PORTFOLIO]
            return last.totals.ret, last.totals.ret / last.max_return
        return 1.0, 1.0

    def _begin(self, before: Stand | None, start_ms: int) -> Span:
        return Span(self.holdings, before, start_ms, self._rules.window_ms)

    def _stand_at(self, boundary_ms: int) -> Stand | None:
        """Where the ledgers stood at a boundary; None before the first."""
        return next((stand for stand in reversed(self.stands) if stand.end_ms <= boundary_ms), None)

    def _work(self, ends: Sequence[int], tapes: Tapes) -> Work:
        outcome = _Outcome(ends)
        for end_ms in ends:
            start_ms = end_ms - self._rules.span_ms
            before = outcome.stands[-1] if outcome.stands else self._stand_at(start_ms)
            span = self._begin(before, start_ms)
            span.advance(tapes, end_ms)
            finished = span.finish(tapes)
            if finished is not None:
                self._note(outcome, end_ms, finished)
        return Work(list(outcome.bodies.values()), lambda: self._commit(outcome))

    def _note(self, outcome: _Outcome, end_ms: int, finished: Finished) -> None:
        """A void span is recorded only where something else was recorded before."""
        recorded = self._recorded.get(end_ms)
        if finished.is_void and recorded is None:
            return
        outcome.stands.append(finished.stand)
        record = record_of(self.hotkey, finished, self._rules.span_ms, self._rules.window_ms)
        draft = draft_of(record)
        is_kept = end_ms > outcome.ends[-1] - self._rules.window_ms
        if draft.body != recorded and is_kept:
            outcome.bodies[end_ms] = draft

    def _commit(self, outcome: _Outcome) -> None:
        self.dirty_ms = None
        if not outcome.ends:
            return
        first_ms, last_ms = outcome.ends[0], outcome.ends[-1]
        kept = [stand for stand in self.stands if not first_ms <= stand.end_ms <= last_ms]
        self.stands = sorted([*kept, *outcome.stands], key=lambda stand: stand.end_ms)
        self._recorded |= {end_ms: draft.body for end_ms, draft in outcome.bodies.items()}
        self.span = None
        self._forget_before(self._horizon_ms(last_ms))

    def _horizon_ms(self, through_ms: int) -> int:
        return through_ms - self._rules.correction_ms - self._rules.span_ms

    def _forget_before(self, horizon_ms: int) -> None:
        """Keep the boundaries after ``horizon_ms`` and the last one before it."""
        older = sum(stand.end_ms <= horizon_ms for stand in self.stands)
        del self.stands[: max(0, older - 1)]
        self._recorded = {end: body for end, body in self._recorded.items() if end > horizon_ms}
        if self.stands:
            self.holdings.prune(self.stands[0].settled_ms)
