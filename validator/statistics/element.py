"""One hotkey's element of ``/statistics``, as encoded pieces that change for different reasons.

``Own`` follows from the hotkey alone, ``Shared`` from the comparison with all; ``challengeperiod`` also from
the time, so it is written when it is asked for. Joined in this module's order they are one JSON object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from validator.ledger.checkpoint import Checkpoint
from validator.ledger.shapes import checkpoint_values
from validator.statistics.facts import Facts
from validator.statistics.measures import Measures
from validator.statistics.standing import Standings

_encode: Final = msgspec.json.Encoder().encode


class Own:
    """What a hotkey's element says about it alone. Pieces are the insides of objects, without braces."""

    def __init__(self, hotkey: str, measures: Measures, facts: Facts) -> None:
        self._measures, self._facts = measures, facts
        self.name = _inside({"hotkey": hotkey})
        self.course = _inside(
            {
                "daily_returns": [
                    {"date": day.date, "value": 100.0 * round(math.expm1(day.log_return), 6)}
                    for day in measures.days
                ],
                "volatility": measures.volatility,
                "drawdowns": measures.drawdowns,
                "plagiarism": facts.plagiarism,
                "engagement": measures.engagement,
                "risk_profile": {
                    "risk_profile_score": measures.risk_score,
                    "risk_profile_penalty": measures.risk_penalty,
                },
            }
        )
        self.penalties = _inside(
            {
                "penalties": {
                    "drawdown_threshold": measures.drawdown_penalty,
                    "risk_profile": measures.risk_penalty,
                    "total": measures.penalty,
                }
            }
        )

    def challenge_period(self, now_ms: int) -> bytes:
        """``challengeperiod`` at a time."""
        return _inside({"challengeperiod": self._facts.challenge_period(now_ms)})

    @cached_property
    def checkpoints(self) -> bytes:
        """The ledger's checkpoints, each with the return of everything so far."""
        return _inside({"checkpoints": with_overall_returns(self._measures.checkpoints)})


class Shared:
    """What a hotkey's element says about its place among all."""

    def __init__(self, hotkey: str, facts: Facts, standings: Standings) -> None:
        self.scores = _inside(
            {
                "scores": _of(hotkey, standings.scores),
                "augmented_scores": _of(hotkey, standings.augmented),
            }
        )
        sizes = list(facts.account_sizes)
        self.place = _inside(
            {
                "asset_class_performance": {
                    name: places[hotkey] for name, places in standings.classes.items() if hotkey in places
                },
                "pnl_info": {"raw_pnl": standings.raw_pnl[hotkey]},
                "account_size_info": {
                    "account_size_statistics": standings.account_size[hotkey] | {"account_sizes": sizes},
                    "account_sizes": sizes,
                },
            }
        )
        self.weight = _inside({"weight": standings.weights[hotkey]})


def joined(own: Own, shared: Shared, now_ms: int, *, checkpoints: bool) -> bytes:
    """The whole element."""
    pieces = [
        own.name,
        own.challenge_period(now_ms),
        shared.scores,
        own.course,
        shared.place,
        own.penalties,
        shared.weight,
    ]
    if checkpoints:
        pieces.append(own.checkpoints)
    return b"{" + b",".join(pieces) + b"}"


def with_overall_returns(checkpoints: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """Checkpoints as plain values, with the product of all returns up to each."""
    total, found = 1.0, []
    for one in checkpoints:
        total *= math.exp(one.gain + one.loss)
        found.append(checkpoint_values(one) | {"overall_returns": total})
    return found


def _of(hotkey: str, scores: dict[str, dict[str, dict[str, dict[str, Any]]]]) -> dict[str, Any]:
    """A hotkey's places: class → metric → place, ``{}`` where it has none."""
    return {
        name: {metric: places.get(hotkey, {}) for metric, places in by_metric.items()}
        for name, by_metric in scores.items()
    }


def _inside(value: dict[str, Any]) -> bytes:
    return _encode(value)[1:-1]
