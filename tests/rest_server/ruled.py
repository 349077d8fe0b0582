"""Worlds with rules in them: eliminations, buckets, ledgers, penalties and emissions, written as the
validator writes them, at the world's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from journal.entry import LEDGER, REGISTRY, Draft
from rest_server.errors import TEXTS
from rest_server.openapi import routes
from tests.rest_server.world import World
from validator import eliminated
from validator.assets import ASSET, AssetSelection
from validator.challenge import record
from validator.challenge.record import Challenge
from validator.debt import emissions, penalty_record
from validator.debt.emissions import Chunk, EmissionsRecord
from validator.debt.penalty import Values
from validator.debt.penalty_record import PenaltyRecord
from validator.eliminated import Elimination, EliminationMessage
from validator.ledger.checkpoint import PORTFOLIO, SPAN_MS, WINDOW_MS, Checkpoint
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of, through_draft
from vanta_api.records import encode

Ask = Callable[[World], Any]
NO_SCOPE: Final = "This API key may not be used for REST"
ELSEWHERE: Final = frozenset((405, 413, 429, 431))  # tested for all routes at once
COMMON: Final = frozenset(
    (TEXTS[400][1], TEXTS[401][1], TEXTS[403][1], TEXTS[500][1], "The server is not ready yet")
)


@dataclass(frozen=True)
class Case:
    """One answer that is not the one asked for: the route, its status and sentence, how it is provoked."""

    route: str
    status: int
    text: str
    ask: Ask

    def __str__(self) -> str:
        return f"{self.route}-{self.status}-{self.text[:30]}"


def get(path: str, key: str | None = "k100", *, given: Ask | None = None) -> Ask:
    """Ask a world, which ``given`` has prepared."""

    def ask(world: World) -> Any:
        if given is not None:
            given(world)
        return world.get(path, key)

    return ask


def strangers(route: str, path: str) -> list[Case]:
    """What every route with a key is refused for."""
    return [
        Case(route, 401, "Unauthorized access", get(path, None)),
        Case(route, 401, "Unauthorized access", get(path, "nobody")),
        Case(route, 403, NO_SCOPE, get(path, "kws")),
        Case(route, 503, "The server is not ready yet", get(path, given=not_booted)),
    ]


def not_booted(world: World) -> None:
    world.source.is_booted = False


def check(world: World, case: Case) -> None:
    """The answer has the status and the sentence that the case names."""
    answer = case.ask(world)
    body = answer.get_json()
    assert (answer.status_code, body["error"]) == (case.status, case.text)
    assert body["request_id"]
    assert body["code"]


def undemonstrated(world: World, blueprint: str, cases: Iterable[Case]) -> set[tuple[str, int, str]]:
    """The refusals that a blueprint's routes declare and no case shows."""
    shown = {(case.route, case.status, _pattern(case.text)) for case in cases}
    missing = set()
    for rule, operation, _ in routes(world.app):
        if not rule.endpoint.startswith(f"{blueprint}."):
            continue
        for status, texts in operation.failures.items():
            for text in texts:
                wanted = (rule.endpoint, status, _pattern(text))
                if status not in ELSEWHERE and text not in COMMON - {TEXTS[401][1]} and wanted not in shown:
                    missing.add(wanted)
    return missing


def _pattern(text: str) -> str:
    return text.replace("{minerid}", "nobody")


def eliminate(
    world: World, hotkey: str, reason: str = "ZOMBIE", at_ms: int | None = None, **more: Any
) -> None:
    """Write an elimination."""
    row = Elimination(
        hotkey=hotkey,
        reason=reason,
        elimination_initiated_time_ms=world.now if at_ms is None else at_ms,
        **more,
    )
    body = encode(EliminationMessage(elimination=row))
    world.journal.append([Draft(REGISTRY, eliminated.key_of(hotkey), body)])


def put_bucket(world: World, challenge: Challenge) -> None:
    """Write a bucket."""
    body = record.encode(challenge)
    world.journal.append([Draft(REGISTRY, record.key_of(challenge.hotkey), body)])


def select(world: World, hotkey: str, asset_class: str = "crypto") -> None:
    """Write a selection."""
    body = msgspec.json.encode(AssetSelection(hotkey, asset_class, None, world.now))
    world.journal.append([Draft(REGISTRY, ASSET + hotkey, body)])


def boundary(world: World) -> int:
    """The newest end of a span."""
    return world.now - world.now % SPAN_MS


def spans(world: World, hotkey: str, count: int, *, pairs: tuple[str, ...] = (), **fields: Any) -> None:
    """Write the ledger of a hotkey: the last ``count`` spans."""
    end_ms = boundary(world)
    for n in range(count):
        one = Checkpoint(
            last_update_ms=end_ms - (count - 1 - n) * SPAN_MS,
            accum_ms=SPAN_MS,
            **{"prev_portfolio_ret": 1.0 + n / 100, "mpv": 1.0 + n / 100, "n_updates": 1, **fields},
        )
        ledger = LedgerRecord(checkpoint=one, initialization_time_ms=0, max_return=1.0 + n / 100)
        perf = PerfCheckpoint(
            hotkey=hotkey,
            end_ms=one.last_update_ms,
            target_cp_duration_ms=SPAN_MS,
            target_ledger_window_ms=WINDOW_MS,
            ledgers=dict.fromkeys((PORTFOLIO, *pairs), ledger),
        )
        world.journal.append([draft_of(perf)])
    world.journal.append([through_draft(end_ms, SPAN_MS, 0)])


def penalise(world: World, hotkey: str, end_ms: int | None = None, **values: Any) -> None:
    """Write penalties that hold from the end of a span on (the first ever, if none is named)."""
    made = PenaltyRecord(
        hotkey=hotkey, end_ms=SPAN_MS if end_ms is None else end_ms, span_ms=SPAN_MS, values=Values(**values)
    )
    world.journal.append(
        [penalty_record.draft_of(made, WINDOW_MS), penalty_record.through_draft(boundary(world), SPAN_MS)]
    )


def pay(world: World, hotkey: str, count: int, *, coldkey: str | None = "5Cold", **amounts: float) -> None:
    """Write emissions: the last ``count`` chunks of 12 hours."""
    length_ms = 2 * SPAN_MS
    end_ms = world.now - world.now % length_ms
    for n in range(count):
        chunk_end_ms = end_ms - (count - 1 - n) * length_ms
        chunk = Chunk(chunk_start_ms=chunk_end_ms - length_ms, chunk_end_ms=chunk_end_ms, **amounts)  # type: ignore[arg-type]
        made = EmissionsRecord(hotkey=hotkey, coldkey=coldkey, chunk=chunk)
        world.journal.append([emissions.draft_of(made, WINDOW_MS)])


def ledger_keys(world: World) -> list[str]:
    """The keys in the ledger stream."""
    return [entry.key for entry in world.journal.read(LEDGER, 0).entries]
