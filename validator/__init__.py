"""The rules: trade pairs, position arithmetic and, on top of them, ledgers and eliminations."""
