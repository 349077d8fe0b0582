"""Scores for ranking: each hotkey's share of the class of assets it selected, as the statistics have it.

Rule: a hotkey is measured again only when its ledger, its bucket or its selection changed; all are compared
again when any was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, cast, get_args

from validator.challenge.record import Challenge
from validator.eliminations.index import Index
from validator.statistics.constants import CLASSES
from validator.statistics.facts import Bucket, Facts
from validator.statistics.measures import Measures, measure
from validator.statistics.standing import Entrant, compare

_BUCKETS: Final = get_args(Bucket)


class Candidate(NamedTuple):
    """Who takes part, and in which class."""

    challenge: Challenge
    asset_class: str


class Scores:
    """Scores by hotkey, kept until something changes."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._measured: dict[str, tuple[tuple[int, int], Measures]] = {}
        self._seen: object = None
        self._scores: dict[str, float] = {}

    def of(self, candidates: Mapping[str, Candidate]) -> Mapping[str, float]:
        """The scores of these hotkeys; those without a ledger, or in an unknown class, have none."""
        ranked = {hotkey: one for hotkey, one in candidates.items() if one.asset_class in CLASSES}
        seen = {
            hotkey: (self._index.revision(hotkey), one.challenge.bucket, one.asset_class)
            for hotkey, one in ranked.items()
        }
        if seen != self._seen:
            self._scores = self._compared(ranked)
            self._seen = seen
        return self._scores

    def _compared(self, candidates: Mapping[str, Candidate]) -> dict[str, float]:
        entrants = {}
        for hotkey, one in sorted(candidates.items()):
            measures = self._measures(hotkey)
            if measures is not None:
                entrants[hotkey] = Entrant(measures, _facts(one))
        classes = compare(entrants).classes if entrants else {}
        return {
            hotkey: places[hotkey]["score"]
            for name, places in classes.items()
            for hotkey in places
            if candidates[hotkey].asset_class == name
        }

    def _measures(self, hotkey: str) -> Measures | None:
        revision = self._index.revision(hotkey)
        known = self._measured.get(hotkey)
        if known is None or known[0] != revision:
            bundle = self._index.bundle(hotkey)
            if bundle is None:
                return None
            positions = [one for _, one in self._index.positions(hotkey, closed_since_ms=0)]
            known = self._measured[hotkey] = (revision, measure(bundle, positions))
        return known[1]


def _facts(one: Candidate) -> Facts:
    bucket: Bucket | None = None
    if one.challenge.bucket in _BUCKETS:
        bucket = cast(Bucket, one.challenge.bucket)
    return Facts(
        bucket=bucket,
        bucket_start_ms=one.challenge.bucket_start_time,
        asset_selection=one.asset_class,
    )
