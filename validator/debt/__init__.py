"""Debt ledgers: what a hotkey earned, what it is penalised by, and what it was paid, span by span.

Rule 1: performance is the perf ledger's. Penalties are worked out when a span is finished, from what was
true at its end, and are durable from then on. Emissions are read from a source and never made up: what the
source does not say is null.
Rule 2: a debt ledger is a join of the three and is not stored; its checkpoints follow each other without
gaps.

``penalty`` are the formulas, ``penalty_record`` their journal bodies, ``emissions`` the source's format and
bodies, ``join`` the ledgers on the wire, ``keeper`` and ``collector`` do the writing.
"""
