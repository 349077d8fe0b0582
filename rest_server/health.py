"""Is the product well: its workers' signs of life, and whether REST itself has caught up.

Rule: what everybody may see says nothing about trading: states and ages of workers, never a number or a
time that follows from an entry.
"""

from __future__ import annotations

from typing import Any, Final

from rest_server.models import Health, WorkerHealth
from rest_server.services import Services
from runtime import heartbeat
from runtime.api_keys import ApiKey
from validator.tiers import REALTIME_TIER

SERVICE: Final = "ValidatorRestServer"
SILENT_MS: Final = 10_000  # a worker beats every second; ten missed beats are no coincidence
OPERATOR_TIER: Final = 200  # accounts and their problems are the operator's business
_RUNNING: Final = "running"


def health(here: Services, key: ApiKey | None) -> Health:
    """What ``/api/health`` says to this reader."""
    now_ms = here.clock.now_ms()
    facts = heartbeat.read_all(here.settings.data_dir)
    workers = {name: _worker(worker, now_ms) for name, worker in facts.items()}
    ages = [worker.data_age_ms for worker in workers.values() if worker.data_age_ms is not None]
    is_well = all(w.state == _RUNNING and w.age_ms < SILENT_MS for w in workers.values())
    found = Health(
        status="healthy" if is_well and here.source.problem() is None else "degraded",
        service=SERVICE,
        timestamp_ms=now_ms,
        version=here.settings.repo_version,
        workers=workers,
        data_age_ms=max(ages, default=None),
        warnings=warnings(here),
    )
    if key is not None and key.tier >= REALTIME_TIER:
        _add_sequences(found, here)
    if key is not None and key.tier >= OPERATOR_TIER:
        found.facts = facts
    return found


def warnings(here: Services) -> list[str]:
    """What an operator should look at."""
    problems = (here.keys.error, here.metagraph.error)
    return [problem for problem in problems if problem]


def _worker(facts: dict[str, Any], now_ms: int) -> WorkerHealth:
    last_success_ms = facts.get("last_success_ms")
    known = isinstance(last_success_ms, int)
    return WorkerHealth(
        state=str(facts.get("state", "unknown")),
        age_ms=max(0, now_ms - int(facts["beat_ms"])),
        data_age_ms=max(0, now_ms - int(last_success_ms)) if known and last_success_ms is not None else None,
    )


def _add_sequences(found: Health, here: Services) -> None:
    published = here.source.current()
    if published is not None:
        found.epoch = published.epoch
        found.sequence = published.live.sequence
        found.sequences = dict(published.vector)
