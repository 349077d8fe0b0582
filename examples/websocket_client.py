"""Print every new order as it comes.

    python examples/websocket_client.py YOUR_API_KEY [HOST] [PORT]

The client remembers how far it has come (in the current directory): start it again and it goes on from
there, with nothing missing and nothing twice.
"""

from __future__ import annotations

import sys

from vanta_api.websocket_client import VantaWebSocketClient, VantaWebSocketMessage, setup_logger


def handle_messages(messages: list[VantaWebSocketMessage]) -> None:
    """Print position and order details."""
    for message in messages:
        print(f"\nReceived message {message}", flush=True)


def main() -> None:
    """Read the arguments, connect, print until Ctrl-C."""
    api_key = sys.argv[1] if len(sys.argv) > 1 else "test_key"
    host = sys.argv[2] if len(sys.argv) > 2 else "localhost"
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 8765
    setup_logger("VantaWebSocketClient")
    client = VantaWebSocketClient(
        api_key=api_key,
        host=host,
        port=port,
        on_gap=lambda gap: print(f"lost {gap.first}..{gap.last}, filled over REST: {gap.filled}"),
        on_resync=lambda resync: print(f"take a new snapshot: {resync.reason}"),
    )
    client.run(handle_messages)


if __name__ == "__main__":
    main()
