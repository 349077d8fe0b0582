"""Simulated hotkeys with ledgers, positions and facts: what statistics are made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from tests.validator.ledger.stage import Event, Stage
from tests.validator.ledger.world import DAY, HOUR, T0, VANTA_PAIRS, VENUE_PAIRS, MinuteMarks, history, walk
from validator.ledger.checkpoint import Bundle
from validator.ledger.shapes import to_bundle
from validator.ledger.view import Ledgers
from validator.statistics import Facts, StatisticsBook
from vanta_api.records import AccountSizeRecord, Position

PAIRS = (*VENUE_PAIRS, *VANTA_PAIRS)
BUCKETS = (None, "MAINCOMP", "MAINCOMP", "CHALLENGE", "PROBATION", "PLAGIARISM")


@dataclass
class World:
    """Everything about some hotkeys at ``now_ms``."""

    now_ms: int
    marks: MinuteMarks
    stage: Stage
    events: list[Event]
    positions: dict[str, list[Position]]
    bundles: dict[str, Bundle]
    facts: dict[str, Facts]

    @property
    def ledgers(self) -> Ledgers:
        """What a reader of the journal sees."""
        return self.stage.ledgers()

    def book(self) -> StatisticsBook:
        """Statistics of everyone."""
        made = StatisticsBook("8.8.9")
        for hotkey in self.bundles:
            made.update(hotkey, self.bundles[hotkey], self.positions[hotkey], self.facts[hotkey])
        return made

    def plain(self) -> dict[str, Any]:
        """Bundles and facts as a reader of JSON has them."""
        return {
            "ledgers": {hk: json.loads(json.dumps(to_bundle(one))) for hk, one in self.bundles.items()},
            "facts": {hk: json.loads(msgspec.json.encode(one)) for hk, one in self.facts.items()},
        }


def facts_of(rng: Random, hotkey: str, now_ms: int) -> Facts:
    """Some facts, of every kind."""
    sizes = tuple(
        AccountSizeRecord(
            hotkey=hotkey,
            account_size=float(rng.randrange(1_000, 500_000)),
            update_time_ms=now_ms - age * HOUR,
            valid_date_timestamp=now_ms - age * HOUR,
        )
        for age in sorted(rng.sample(range(1, 100), rng.randrange(3)), reverse=True)
    )
    return Facts(
        bucket=rng.choice(BUCKETS),  # type: ignore[arg-type]
        bucket_start_ms=now_ms - rng.randrange(120) * DAY,
        asset_selection=rng.choice((None, "crypto", "forex")),
        plagiarism=rng.choice((None, 0.25)),
        collateral_usd=rng.choice((None, 50_000.0, 200_000.0)),
        account_sizes=sizes,
    )


def world(seed: int, hotkeys: int, days: int, gaps: float = 0.9, pairs: Sequence[str] = PAIRS) -> World:
    """Hotkeys that traded for some days; their histories differ in length."""
    rng, end = Random(seed), T0 + days * DAY
    marks = walk(rng, pairs, T0, end, gaps=gaps)
    events: list[Event] = []
    for number in range(hotkeys):
        start = T0 + rng.randrange(days * 3 // 4) * DAY if rng.random() < 0.5 else T0
        chosen = rng.sample(pairs, rng.randrange(1, len(pairs) + 1))
        events += history(rng, marks, f"hk{number:04d}", chosen, start, end)
    events.sort(key=lambda one: one[0])
    newest = {one.position_uuid: one for _, one in events}
    stage = Stage(marks)
    positions: dict[str, list[Position]] = {}
    for one in newest.values():
        positions.setdefault(one.miner_hotkey, []).append(one)
        stage.append(one)
    stage.turn(end)
    view = stage.ledgers()
    bundles: dict[str, Bundle] = {hotkey: view.bundle(hotkey) or {} for hotkey in sorted(positions)}
    facts = {hotkey: facts_of(rng, hotkey, end) for hotkey in bundles}
    return World(end, marks, stage, events, {hk: positions[hk] for hk in bundles}, bundles, facts)
