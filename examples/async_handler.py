"""Look at spreads and at one trade pair, concurrently.

python examples/async_handler.py YOUR_API_KEY [HOST] [PORT]
"""

from __future__ import annotations

import asyncio
import sys

from vanta_api.websocket_client import VantaWebSocketClient, VantaWebSocketMessage

WIDE_SPREAD_BPS = 10


async def process_message(message: VantaWebSocketMessage) -> str | None:
    """A line worth printing, or None."""
    order = message.new_order
    if order.bid and order.ask:
        spread_bps = (order.ask - order.bid) / order.price * 10_000
        if spread_bps > WIDE_SPREAD_BPS:
            return f"{order.trade_pair}: Spread {spread_bps:.1f} bps"
    if order.trade_pair == "BTCUSD":
        return f"BTC: ${order.price:.2f} ({order.order_type})"
    return None


async def handle_messages(messages: list[VantaWebSocketMessage]) -> None:
    """Process a batch at once."""
    lines = await asyncio.gather(*[process_message(message) for message in messages])
    for line in filter(None, lines):
        print(line, flush=True)


def main() -> None:
    """Subscribe, then run until Ctrl-C."""
    api_key = sys.argv[1] if len(sys.argv) > 1 else "your_api_key_here"
    host = sys.argv[2] if len(sys.argv) > 2 else "localhost"
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 8765
    client = VantaWebSocketClient(api_key=api_key, host=host, port=port)
    client.subscribe()
    client.run(handle_messages)


if __name__ == "__main__":
    main()
