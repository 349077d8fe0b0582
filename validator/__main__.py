"""``python -m validator``: the validator worker."""

from __future__ import annotations

from runtime.worker import run
from validator.worker import main

if __name__ == "__main__":
    run("validator", main)
