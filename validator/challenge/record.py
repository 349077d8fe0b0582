"""Which bucket a hotkey is in, since when, and all it was in before.

Rule 1: ``history`` is oldest first and only grows; its last step is the present bucket.
Rule 2: a step counts from ``start_time_ms`` but was known only from ``decided_ms`` on: a reader who may not
see the last 24 hours gets the fact ``as_of`` what had been decided by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard

import msgspec

from vanta_api.wire import WireError

PREFIX: Final = "challenge|"  # <hotkey>

CHALLENGE: Final = "CHALLENGE"
MAINCOMP: Final = "MAINCOMP"
PROBATION: Final = "PROBATION"
PLAGIARISM: Final = "PLAGIARISM"
ELIMINATED: Final = "ELIMINATED"
SUBACCOUNT_CHALLENGE: Final = "SUBACCOUNT_CHALLENGE"
SUBACCOUNT_FUNDED: Final = "SUBACCOUNT_FUNDED"
UNKNOWN: Final = "unknown"

CLASSIC: Final = frozenset((CHALLENGE, MAINCOMP, PROBATION, PLAGIARISM))
NEWER: Final = frozenset(
    (
        ELIMINATED,
        SUBACCOUNT_CHALLENGE,
        SUBACCOUNT_FUNDED,
        "SUBACCOUNT_ALPHA",
        "PRO_CHALLENGE_TRANSITION",
        "PRO_CHALLENGE_DIRECT",
        "PRO_CHALLENGE_FROM_STANDARD",
        "PRO_FUNDED",
    )
)
BUCKETS: Final = CLASSIC | NEWER

STEPS_KEPT: Final = 200  # of a history; the first step and the newest ones


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bucket, since when it counts, when that was decided, and why."""

    bucket: str
    start_time_ms: int
    decided_ms: int
    reason: str | None = None


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hotkey stood when it was first seen: its value as a multiplier, and that over its highest."""

    value: float = 1.0
    drawdown: float = 1.0


class Challenge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fact. The four ``bucket...`` fields are those of a checkpoint."""

    hotkey: str
    bucket: str
    bucket_start_time: int
    previous_bucket: str | None = None
    previous_bucket_start_time: int | None = None
    history: tuple[Step, ...] = ()
    admission: Admission = Admission()

    @property
    def is_out(self) -> bool:
        """Whether the hotkey was eliminated."""
        return self.bucket == ELIMINATED


class ChallengeMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``challenge|<hotkey>``."""

    challenge: Challenge


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(ChallengeMessage)


def key_of(hotkey: str) -> str:
    """The registry key of a hotkey's fact."""
    return PREFIX + hotkey


def encode(challenge: Challenge) -> bytes:
    """The fact's body."""
    return _encode(ChallengeMessage(challenge=challenge))


def decode(body: bytes) -> Challenge:
    """Read a ``challenge|`` fact's body. Raises msgspec.ValidationError."""
    return _decoder.decode(body).challenge


def admitted(
    hotkey: str,
    bucket: str,
    now_ms: int,
    admission: Admission | None = None,
    reason: str | None = None,
) -> Challenge:
    """A hotkey's first fact."""
    first = Step(bucket=bucket, start_time_ms=now_ms, decided_ms=now_ms, reason=reason)
    return Challenge(
        hotkey=hotkey,
        bucket=bucket,
        bucket_start_time=now_ms,
        history=(first,),
        admission=admission or Admission(),
    )


def moved(
    challenge: Challenge, bucket: str, start_ms: int, decided_ms: int, reason: str | None = None
) -> Challenge:
    """The fact after a hotkey was put into another bucket (itself, when it is in it already)."""
    if bucket == challenge.bucket:
        return challenge
    step = Step(bucket=bucket, start_time_ms=start_ms, decided_ms=decided_ms, reason=reason)
    return msgspec.structs.replace(
        challenge,
        bucket=bucket,
        bucket_start_time=start_ms,
        previous_bucket=challenge.bucket,
        previous_bucket_start_time=challenge.bucket_start_time,
        history=_kept((*challenge.history, step)),
    )


def as_of(challenge: Challenge, before_ms: int) -> Challenge | None:
    """The fact as it was known before a moment; None when the hotkey was not known yet."""
    known = tuple(step for step in challenge.history if step.decided_ms < before_ms)
    if len(known) == len(challenge.history):
        return challenge
    if not known:
        return None
    previous = known[-2] if len(known) > 1 else None
    return msgspec.structs.replace(
        challenge,
        bucket=known[-1].bucket,
        bucket_start_time=known[-1].start_time_ms,
        previous_bucket=previous.bucket if previous else None,
        previous_bucket_start_time=previous.start_time_ms if previous else None,
        history=known,
    )


def bucket_at(challenge: Challenge, ms: int) -> str:
    """The bucket that was decided by a moment (Vanta's ``unknown`` before the first)."""
    known = [step.bucket for step in challenge.history if step.decided_ms <= ms]
    return known[-1] if known else UNKNOWN


def section(challenges: Iterable[Challenge]) -> dict[str, dict[str, Any]]:
    """``challengeperiod`` of a checkpoint, by hotkey: who is out is in ``eliminations`` instead."""
    ordered = sorted(challenges, key=lambda one: one.hotkey)
    return {
        one.hotkey: {
            "bucket": one.bucket,
            "bucket_start_time": one.bucket_start_time,
            "previous_bucket": one.previous_bucket,
            "previous_bucket_start_time": one.previous_bucket_start_time,
        }
        for one in ordered
        if not one.is_out
    }


def from_section(value: Any, now_ms: int) -> list[Challenge]:
    """Read a checkpoint's ``challengeperiod`` of any generation. Raises WireError naming the field.

    ``{hotkey: row}``, ``{hotkey: [row, ...]}`` newest first, or ``{"testing": {...}, "success": {...}}``.
    """
    if not isinstance(value, Mapping):
        raise WireError("challengeperiod: expected an object")
    if _is_oldest_form(value):
        pairs = (("testing", CHALLENGE), ("success", MAINCOMP))
        rows = [(hotkey, bucket, ms) for name, bucket in pairs for hotkey, ms in value.get(name, {}).items()]
        return [_restored(hotkey, [(bucket, _time(ms, hotkey))], now_ms) for hotkey, bucket, ms in rows]
    return [_restored(str(hotkey), _rows(row, str(hotkey)), now_ms) for hotkey, row in value.items()]


def _is_oldest_form(value: Mapping[Any, Any]) -> TypeGuard[Mapping[str, Mapping[str, Any]]]:
    kinds = {"testing", "success"}
    return bool(value) and value.keys() <= kinds and all("bucket" not in _keys(row) for row in value.values())


def _keys(row: Any) -> Iterable[Any]:
    return row.keys() if isinstance(row, Mapping) else ("bucket",)


def _rows(value: Any, hotkey: str) -> list[tuple[str, int]]:
    """Buckets with their start times, oldest first."""
    if isinstance(value, list) and value:
        return [_row(one, hotkey) for one in reversed(value)]
    present = _row(value, hotkey)
    previous = value.get("previous_bucket")
    if previous is None or value.get("previous_bucket_start_time") is None:
        return [present]
    return [
        (_bucket(previous, hotkey), _time(value["previous_bucket_start_time"], hotkey)),
        present,
    ]


def _row(value: Any, hotkey: str) -> tuple[str, int]:
    if not isinstance(value, Mapping):
        raise WireError(f"challengeperiod.{hotkey}: expected an object")
    return _bucket(value.get("bucket"), hotkey), _time(value.get("bucket_start_time"), hotkey)


def _bucket(value: Any, hotkey: str) -> str:
    if not isinstance(value, str) or not value:
        raise WireError(f"challengeperiod.{hotkey}.bucket: expected a name")
    return value


def _time(value: Any, hotkey: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WireError(f"challengeperiod.{hotkey}.bucket_start_time: expected a time in ms")
    return value


def _restored(hotkey: str, rows: list[tuple[str, int]], now_ms: int) -> Challenge:
    """A fact made from a checkpoint's rows: each was decided when it began, as far as we can know."""
    steps = [Step(bucket=name, start_time_ms=ms, decided_ms=min(ms, now_ms)) for name, ms in rows]
    first = Challenge(
        hotkey=hotkey,
        bucket=steps[0].bucket,
        bucket_start_time=steps[0].start_time_ms,
        history=(steps[0],),
    )
    for step in steps[1:]:
        first = moved(first, step.bucket, step.start_time_ms, step.decided_ms)
    return first


def _kept(history: tuple[Step, ...]) -> tuple[Step, ...]:
    return history if len(history) <= STEPS_KEPT else (history[0], *history[1 - STEPS_KEPT :])
