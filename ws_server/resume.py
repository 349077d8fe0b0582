"""Where a subscriber's stream starts, decided from what it last saw.

Rule 1: a client is told "recovered" only if every entry after its number will reach it.
Rule 2: a number of another epoch never means anything in this one, whether or not the client names it.
Rule 3: a number that REST has shown already is not "future", even if it has not gone out here yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from journal.entry import Epoch
from vanta_api.messages import RecoveryReason


@dataclass(frozen=True, slots=True)
class Horizon:
    """What can be sent now: the epoch, and per stream the newest number sent and the oldest one kept.

    ``durable_head`` reads a stream's newest number from the journal itself.
    """

    epoch: Epoch
    positions: Mapping[str, int]
    oldest: Mapping[str, int]
    durable_head: Callable[[str], int]

    def position(self, stream: str) -> int:
        """The newest number that went out (0: none yet)."""
        return self.positions.get(stream, 0)

    def first_of(self, stream: str) -> int:
        """The first number of this epoch."""
        return self.epoch.first.get(stream, 1)

    def oldest_of(self, stream: str) -> int:
        """The smallest number of this epoch that can still be replayed."""
        return max(self.oldest.get(stream, 1), self.first_of(stream))


@dataclass(frozen=True, slots=True)
class Plan:
    """``cursor``: entries after it are sent. ``reason`` says why the client's own number was not used."""

    cursor: int
    reason: RecoveryReason | None = None

    @property
    def recovered(self) -> bool:
        """Nothing that the client asked for is missing."""
        return self.reason is None


def plan(horizon: Horizon, stream: str, last: int, epoch: str | None = None) -> Plan:
    """Start after ``last``; -1 is "live only", 0 is "all that is kept"."""
    live = horizon.position(stream)
    if last < 0:
        return Plan(live)
    if epoch is not None and epoch != horizon.epoch.id:
        return Plan(live, "epoch_changed")
    if last == 0:
        return Plan(min(horizon.oldest_of(stream) - 1, live))
    if last > live:
        return Plan(last) if last <= horizon.durable_head(stream) else Plan(live, "future_sequence")
    if last < horizon.first_of(stream) - 1:
        return Plan(live, "epoch_changed")
    if last < horizon.oldest_of(stream) - 1:
        return Plan(live, "trimmed")
    return Plan(last)
