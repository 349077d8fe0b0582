"""The whole of ``/statistics`` once more, with numpy and scipy, from ledgers as JSON and from positions.

Nothing of the product's statistics is used here: formulas and constants are written down a second time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from scipy import special, stats  # type: ignore[import-untyped]

from vanta_api.records import Position

Floats = np.ndarray[Any, np.dtype[np.float64]]
YEAR = {"crypto": 365, "forex": 252, "overall": 365}
CLASS = {"BTCUSD": "crypto", "ETHUSD": "crypto", "EURUSD": "forex", "GBPUSD": "forex"}
METRICS = ["omega", "sharpe", "sortino", "statistical_confidence", "calmar", "pnl"]
NOT_ENOUGH = {
    "omega": 0,
    "sharpe": -100,
    "sortino": -100,
    "statistical_confidence": -100,
    "calmar": -100,
    "pnl": 0,
}


def class_of(pair: str) -> str | None:
    return CLASS.get(pair) or ("crypto" if pair.startswith(("O2:", "ITHACA:")) else None)


def by_day(cps: Sequence[dict[str, Any]]) -> dict[datetime, list[dict[str, Any]]]:
    """Checkpoints of each day of which nothing is missing."""
    days: defaultdict[datetime, list[dict[str, Any]]] = defaultdict(list)
    for cp in cps:
        start = datetime.fromtimestamp((cp["last_update_ms"] - cp["accum_ms"]) / 1000, UTC)
        days[start.replace(hour=0, minute=0, second=0, microsecond=0)].append(cp)
    whole = timedelta(days=1) // timedelta(milliseconds=1)
    return {day: parts for day, parts in sorted(days.items()) if sum(p["accum_ms"] for p in parts) == whole}


def merged(ledgers: dict[str, Any], wanted: str) -> list[dict[str, Any]]:
    """The checkpoints of a class's pairs, added up."""
    found: dict[int, dict[str, Any]] = {}
    for pair, ledger in ledgers.items():
        if pair == "portfolio" or class_of(pair) != wanted:
            continue
        for cp in ledger["cps"]:
            into = found.setdefault(
                cp["last_update_ms"], {**cp, "gain": 0, "loss": 0, "realized_pnl": 0, "unrealized_pnl": 0}
            )
            for name in ("gain", "loss", "realized_pnl", "unrealized_pnl"):
                into[name] += cp[name]
            into["mdd"] = min(into["mdd"], cp["mdd"])
    return [found[end] for end in sorted(found)]


def decay(count: int, least: float) -> Floats:
    ages = np.arange(count)[::-1]
    return np.asarray(least + (1 - least) * np.exp(-0.075 * ages))


def spread(values: Floats, weights: Floats, year: int) -> float:
    if len(values) < 2:
        return math.inf
    middle = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - middle) ** 2, weights=weights) * year))


def metrics(cps: Sequence[dict[str, Any]], scope: str, weighted: bool) -> tuple[int, dict[str, float]]:
    """Every metric, whether or not there are enough days; and how many there are."""
    days, year = by_day(cps), YEAR[scope]
    x = np.array([sum(p["gain"] + p["loss"] for p in parts) for parts in days.values()])
    pnl = np.array([sum(p["realized_pnl"] for p in parts) for parts in days.values()])
    if not len(x):
        found = dict.fromkeys([*METRICS, "return"], 0.0)
        return 0, found | {"sharpe": 0.0, "sortino": 0.0, "statistical_confidence": -100.0}
    pnl[-1] += min(0.0, list(days.values())[-1][-1]["unrealized_pnl"])
    w = decay(len(x), 0.15) if weighted else np.ones(len(x))
    mean = float(np.average(x, weights=w))
    below = x < math.log(1.0389) / year
    up, down = x > 0, x <= 0
    if weighted:
        gained = (x[up] * w[up]).sum() * max(w[down].sum(), 0.01)
        lost = (x[down] * w[down]).sum() * max(w[up].sum(), 0.01)
    else:
        gained, lost = x[up].sum(), x[down].sum()
    percent = 100 * (1 - min(1.0, max(0.0, min(cp["mdd"] for cp in cps))))
    confident = len(x) >= 2 and np.var(x) > 1e-8
    return len(x), {
        "omega": float(gained / max(abs(lost), 0.01)),
        "sharpe": (mean * year - 0.0389) / max(spread(x, w, year), 0.01),
        "sortino": (mean * year - 0.0389) / max(spread(x[below], w[below], year), 0.01),
        "statistical_confidence": float(stats.ttest_1samp(x, 0, alternative="greater").statistic)
        if confident
        else -100.0,
        "calmar": mean * year * 100 / percent if 0 < percent < 10 else 0.0,
        "return": mean * year * 100,
        "pnl": float(np.average(pnl, weights=decay(len(pnl), 0.045) if weighted else None)),
    }


def places(scores: dict[str, float], weight: float | None = None) -> dict[str, dict[str, float]]:
    """Value, rank and percentile of everyone."""
    names, values = list(scores), np.array(list(scores.values()))
    order = np.argsort(-values, kind="stable")
    rank = {names[index]: place + 1 for place, index in enumerate(order)}
    shares = (
        stats.percentileofscore(values, values, kind="strict") / 100
        if len(names) > 1
        else np.ones(len(names))
    )
    found = {}
    for name, value, share in zip(names, values, shares, strict=True):
        found[name] = {"value": float(value), "rank": rank[name], "percentile": float(share)}
        if weight is not None:
            found[name]["overall_contribution"] = float(share) * weight
    return found


def softmax(scores: dict[str, float]) -> dict[str, float]:
    if len(scores) == 1:
        return dict.fromkeys(scores, 1.0)
    values = np.array(list(scores.values()))
    found = np.zeros(len(values))
    if (values != 0).any():
        shifted = np.exp((values[values != 0] - values.max()) / 0.15)
        found[values != 0] = shifted / (shifted.sum() + 1e-6)
    return dict(zip(scores, found.tolist(), strict=True))


def gini(values: Sequence[float]) -> float | None:
    """By its definition: the mean difference of all pairs over twice the mean."""
    x = np.array(values)
    return float(np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())) if x.sum() else None


def risk_score(positions: Sequence[Position]) -> float:
    flags = np.array([float(flagged(one)) for one in positions])
    if not len(flags) or not flags.any():
        return 0.0
    weights = special.softmax(100 * np.log(np.maximum([one.return_at_close for one in positions], 1e-10)))
    return float(np.average(flags, weights=weights))


def flagged(position: Position) -> bool:
    orders = position.orders
    lev = np.array([order.leverage or 0.0 for order in orders])
    price = np.array([order.price for order in orders])
    active = len(orders) - 1 if position.is_closed_position else len(orders)
    if len(orders) < 2:
        return False
    sign = 1 if orders[0].order_type == "LONG" else -1
    added = monotone = 0
    largest = abs(lev[0])
    for k in range(1, active):
        sizes = np.concatenate(([max(abs(lev[0]), 0.01)], np.abs(lev[1:k])))
        average = (price[:k] * sizes).sum() / sizes.sum()
        added += (price[k] - average) * sign < 0 and lev[k] * sign > 0
        average = (price[:k] * lev[:k]).sum() / (lev[:k].sum() or 1e-6)
        if (price[k] - average) * sign < 0 and abs(lev[: k + 1].sum()) > largest:
            monotone, largest = monotone + 1, abs(lev[: k + 1].sum())
    total, active_total = np.abs(np.cumsum(lev)), np.abs(np.cumsum(lev[:active] if active else lev))
    low, high = position.trade_pair[3], position.trade_pair[4]
    margin = (total.max() - low) / (high - low) if high > low else 0.0
    advance = active_total.max() / max(active_total.min(), 0.01)
    times = np.sort([order.processed_ms for order in orders[: int(np.argmax(total)) + 1]])
    uneven = 0.0
    if len(times) >= 3 and times[-1] > times[0]:
        ideal = (times[-1] - times[0]) / (len(times) - 1)
        uneven = float(np.mean(np.abs(np.diff(times) - ideal) / ideal))
    return bool((added >= 3 or monotone >= 2) and (margin >= 0.5 or advance >= 1.5) and uneven >= 0.185)


class Reference:
    """Everyone's elements. ``ledgers``: hotkey → bundle as JSON; ``facts``: hotkey → plain values."""

    def __init__(
        self,
        ledgers: dict[str, dict[str, Any]],
        positions: Mapping[str, Sequence[Position]],
        facts: dict[str, dict[str, Any]],
    ) -> None:
        self.ledgers, self.facts = ledgers, facts
        self.names = sorted(ledgers)
        self.positions = positions
        self.lasted = {
            name: [
                p for p in positions[name] if p.is_closed_position and (p.close_ms or 0) - p.open_ms >= 60_000
            ]
            for name in self.names
        }
        self.cps = {
            name: {
                "overall": ledgers[name].get("portfolio", {"cps": []})["cps"],
                "crypto": merged(ledgers[name], "crypto"),
                "forex": merged(ledgers[name], "forex"),
            }
            for name in self.names
        }
        self.penalties = {name: self._penalties(name) for name in self.names}
        self.minimum = {"overall": 60} | {scope: self._minimum_days(scope) for scope in ("crypto", "forex")}

    def _penalties(self, name: str) -> dict[str, float]:
        drawdown = min([1.0, *(max(0.0, cp["mdd"]) for cp in self.cps[name]["overall"])])
        deep = 0.0 if 100 * (1 - drawdown) >= 10 else 1.0
        risk = float(special.expit(-4 * (risk_score(self.lasted[name]) - 1.2)))
        return {"drawdown_threshold": deep, "risk_profile": risk, "total": deep * risk}

    def _full_penalty(self, name: str) -> float:
        collateral = self.facts[name].get("collateral_usd")
        return self.penalties[name]["total"] * (
            0.01 if collateral is not None and collateral < 150_000 else 1.0
        )

    def _minimum_days(self, scope: str) -> int:
        pool = [n for n in self.names if self.facts[n].get("bucket") in (None, "MAINCOMP", "PROBATION")]
        if not pool:
            return 60
        days = sorted((metrics(self.cps[n][scope], scope, False)[0] for n in pool), reverse=True)
        days = [count for count in days if count > 0]
        return int(np.clip(days[19], 7, 60)) if len(days) >= 20 else 7

    def values(self, names: Sequence[str], scope: str, metric: str, weighted: bool) -> dict[str, float]:
        found = {}
        for name in names:
            days, all_of = metrics(self.cps[name][scope], scope, weighted)
            enough = days >= self.minimum[scope] or metric == "return"
            found[name] = all_of[metric] if enough else float(NOT_ENOUGH[metric])
        return found

    def scores(self, weighted: bool) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        allowed = [name for name in self.names if self._full_penalty(name)]
        found: dict[str, Any] = {}
        for scope in ("crypto", "forex", "overall"):
            names = self.names if scope == "overall" else allowed
            wanted = [*METRICS, "return"] if scope == "overall" else METRICS
            found[scope] = {
                metric: places(self.values(names, scope, metric, weighted), 1.0 if metric == "pnl" else 0.0)
                for metric in wanted
            }
        return found

    def combined(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        allowed = [name for name in names if self._full_penalty(name)]
        return {
            scope: {
                name: place["percentile"] * self._full_penalty(name)
                for name, place in places(self.values(allowed, scope, "pnl", True)).items()
            }
            for scope in ("crypto", "forex")
        }

    def weights(self) -> dict[str, float]:
        tested = ("CHALLENGE", "PROBATION", "PLAGIARISM")
        main = [n for n in self.names if self.facts[n].get("bucket") not in tested]
        rest = [n for n in self.names if n not in main]
        scores = self._shares(rest)
        seasoned = {
            n: scores[n] * math.sqrt(metrics(self.cps[n]["overall"], "overall", False)[0] / 120) for n in rest
        }
        order = sorted(rest, key=lambda n: -seasoned[n])
        found = self._shares(main) | dict(
            zip(order, np.linspace(2.4e-5, 1.5e-5, num=len(order)).tolist(), strict=True)
        )
        return {name: found[name] for name in self.names}

    def _shares(self, names: Sequence[str]) -> dict[str, float]:
        if len(names) == 1:
            return {names[0]: 1.0}
        sums = dict.fromkeys(names, 0.0)
        for scores in self.combined(names).values():
            for name, share in softmax(scores).items() if scores else ():
                sums[name] += 0.5 * share
        total = sum(sums.values())
        return {name: value / total if total else 0.0 for name, value in sums.items()}

    def elements(self, now_ms: int) -> tuple[list[dict[str, Any]], dict[str, float | None]]:
        """All elements in their order, and how competitive each class is."""
        plain, augmented = self.scores(False), self.scores(True)
        weights = places(self.weights())
        sizes = places(
            {
                n: max([5000.0, *[r["account_size"] for r in self.facts[n].get("account_sizes", [])][-1:]])
                for n in self.names
            }
        )
        raw = places(
            {
                n: sum(cp["realized_pnl"] for cp in self.cps[n]["overall"])
                + min([0.0, *[cp["unrealized_pnl"] for cp in self.cps[n]["overall"][-1:]]])
                for n in self.names
            }
        )
        combined = self.combined(self.names) if len(self.names) > 1 else {}
        made = [self._element(n, now_ms, plain, augmented, combined, weights, sizes, raw) for n in self.names]
        made.sort(key=lambda one: one["weight"]["rank"])
        return made, {scope: gini(list(scores.values())) for scope, scores in combined.items()}

    def _element(
        self,
        name: str,
        now_ms: int,
        plain: Any,
        augmented: Any,
        combined: Any,
        weights: Any,
        sizes: Any,
        raw: Any,
    ) -> dict[str, Any]:
        cps, facts, lasted = self.cps[name]["overall"], self.facts[name], self.lasted[name]
        x = np.array([sum(p["gain"] + p["loss"] for p in parts) for parts in by_day(cps).values()])
        value = np.exp(np.cumsum(x))
        ones, risk = np.ones(len(x)), risk_score(lasted)
        below = x < math.log(1.0389) / 365
        return {
            "hotkey": name,
            "challengeperiod": challenge(facts, now_ms),
            "scores": {s: {m: p.get(name, {}) for m, p in by.items()} for s, by in plain.items()},
            "augmented_scores": {
                s: {m: p.get(name, {}) for m, p in by.items()} for s, by in augmented.items()
            },
            "daily_returns": [
                {"date": day.strftime("%Y-%m-%d"), "value": 100 * round(math.exp(r) - 1, 6)}
                for day, r in zip(by_day(cps), x.tolist(), strict=True)
            ],
            "volatility": {
                "annual": min(100.0, spread(x, ones, 365)),
                "annual_downside": min(100.0, spread(x[below], ones[below], 365)),
            },
            "drawdowns": {
                "instantaneous_max_drawdown": min([1.0, *(max(0.0, cp["mdd"]) for cp in cps)]),
                "daily_max_drawdown": float((value / np.maximum.accumulate(value)).min()) if len(x) else 1.0,
            },
            "plagiarism": facts.get("plagiarism"),
            "engagement": {
                "n_checkpoints": sum(cp["open_ms"] > 0 for cp in cps),
                "n_positions": len(self.positions[name]),
                "position_duration": sum((p.close_ms or 0) - p.open_ms for p in lasted),
                "checkpoint_durations": sum(cp["open_ms"] for cp in cps),
                "minimum_days_boolean": len(x) >= 60,
                "percentage_profitable": float(np.mean([p.return_at_close > 1 for p in lasted]))
                if lasted
                else 0.0,
            },
            "risk_profile": {
                "risk_profile_score": risk,
                "risk_profile_penalty": float(special.expit(-4 * (risk - 1.2))),
            },
            "asset_class_performance": self._classes(name, combined),
            "pnl_info": {"raw_pnl": raw[name]},
            "account_size_info": {
                "account_size_statistics": sizes[name] | {"account_sizes": facts.get("account_sizes", [])},
                "account_sizes": facts.get("account_sizes", []),
            },
            "penalties": self.penalties[name],
            "weight": weights[name],
            "checkpoints": [
                cp
                | {"overall_returns": float(np.exp(sum(one["gain"] + one["loss"] for one in cps[: k + 1])))}
                for k, cp in enumerate(cps)
            ],
        }

    def _classes(self, name: str, combined: Any) -> dict[str, Any]:
        found = {}
        for scope, scores in combined.items():
            shares = softmax(scores)
            if name not in shares:
                continue
            chosen = {n: s for n, s in shares.items() if self.facts[n].get("asset_selection") == scope}
            place = (
                places(chosen).get(name, {"rank": 0, "percentile": 0.0})
                if chosen
                else {"rank": 0, "percentile": 0.0}
            )
            found[scope] = {
                "score": shares[name],
                "rank": place["rank"],
                "percentile": 100 * place["percentile"],
            }
        return found


def challenge(facts: dict[str, Any], now_ms: int) -> dict[str, Any]:
    bucket, start = facts.get("bucket"), facts.get("bucket_start_ms", 0)
    if bucket is None:
        return {}
    if bucket == "MAINCOMP":
        return {"status": "success", "start_time_ms": start}
    status, days = {
        "CHALLENGE": ("testing", 90),
        "PROBATION": ("probation", 60),
        "PLAGIARISM": ("plagiarism", 14),
    }[bucket]
    return {
        "status": status,
        "start_time_ms": start,
        "remaining_time_ms": max(0, start + days * 86_400_000 - now_ms),
    }
