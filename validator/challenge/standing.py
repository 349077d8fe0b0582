"""How a hotkey does: its value, the worst drawdown that counts, its trading days.

Rule: what happened before a hotkey was admitted is not held against it. Until it stands at its old height
again, its drawdown is measured from where it stood then; from there on, from its highest value, as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from validator.challenge.record import Admission
from validator.ledger.checkpoint import PORTFOLIO, Bundle, Checkpoint
from validator.statistics.days import complete_days

Live = Callable[[str], tuple[float, float] | None]
"""A hotkey's value now and that over its highest; None while no ledger is kept for it."""


class Ledgers(Protocol):
    """Finished spans, by hotkey."""

    def revision(self, hotkey: str) -> tuple[int, int]: ...

    def bundle(self, hotkey: str) -> Bundle | None: ...


class Standing(NamedTuple):
    """``value`` as a multiplier; ``drawdown``: that over the highest; ``worst``: see ``worst_ratio``."""

    value: float
    drawdown: float
    worst: float
    days: int


def worst_ratio(
    checkpoints: Iterable[Checkpoint], now: tuple[float, float], admission: Admission, since_ms: int
) -> float:
    """The smallest ratio of the value to the highest value before it, since the hotkey was admitted.

    ``checkpoints``: of the portfolio, oldest first; only spans that began at ``since_ms`` or later count.
    ``now``: the value and its ratio at this moment.
    """
    worst, base = 1.0, min(1.0, admission.drawdown)
    height = admission.value / base if base > 0 else admission.value
    for one in checkpoints:
        if one.start_ms < since_ms:
            continue
        worst = min(worst, _from(base, one.mdd))
        if one.mpv >= height:
            base = 1.0
    value, drawdown = now
    return min(worst, _from(1.0 if value >= height else base, drawdown))


def _from(base: float, ratio: float) -> float:
    return min(1.0, ratio / base) if base > 0 else 1.0


class Standings:
    """The standing of every hotkey; finished spans are read again only when there are other ones."""

    def __init__(self, ledgers: Ledgers, live: Live) -> None:
        self._ledgers, self._live = ledgers, live
        self._known: dict[str, tuple[tuple[int, int], tuple[Checkpoint, ...], int]] = {}

    def admission(self, hotkey: str) -> Admission | None:
        """Where the hotkey stands now, for its first fact; None while no ledger is kept for it."""
        now = self._live(hotkey)
        return None if now is None else Admission(value=now[0], drawdown=now[1])

    def of(self, hotkey: str, admission: Admission, since_ms: int) -> Standing | None:
        """The hotkey's standing; None while no ledger is kept for it."""
        now = self._live(hotkey)
        if now is None:
            return None
        checkpoints, days = self._finished(hotkey)
        return Standing(now[0], now[1], worst_ratio(checkpoints, now, admission, since_ms), days)

    def _finished(self, hotkey: str) -> tuple[tuple[Checkpoint, ...], int]:
        revision = self._ledgers.revision(hotkey)
        known = self._known.get(hotkey)
        if known is None or known[0] != revision:
            bundle = self._ledgers.bundle(hotkey)
            checkpoints = bundle[PORTFOLIO].cps if bundle is not None else ()
            known = self._known[hotkey] = (revision, checkpoints, len(complete_days(checkpoints)))
        return known[1], known[2]
