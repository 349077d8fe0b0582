"""Keeps everybody's bucket: admits who is new, and does what the rules decide.

Rule 1: every step is one compare-and-set of the hotkey's fact; if somebody else moved it meanwhile, nothing
is written, and the next look decides from what is there then.
Rule 2: an elimination is the elimination keeper's: it writes fact, closings and last bucket together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import structlog
from prometheus_client import Gauge

from journal.entry import ConflictError
from validator.assets import ASSET, read_selection
from validator.challenge import record
from validator.challenge.record import Challenge
from validator.challenge.rules import Facts, Limits, Transition, decide
from validator.challenge.scores import Candidate, Scores
from validator.challenge.standing import Standing, Standings
from validator.eliminated import key_of as elimination_key
from validator.eliminations.index import Index
from validator.eliminations.keeper import EliminationKeeper
from validator.eliminations.requests import PLAGIARISM, Plagiarism, decode_plagiarism
from validator.entities.records import SUBACCOUNT, decode_subaccount
from validator.registry import ABSENT, Registry

BUCKETS: Final = Gauge("vanta_validator_bucket", "Hotkeys in each bucket", ("bucket",))
UNTRADED: Final = Standing(value=1.0, drawdown=1.0, worst=1.0, days=0)
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_log = structlog.get_logger()


class ChallengeKeeper:
    """Moves hotkeys between buckets. ``default_class``: of who selected none (None: not ranked)."""

    def __init__(
        self,
        index: Index,
        registry: Registry,
        eliminations: EliminationKeeper,
        standings: Standings,
        limits: Limits,
        *,
        default_class: str | None = None,
    ) -> None:
        self._index, self._registry, self._eliminations = index, registry, eliminations
        self._standings, self._limits, self._default_class = standings, limits, default_class
        self._scores = Scores(index)
        self._sequences: dict[str, int] = {}  # of the facts that were looked at

    def tick(self, now_ms: int, *, is_deciding: bool = True, is_ranking: bool = True) -> list[Transition]:
        """Admit who is new and take the steps that are due; returns them.

        ``is_deciding`` False: only admissions. ``is_ranking`` False: scores are not compared this time, so
        that nobody rises or falls. Raises JournalError.
        """
        known = self.challenges()
        self._admit(known, now_ms)
        steps: list[Transition] = []
        if is_deciding:
            steps = decide(self._facts(known, is_ranking=is_ranking), now_ms, self._limits)
            steps = [step for step in steps if self._take(step, known[step.hotkey], now_ms)]
        self._count()
        return steps

    def challenges(self) -> dict[str, Challenge]:
        """Everybody's fact. Raises JournalError."""
        found: dict[str, Challenge] = {}
        for fact in self._registry.with_prefix(record.PREFIX):
            try:
                challenge = record.decode(fact.body)
            except UNREADABLE as error:
                _log.warning("bucket not judged", key=fact.key, problem=str(error))
                continue
            found[challenge.hotkey] = challenge
            self._sequences[challenge.hotkey] = fact.sequence
        return found

    def _admit(self, known: dict[str, Challenge], now_ms: int) -> None:
        """Put everybody who trades here, and every subaccount, into a first bucket."""
        subaccounts = self._subaccounts()
        for hotkey in sorted({*self._index.hotkeys(), *subaccounts} - known.keys()):
            if self._registry.get(elimination_key(hotkey)) is not None:
                continue
            admission = self._standings.admission(hotkey)
            if admission is None and hotkey not in subaccounts:
                continue  # its ledger is not made yet
            bucket = subaccounts.get(hotkey, record.CHALLENGE)
            first = record.admitted(hotkey, bucket, now_ms, admission)
            try:
                body = record.encode(first)
                self._sequences[hotkey] = self._registry.put(record.key_of(hotkey), body, expected=ABSENT)
            except ConflictError:
                continue  # somebody put it somewhere: seen at the next look
            known[hotkey] = first
            _log.info("hotkey admitted", hotkey=hotkey, bucket=bucket)

    def _subaccounts(self) -> dict[str, str]:
        """Synthetic hotkey → the bucket it begins in."""
        found = {}
        for fact in self._registry.with_prefix(SUBACCOUNT):
            try:
                one = decode_subaccount(fact.body).subaccount
            except UNREADABLE as error:
                _log.warning("subaccount not judged", key=fact.key, problem=str(error))
                continue
            wanted = one.terms.get("bucket")
            is_known = isinstance(wanted, str) and wanted in record.BUCKETS - {record.ELIMINATED}
            found[one.synthetic_hotkey] = str(wanted) if is_known else record.SUBACCOUNT_CHALLENGE
        return found

    def _facts(self, known: Mapping[str, Challenge], *, is_ranking: bool) -> list[Facts]:
        inside = {hotkey: one for hotkey, one in known.items() if not one.is_out}
        classes = self._classes(inside)
        scores: Mapping[str, float] = {}
        if is_ranking:
            scores = self._scores.of({h: Candidate(inside[h], name) for h, name in classes.items()})
        reports = self._reports()
        facts = []
        for hotkey, one in inside.items():
            standing = self._standings.of(hotkey, one.admission, _since(one)) or UNTRADED
            report = reports.get(hotkey)
            facts.append(
                Facts(
                    hotkey=hotkey,
                    bucket=one.bucket,
                    since_ms=one.bucket_start_time,
                    previous_bucket=one.previous_bucket,
                    previous_since_ms=one.previous_bucket_start_time,
                    value=standing.value,
                    admitted_value=one.admission.value,
                    worst=standing.worst,
                    days=standing.days,
                    asset_class=classes.get(hotkey),
                    score=scores.get(hotkey),
                    is_reported=report is not None and report.cleared_ms is None,
                    is_cleared=report is not None and report.cleared_ms is not None,
                )
            )
        return facts

    def _classes(self, known: Mapping[str, Challenge]) -> dict[str, str]:
        """The class each hotkey is ranked in."""
        found = {} if self._default_class is None else dict.fromkeys(known, self._default_class)
        for fact in self._registry.with_prefix(ASSET):
            try:
                selection = read_selection(fact.body)
            except UNREADABLE as error:
                _log.warning("selection not counted", key=fact.key, problem=str(error))
                continue
            if selection.hotkey in known:
                found[selection.hotkey] = selection.asset_class
        return found

    def _reports(self) -> dict[str, Plagiarism]:
        found = {}
        for fact in self._registry.with_prefix(PLAGIARISM):
            try:
                report = decode_plagiarism(fact.body)
            except UNREADABLE as error:
                _log.warning("report not judged", key=fact.key, problem=str(error))
                continue
            found[report.hotkey] = report
        return found

    def _take(self, step: Transition, known: Challenge, now_ms: int) -> bool:
        if step.is_elimination:
            return self._eliminations.eliminate(step.hotkey, step.reason, step.dd, now_ms)
        key = record.key_of(step.hotkey)
        after = record.moved(known, step.bucket, step.start_ms, now_ms, step.reason)
        try:
            self._registry.put(key, record.encode(after), expected=self._sequences[step.hotkey])
        except ConflictError:
            return False
        _log.info("hotkey moved", hotkey=step.hotkey, bucket=step.bucket, before=known.bucket)
        return True

    def _count(self) -> None:
        counts = dict.fromkeys(record.BUCKETS, 0)
        for one in self.challenges().values():
            counts[one.bucket] = counts.get(one.bucket, 0) + 1
        for bucket, count in counts.items():
            BUCKETS.labels(bucket).set(count)


def _since(challenge: Challenge) -> int:
    """From when on losses count: since the first bucket."""
    return challenge.history[0].start_time_ms if challenge.history else challenge.bucket_start_time
