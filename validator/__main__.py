"""``python -m validator``: the validator worker, or with a command, a word to it."""

from __future__ import annotations

import sys

from runtime.worker import run
from validator import commands
from validator.worker import main

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in commands.COMMANDS:
        raise SystemExit(commands.main(sys.argv[1:]))
    run("validator", main)
