"""Eliminations: who is out for good, and what that does to what it held.

Rule 1: the fact (``validator.eliminated``), the closing of every open position, the cancelling of every
resting order and the last bucket are one append: all of it is durable, or none.
Rule 2: closing orders are the same at every validator: their uuid is the position's read backwards.
Rule 3: nothing is undone. Whatever still turns up open under an eliminated hotkey is closed by the next look.

``reasons`` are the words, ``rules`` the verdicts, ``index`` what the journal says is open, ``closing`` the
drafts, ``keeper`` acts, ``requests`` are what operators ask for, ``departed`` watches the metagraph.
"""
