"""What operators ask for: facts that are acted upon by the validator's next look.

``plagiarism|<hotkey>``: held for a plagiarist, or cleared again. ``elimination_request|<hotkey>``: to be put
out. Both say who asked. A request stays when it was carried out; it has no further effect.
"""

from __future__ import annotations

from typing import Final

import msgspec

from validator.eliminations.reasons import MANUAL
from validator.registry import Registry, sequence_of

PLAGIARISM: Final = "plagiarism|"  # <hotkey>
REQUEST: Final = "elimination_request|"  # <hotkey>


class Plagiarism(msgspec.Struct, frozen=True, kw_only=True):
    """A report. ``score``: how sure its author is, 0..1 (None: not said). ``cleared_ms``: when withdrawn."""

    hotkey: str
    reported_ms: int
    by: str
    score: float | None = None
    cleared_ms: int | None = None


class PlagiarismMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``plagiarism|<hotkey>``."""

    plagiarism: Plagiarism


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An elimination that was asked for."""

    hotkey: str
    reason: str
    requested_ms: int
    by: str


class RequestMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``elimination_request|<hotkey>``."""

    elimination_request: Request


_encode: Final = msgspec.json.Encoder().encode
_plagiarism: Final = msgspec.json.Decoder(PlagiarismMessage)
_request: Final = msgspec.json.Decoder(RequestMessage)


def decode_plagiarism(body: bytes) -> Plagiarism:
    """Read a ``plagiarism|`` fact. Raises msgspec.ValidationError."""
    return _plagiarism.decode(body).plagiarism


def plagiarism_of(registry: Registry, hotkey: str) -> Plagiarism | None:
    """The newest report about a hotkey. Raises JournalError."""
    fact = registry.get(PLAGIARISM + hotkey)
    return None if fact is None else decode_plagiarism(fact.body)


def report_plagiarism(
    registry: Registry, hotkey: str, now_ms: int, by: str, score: float | None = None
) -> Plagiarism:
    """Hold a hotkey for a plagiarist; a report that stands already keeps its time. Raises JournalError."""
    fact = registry.get(PLAGIARISM + hotkey)
    known = None if fact is None else decode_plagiarism(fact.body)
    since_ms = now_ms if known is None or known.cleared_ms is not None else known.reported_ms
    report = Plagiarism(hotkey=hotkey, reported_ms=since_ms, by=by, score=score)
    body = _encode(PlagiarismMessage(plagiarism=report))
    registry.put(PLAGIARISM + hotkey, body, expected=sequence_of(fact))
    return report


def clear_plagiarism(registry: Registry, hotkey: str, now_ms: int, by: str) -> Plagiarism | None:
    """Withdraw a report; None when there is none. Raises JournalError."""
    fact = registry.get(PLAGIARISM + hotkey)
    if fact is None:
        return None
    known = decode_plagiarism(fact.body)
    if known.cleared_ms is not None:
        return known
    cleared = msgspec.structs.replace(known, cleared_ms=now_ms, by=by)
    body = _encode(PlagiarismMessage(plagiarism=cleared))
    registry.put(PLAGIARISM + hotkey, body, expected=fact.sequence)
    return cleared


def request_elimination(
    registry: Registry, hotkey: str, now_ms: int, by: str, reason: str = MANUAL
) -> Request:
    """Ask for an elimination; the first request counts. Raises JournalError."""
    fact = registry.get(REQUEST + hotkey)
    if fact is not None:
        return _request.decode(fact.body).elimination_request
    asked = Request(hotkey=hotkey, reason=reason, requested_ms=now_ms, by=by)
    body = _encode(RequestMessage(elimination_request=asked))
    registry.put(REQUEST + hotkey, body, expected=sequence_of(fact))
    return asked


def requests(registry: Registry) -> list[Request]:
    """Every request, by hotkey. Raises JournalError."""
    return [_request.decode(fact.body).elimination_request for fact in registry.with_prefix(REQUEST)]
