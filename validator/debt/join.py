"""The debt ledger: performance, penalties and emissions of a hotkey, joined checkpoint by checkpoint. Pure.

Rule 1: a checkpoint exists where performance and penalties do and, for a hotkey that the source of emissions
knows, between its first and last emissions. Inside of that, a chunk that the source left out is null.
Rule 2: checkpoints end at multiples of their length and follow each other without gaps: where there is a gap
in the performance, the ledger begins after it.
Rule 3: where emissions come in longer chunks than performance, checkpoints are as long as the chunks: sums
are added up, the worst drawdown and the highest value count, and what is "so far" is taken at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from validator.debt.emissions import Chunk, total, utc
from validator.debt.penalty import Values
from validator.debt.penalty_record import History
from validator.ledger.checkpoint import Checkpoint

SUMMED: Final = (
    "open_ms",
    "accum_ms",
    "n_updates",
    "gain",
    "loss",
    "spread_fee_loss",
    "carry_fee_loss",
    "realized_pnl",
)


class DebtCheckpoint(msgspec.Struct, frozen=True):
    """One joined span."""

    performance: Checkpoint
    penalties: Values
    emissions: Chunk | None

    @property
    def total_fees(self) -> float:
        return self.performance.spread_fee_loss + self.performance.carry_fee_loss

    @property
    def net_pnl(self) -> float:
        return self.performance.realized_pnl + self.performance.unrealized_pnl

    @property
    def weighted_score(self) -> float:
        return self.performance.prev_portfolio_ret * self.penalties.total


def joined(
    checkpoints: Sequence[Checkpoint], span_ms: int, penalties: History, chunks: Sequence[Chunk]
) -> list[DebtCheckpoint]:
    """The debt ledger's checkpoints, oldest first.

    ``checkpoints`` of the portfolio and their length; ``chunks`` equally long, by time. Chunks whose length
    neither divides that of a checkpoint nor the other way round cannot be joined: they count as unknown.
    """
    length_ms = chunks[-1].length_ms if chunks else span_ms
    longest_ms = max(length_ms, span_ms)
    if longest_ms % length_ms or longest_ms % span_ms:
        chunks, longest_ms = (), span_ms
    paid = _grouped_chunks(chunks, longest_ms)
    whole = [one for one in checkpoints if one.accum_ms == span_ms]
    found = []
    for performance in without_gaps(_grouped(whole, longest_ms), longest_ms):
        end_ms = performance.last_update_ms
        penalty = penalties.at(end_ms)
        if penalty is not None and (not paid or min(paid) <= end_ms <= max(paid)):
            found.append(DebtCheckpoint(performance, penalty.values, paid.get(end_ms)))
    return found


def without_gaps(checkpoints: Iterable[Checkpoint], length_ms: int) -> list[Checkpoint]:
    """The newest checkpoints that follow each other."""
    found: list[Checkpoint] = []
    for one in checkpoints:
        if found and one.last_update_ms - found[-1].last_update_ms != length_ms:
            found.clear()
        found.append(one)
    return found


def debt_ledger(hotkey: str, checkpoints: Sequence[DebtCheckpoint]) -> dict[str, Any]:
    """``/debt-ledger/<id>``."""
    figures = _figures(checkpoints) if checkpoints else {}
    summary = {name: figures[name] for name in _SUMMARY if name in figures}
    return {
        "hotkey": hotkey,
        "total_checkpoints": len(checkpoints),
        "summary": summary,
        "checkpoints": [_row(one) for one in checkpoints],
    }


def debt_summary(hotkey: str, checkpoints: Sequence[DebtCheckpoint]) -> dict[str, Any]:
    """The hotkey's row in ``/debt-ledger``; needs at least one checkpoint."""
    figures = _figures(checkpoints)
    row = {"hotkey": hotkey, "total_checkpoints": len(checkpoints)}
    return row | {name: figures[name] for name in _OVERVIEW}


_EMITTED: Final = ("cumulative_emissions_alpha", "cumulative_emissions_tao", "cumulative_emissions_usd")
_SUMMARY: Final = (*_EMITTED, "portfolio_return", "weighted_score", "total_fees")
_OVERVIEW: Final = (
    *_EMITTED,
    "portfolio_return",
    "weighted_score",
    "latest_checkpoint_ms",
    "net_pnl",
    "total_fees",
)


def _figures(checkpoints: Sequence[DebtCheckpoint]) -> dict[str, Any]:
    latest, chunks = checkpoints[-1], [one.emissions for one in checkpoints if one.emissions is not None]
    return {
        "cumulative_emissions_alpha": total(one.chunk_emissions for one in chunks),
        "cumulative_emissions_tao": total(one.chunk_emissions_tao for one in chunks),
        "cumulative_emissions_usd": total(one.chunk_emissions_usd for one in chunks),
        "portfolio_return": latest.performance.prev_portfolio_ret,
        "weighted_score": latest.weighted_score,
        "latest_checkpoint_ms": latest.performance.last_update_ms,
        "net_pnl": latest.net_pnl,
        "total_fees": latest.total_fees,
    }


def _row(one: DebtCheckpoint) -> dict[str, Any]:
    performance, values = one.performance, one.penalties
    return {
        "timestamp_ms": performance.last_update_ms,
        "timestamp_utc": utc(performance.last_update_ms),
        "emissions": _emissions_row(one.emissions),
        "performance": {
            "portfolio_return": performance.prev_portfolio_ret,
            "realized_pnl": performance.realized_pnl,
            "unrealized_pnl": performance.unrealized_pnl,
            "net_pnl": one.net_pnl,
            "spread_fee_loss": performance.spread_fee_loss,
            "carry_fee_loss": performance.carry_fee_loss,
            "total_fees": one.total_fees,
            "max_drawdown": performance.mdd,
            "max_portfolio_value": performance.mpv,
            "open_ms": performance.open_ms,
            "accum_ms": performance.accum_ms,
            "n_updates": performance.n_updates,
        },
        "penalties": {
            "drawdown": values.drawdown,
            "risk_profile": values.risk_profile,
            "min_collateral": values.min_collateral,
            "risk_adjusted_performance": values.risk_adjusted_performance,
            "cumulative": values.total,
            "challenge_period_status": values.challenge_period_status,
        },
        "derived": {
            "return_after_fees": performance.prev_portfolio_ret,
            "weighted_score": one.weighted_score,
        },
    }


def _emissions_row(chunk: Chunk | None) -> dict[str, float | None]:
    return {
        "chunk_alpha": chunk.chunk_emissions if chunk else None,
        "chunk_tao": chunk.chunk_emissions_tao if chunk else None,
        "chunk_usd": chunk.chunk_emissions_usd if chunk else None,
        "avg_alpha_to_tao_rate": chunk.avg_alpha_to_tao_rate if chunk else None,
        "avg_tao_to_usd_rate": chunk.avg_tao_to_usd_rate if chunk else None,
        "tao_balance_snapshot": chunk.tao_balance_snapshot if chunk else None,
        "alpha_balance_snapshot": chunk.alpha_balance_snapshot if chunk else None,
    }


def _grouped(checkpoints: Sequence[Checkpoint], length_ms: int) -> list[Checkpoint]:
    """Checkpoints put together to this length; a group that is not complete is left out."""
    groups: dict[int, list[Checkpoint]] = {}
    for one in checkpoints:
        groups.setdefault(-(-one.last_update_ms // length_ms) * length_ms, []).append(one)
    return [
        _together(parts, end_ms)
        for end_ms, parts in sorted(groups.items())
        if sum(one.accum_ms for one in parts) == length_ms
    ]


def _together(parts: Sequence[Checkpoint], end_ms: int) -> Checkpoint:
    if len(parts) == 1:
        return parts[0]
    sums: Mapping[str, Any] = {name: sum(getattr(one, name) for one in parts) for name in SUMMED}
    return msgspec.structs.replace(
        parts[-1],
        last_update_ms=end_ms,
        mdd=min(one.mdd for one in parts),
        mpv=max(one.mpv for one in parts),
        **sums,
    )


def _grouped_chunks(chunks: Sequence[Chunk], length_ms: int) -> dict[int, Chunk]:
    """End → chunk of this length; rates of a group are the last known ones of it."""
    groups: dict[int, list[Chunk]] = {}
    for one in chunks:
        groups.setdefault(-(-one.chunk_end_ms // length_ms) * length_ms, []).append(one)
    return {
        end_ms: _chunks_together(parts, end_ms, length_ms)
        for end_ms, parts in groups.items()
        if sum(one.length_ms for one in parts) == length_ms
    }


def _chunks_together(parts: Sequence[Chunk], end_ms: int, length_ms: int) -> Chunk:
    if len(parts) == 1:
        return parts[0]

    def known_sum(name: str) -> float | None:
        values = [getattr(one, name) for one in parts]
        return None if None in values else math.fsum(values)

    return msgspec.structs.replace(
        parts[-1],
        chunk_start_ms=end_ms - length_ms,
        chunk_emissions=known_sum("chunk_emissions"),
        chunk_emissions_tao=known_sum("chunk_emissions_tao"),
        chunk_emissions_usd=known_sum("chunk_emissions_usd"),
    )
