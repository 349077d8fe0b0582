"""Performance ledgers: what a hotkey's portfolio, and each trade pair in it, was worth, span by span.

Rule 1: a ledger is a function of the positions' orders, the minute marks and the time. Recomputed from the
beginning or resumed from any finished checkpoint, it is the same to the last bit.
Rule 2: time is cut into minutes and spans, both half-open. The tick at ``m`` shows everything that happened
before ``m``; a span ``[start, end)`` holds the ticks after ``start`` up to and including ``end``.
Rule 3: a finished checkpoint is durable before the next one is begun. One that a late order changes is
written again under the same key, as far back as minute marks are kept; what is older stays as it was.

``curve`` turns a position into straight lines over the price, ``tape`` are the prices, ``running`` the rules
of a checkpoint, ``span`` computes one hotkey, ``book`` all of them, ``record`` are the journal's bodies,
``view`` reads them back, ``shapes`` are the forms on the wire.
"""
