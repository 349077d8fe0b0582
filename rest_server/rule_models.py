"""The bodies of answers about rules: eliminations, buckets, ledgers and statistics."""

from __future__ import annotations

from typing import Any

import msgspec


class EliminationRow(msgspec.Struct, kw_only=True):
    """Why a hotkey is out. ``dd`` is the drawdown in per cent (-1: time ran out, null: neither)."""

    hotkey: str
    dd: float | None
    reason: str
    elimination_initiated_time_ms: int
    price_info: dict[str, Any]
    return_info: dict[str, Any]


class Eliminations(msgspec.Struct, kw_only=True):
    """Who is out for good, oldest first."""

    eliminations: list[EliminationRow]


class Bucket(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A bucket and since when it counts. ``reason`` only where the hotkey was eliminated."""

    bucket: str
    start_time_ms: int
    reason: str | msgspec.UnsetType = msgspec.UNSET


class ChallengePeriodAnswer(msgspec.Struct, kw_only=True):
    """A hotkey's bucket, or with ``history=true`` all it was in, oldest first."""

    status: str
    hotkey: str
    timestamp: int
    challenge_period: Bucket | msgspec.UnsetType = msgspec.UNSET
    history: list[Bucket] | msgspec.UnsetType = msgspec.UNSET


class DebtEmissions(msgspec.Struct, kw_only=True):
    """What was paid in the span; null: not known."""

    chunk_alpha: float | None
    chunk_tao: float | None
    chunk_usd: float | None
    avg_alpha_to_tao_rate: float | None
    avg_tao_to_usd_rate: float | None
    tao_balance_snapshot: float | None
    alpha_balance_snapshot: float | None


class DebtPerformance(msgspec.Struct, kw_only=True):
    """``portfolio_return`` is a multiplier since the beginning; fees are logarithms, P&L is USD."""

    portfolio_return: float
    realized_pnl: float
    unrealized_pnl: float
    net_pnl: float
    spread_fee_loss: float
    carry_fee_loss: float
    total_fees: float
    max_drawdown: float
    max_portfolio_value: float
    open_ms: int
    accum_ms: int
    n_updates: int


class DebtPenalties(msgspec.Struct, kw_only=True):
    """Multipliers; 1.0 is no penalty."""

    drawdown: float
    risk_profile: float
    min_collateral: float
    risk_adjusted_performance: float
    cumulative: float
    challenge_period_status: str


class DebtDerived(msgspec.Struct, kw_only=True):
    """Fees are in the return already."""

    return_after_fees: float
    weighted_score: float


class DebtCheckpoint(msgspec.Struct, kw_only=True):
    """One span, named by its end."""

    timestamp_ms: int
    timestamp_utc: str
    emissions: DebtEmissions
    performance: DebtPerformance
    penalties: DebtPenalties
    derived: DebtDerived


class DebtTotals(msgspec.Struct, kw_only=True):
    """Sums of what is known, and the newest values."""

    cumulative_emissions_alpha: float | None
    cumulative_emissions_tao: float | None
    cumulative_emissions_usd: float | None
    portfolio_return: float
    weighted_score: float
    total_fees: float


class DebtLedger(msgspec.Struct, kw_only=True):
    """Performance, penalties and emissions span by span, without gaps."""

    hotkey: str
    total_checkpoints: int
    summary: DebtTotals
    checkpoints: list[DebtCheckpoint]


class DebtSummary(msgspec.Struct, kw_only=True):
    """A hotkey's debt ledger in one row."""

    hotkey: str
    total_checkpoints: int
    cumulative_emissions_alpha: float | None
    cumulative_emissions_tao: float | None
    cumulative_emissions_usd: float | None
    portfolio_return: float
    weighted_score: float
    latest_checkpoint_ms: int
    net_pnl: float
    total_fees: float


class PenaltyCheckpoint(msgspec.Struct, kw_only=True):
    """Multipliers at the end of a span."""

    last_processed_ms: int
    drawdown_penalty: float
    risk_profile_penalty: float
    min_collateral_penalty: float
    risk_adjusted_performance_penalty: float
    total_penalty: float
    challenge_period_status: str


class PenaltyLedger(msgspec.Struct, kw_only=True):
    """A hotkey's penalties span by span."""

    hotkey: str
    total_checkpoints: int
    checkpoints: list[PenaltyCheckpoint]


class EmissionsCheckpoint(msgspec.Struct, kw_only=True):
    """What was paid in one chunk of time; null: the source does not say."""

    chunk_start_ms: int
    chunk_end_ms: int
    chunk_start_utc: str
    chunk_end_utc: str
    chunk_emissions: float | None
    chunk_emissions_tao: float | None
    chunk_emissions_usd: float | None
    avg_alpha_to_tao_rate: float | None
    avg_tao_to_usd_rate: float | None
    num_blocks: int | None
    block_start: int | None
    block_end: int | None
    tao_balance_snapshot: float | None
    alpha_balance_snapshot: float | None


class EmissionsLedger(msgspec.Struct, kw_only=True):
    """A hotkey's emissions chunk by chunk."""

    hotkey: str
    coldkey: str | None
    total_checkpoints: int
    cumulative_emissions: float | None
    cumulative_emissions_tao: float | None
    cumulative_emissions_usd: float | None
    checkpoints: list[EmissionsCheckpoint]


class Statistics(msgspec.Struct, kw_only=True):
    """Everybody's statistics by the rank of their weight; ``constants`` are the numbers they depend on."""

    version: str
    created_timestamp_ms: int
    created_date: str
    data: list[dict[str, Any]]
    constants: dict[str, Any]
    network_data: dict[str, Any]
