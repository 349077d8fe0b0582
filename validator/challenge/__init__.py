"""The challenge period: buckets that hotkeys earn, lose and leave.

Rule 1: a hotkey's bucket and its whole history are one registry fact, ``challenge|<hotkey>``.
Rule 2: ``rules.decide`` is pure: facts and a time in, transitions out; the order of the facts is irrelevant.
Rule 3: what happened before the validator first saw a hotkey earns days and ranks, but is not held against
it: time limits begin, and drawdowns are measured from where it stood, when it was admitted.

``record`` is the fact, ``rules`` decide, ``standing`` says how a hotkey does, ``keeper`` acts.
"""
