"""``python -m rest_server``: the REST worker."""

from __future__ import annotations

from rest_server.worker import main
from runtime.worker import run

if __name__ == "__main__":
    run("rest", main)
