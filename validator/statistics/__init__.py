"""Statistics of hotkeys: how they did, alone and against each other.

Rule 1: everything is a pure function of ledgers, positions and registered facts.
Rule 2: what concerns one hotkey (``measures``) is computed when that hotkey changed; ranks, percentiles,
scores and weights (``standing``) compare all of them and are computed again whenever any changed.
Rule 3: every number is finite; an undefined one has a documented stand-in or is null.

``StatisticsBook`` keeps answers encoded; ``audience`` cuts ledgers and positions down to what a delayed
reader may see, so that a book made from its output leaks nothing.
"""

from __future__ import annotations

from validator.statistics.audience import seen_bundle, seen_facts, seen_positions
from validator.statistics.book import StatisticsBook
from validator.statistics.facts import Facts

__all__ = ["Facts", "StatisticsBook", "seen_bundle", "seen_facts", "seen_positions"]
