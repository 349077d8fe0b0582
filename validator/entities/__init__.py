"""Entities and their subaccounts: one owner, many synthetic hotkeys that trade.

- ``hotkeys``, ``records``, ``rules``: what there is and what may become of it, without I/O.
- ``directory``: who is registered now, read from the registry.
- ``clerk``: every change, as one compare-and-set.
- ``keys``: API keys that are derived, not stored. ``outbox``: what other nodes have not confirmed yet.

``validator.eliminated.is_blocked`` says who is out; ``validator.gate`` keeps venues to it.
"""
