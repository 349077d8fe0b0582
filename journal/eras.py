"""Epochs in order, and which numbers of a stream belong to which.

Rule 1: inside an era a stream's numbers have no gap; between two eras there is a gap of at least 1,000,000,
so that a number is never given twice, whatever happened to the disk.
Rule 2: opening an era moves every head to just below its first number. A reader that is told "head N" in
the new epoch is told N + 1 next.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, get_args

from journal.entry import Epoch, EpochReason, JournalError

GAP: Final = 1_000_000
REASONS: Final[tuple[EpochReason, ...]] = get_args(EpochReason)


class Era(NamedTuple):
    """One epoch with why it began; ``last`` are the streams' heads at its end, None while it lasts."""

    epoch: Epoch
    reason: str
    last: Mapping[str, int] | None


class Span(NamedTuple):
    """The numbers of one stream that a page may hold: ``first`` to ``last``, both included, in ``epoch``."""

    epoch: str
    first: int
    last: int


def first_era(streams: Sequence[str], now_ms: int) -> Era:
    """Return the era of a new journal: every stream starts at 1."""
    return Era(Epoch(str(uuid.uuid4()), dict.fromkeys(streams, 1), now_ms), "first", None)


def next_era(
    current: Era, heads: Mapping[str, int], known: Mapping[str, int], reason: EpochReason, now_ms: int
) -> tuple[Era, Era]:
    """Close ``current`` at ``heads`` and return (it, its successor).

    ``known`` are heads known from elsewhere (a witness, another node): the successor lies above both.
    """
    if reason not in REASONS:
        raise ValueError(f"unknown reason {reason!r}: allowed are {', '.join(REASONS)}")
    first = {stream: max(head, known.get(stream, 0)) + GAP for stream, head in heads.items()}
    created = max(now_ms, current.epoch.created_ms)
    return current._replace(last=dict(heads)), Era(Epoch(str(uuid.uuid4()), first, created), reason, None)


def span_after(eras: Sequence[Era], stream: str, after: int, head: int) -> Span:
    """Return the rest of the earliest era that goes on after ``after``; empty (first > last) at the head."""
    for era in eras:
        first = max(after + 1, era.epoch.first[stream])
        last = head if era.last is None else era.last[stream]
        if era.last is None or last >= first:
            return Span(era.epoch.id, first, last)
    raise JournalError("the journal has no current epoch")
