"""Deciding what an append becomes: pure, and the same for every store.

Rule: nothing here reads or writes a store. A store looks up the last entries of the keys, asks ``plan``
and writes what comes back, all inside one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from journal.entry import ANY, Appended, ConflictError, DivergedError, Draft, Entry
from journal.identity import FIRST, digest, event_id

Key = tuple[str, str]  # (stream, key)

BODY_BYTES: Final = 16 * 1024 * 1024  # more than any record; far below what SQLite can store


class Last(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a key's last entry, also after the entry itself was trimmed.

    ``identity`` is the digest of what decides "same content"; None when a replica copied the entry and
    only its body is known.
    """

    sequence: int
    event_id: bytes
    identity: bytes | None


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A draft with its digests: everything that can be computed before the store is locked."""

    stream: str
    key: str
    body: bytes
    content: bytes
    identity: bytes
    expected_last: int
    is_guard: bool = False


class Row(msgspec.Struct, frozen=True, gc=False):
    """One entry about to be written.

    ``previous`` is the event id before it (``FIRST`` for none, None when a replica cannot know it);
    ``identity`` is None on a copied entry.
    """

    stream: str
    sequence: int
    key: str
    previous: bytes | None
    event_id: bytes
    identity: bytes | None
    body: bytes


class Plan(NamedTuple):
    """One result per draft, the rows to write, and the streams' heads after them."""

    results: list[Appended]
    rows: list[Row]
    heads: dict[str, int]


def prepare(drafts: Sequence[Draft], streams: Collection[str]) -> list[Prepared]:
    """Digest the drafts. Raises ValueError for an unknown stream, a key that is no text, a body too large."""
    prepared = []
    for draft in drafts:
        if draft.stream not in streams:
            raise ValueError(f"unknown stream {draft.stream!r}: this store holds {', '.join(streams)}")
        if len(draft.body) > BODY_BYTES:
            raise ValueError(f"the body of {draft.stream} {draft.key} is larger than {BODY_BYTES} bytes")
        draft.key.encode()
        content = digest(draft.body)
        identity = content if draft.identity is None else digest(draft.identity)
        expected = (draft.expected_last, draft.is_guard)
        prepared.append(Prepared(draft.stream, draft.key, draft.body, content, identity, *expected))
    return prepared


def plan(
    prepared: Sequence[Prepared],
    last: Mapping[Key, Last],
    heads: Mapping[str, int],
    body_of: Callable[[str, int], bytes | None],
) -> Plan:
    """Number the drafts that say something new. Raises ConflictError when one expected another last entry.

    ``body_of(stream, sequence)`` returns a kept entry's body, or None when it was trimmed.
    """
    known = dict(last)
    numbers = dict(heads)
    results: list[Appended] = []
    rows: list[Row] = []
    for draft in prepared:
        stream, key = where = draft.stream, draft.key
        before = known.get(where)
        if draft.is_guard:
            _check_expected(draft, before)
            results.append(Appended(stream, 0 if before is None else before.sequence, False))
            continue
        if before is not None and _same(draft, before, body_of):
            results.append(Appended(stream, before.sequence, False))
            continue
        _check_expected(draft, before)
        previous = FIRST if before is None else before.event_id
        numbers[stream] = sequence = numbers[stream] + 1
        identifier = event_id(stream, key, previous, draft.content)
        rows.append(Row(stream, sequence, key, previous, identifier, draft.identity, draft.body))
        known[where] = Last(sequence, identifier, draft.identity)
        results.append(Appended(stream, sequence, True))
    return Plan(results, rows, numbers)


def _same(draft: Prepared, before: Last, body_of: Callable[[str, int], bytes | None]) -> bool:
    if before.identity is None:
        return body_of(draft.stream, before.sequence) == draft.body
    return before.identity == draft.identity


def _check_expected(draft: Prepared, before: Last | None) -> None:
    actual = 0 if before is None else before.sequence
    if draft.expected_last not in (ANY, actual):
        raise ConflictError(
            f"{draft.stream} {draft.key}: expected its last entry to be {draft.expected_last}, it is {actual}"
        )


def copy(
    entries: Sequence[Entry],
    last: Mapping[Key, Last],
    heads: Mapping[str, int],
    times: Mapping[str, int],
) -> Plan:
    """Take over another journal's entries with their numbers and ids; those at or below a head are skipped.

    ``times`` are the streams' newest times. Raises DivergedError for a hole, for a time that goes back, or
    for an event id that does not follow from the key's last one.
    """
    known, newest = dict(last), dict(times)
    numbers = dict(heads)
    results: list[Appended] = []
    rows: list[Row] = []
    for entry in entries:
        stream, sequence, where = entry.stream, entry.sequence, (entry.stream, entry.key)
        if sequence <= numbers[stream]:
            results.append(Appended(stream, sequence, False))
            continue
        if sequence != numbers[stream] + 1:
            raise DivergedError(f"{stream} {sequence} does not follow {numbers[stream]}: entries are missing")
        if entry.time_ms < newest[stream]:
            raise DivergedError(f"{stream} {sequence} is older than the entry before it")
        previous = _previous(entry, known.get(where))
        rows.append(Row(stream, sequence, entry.key, previous, entry.event_id, None, entry.body))
        known[where] = Last(sequence, entry.event_id, None)
        newest[stream] = entry.time_ms
        numbers[stream] = sequence
        results.append(Appended(stream, sequence, True))
    return Plan(results, rows, numbers)


def _previous(entry: Entry, before: Last | None) -> bytes | None:
    previous = FIRST if before is None else before.event_id
    if event_id(entry.stream, entry.key, previous, digest(entry.body)) == entry.event_id:
        return previous
    if before is None:
        return None  # the key's earlier entries lie before this replica's base
    raise DivergedError(f"{entry.stream} {entry.sequence}: its event id does not continue the key's chain")
