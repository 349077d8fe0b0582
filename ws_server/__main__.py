"""``python -m ws_server``: the WebSocket worker."""

from __future__ import annotations

from runtime.worker import run
from ws_server.worker import main

if __name__ == "__main__":
    run("ws", main)
