"""Restoring a node from a validator checkpoint: ours or Vanta's own, of any generation.

Rule 1: the whole checkpoint is read and checked before anything on disk is touched.
Rule 2: the new journal is made beside the old one, verified, and put in its place by one rename; a process
that is killed at any moment leaves the old journal or the new one, never something in between.
Rule 3: records are taken over as they are: nothing is recomputed.

``shape`` is our own checkpoint, which the REST server writes; ``source`` brings a file or URL to bytes,
``sections`` takes them apart, ``vanta`` knows Vanta's generations, ``facts`` turns sections into journal
entries, ``install`` puts the journal in place, ``command`` is the command line.
"""
