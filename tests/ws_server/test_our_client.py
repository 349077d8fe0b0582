"""The published kind of client against the real server: both ends of the protocol must agree."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

from journal.entry import POSITIONS, Draft
from tests.ws_server.live import Live, live, wait_for
from vanta_api.records import Order, Position, PositionMessage, encode
from vanta_api.websocket_client import VantaWebSocketClient


def record(number: int, hotkey: str = "hk") -> Draft:
    """A complete position record, as pollers write them."""
    order = Order(order_type="LONG", price=1.0 + number, processed_ms=number, order_uuid=f"o{number}")
    position = Position(
        miner_hotkey=hotkey,
        position_uuid=f"p{number}",
        open_ms=number,
        trade_pair=("BTCUSD", "BTC/USD", 0.003, 0.01, 0.5),
        orders=(order,),
    )
    return Draft(POSITIONS, f"{hotkey}|p{number}", encode(PositionMessage(position=position)))


class Reader:
    """A client with a thread that takes every message down, and every gap and resync."""

    def __init__(self, server: Live, directory: Path, **options: Any) -> None:
        self.numbers: list[int] = []
        self.troubles: list[object] = []
        self._client = VantaWebSocketClient(
            "good",
            "127.0.0.1",
            server.port,
            state_dir=directory,
            start_at=0,
            rest_url="",
            on_gap=self.troubles.append,
            on_resync=self.troubles.append,
            **options,
        )
        self._client._initial_backoff = 0.05

    def __enter__(self) -> Reader:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def _read(self) -> None:
        for message in self._client:
            assert message.sequence is not None
            self.numbers.append(message.sequence)

    def has(self, count: int) -> bool:
        """Whether so many messages came."""
        return len(self.numbers) >= count

    def __exit__(self, *_: object) -> None:
        self._client.stop()
        self._thread.join(10)


def _cut_all(server: Live) -> None:
    for client in server.server.clients._everyone:
        client.link.abort()


def test_our_client_loses_nothing_over_cut_connections(tmp_path: Path) -> None:
    """The connection is cut again and again while entries arrive; every number comes once, in order."""
    with live(heartbeat_ms=200) as server, Reader(server, tmp_path) as reader:
        server.journal.append([record(number) for number in range(50)])
        for cut in range(3):
            wait_for(partial(reader.has, 50 + 20 * cut), "messages")
            server.ask(partial(_cut_all, server))
            server.journal.append([record(1000 * (cut + 1) + number) for number in range(20)])
        wait_for(lambda: len(reader.numbers) >= 110, "the rest")

        assert reader.numbers == list(range(1, 111))
        assert reader.troubles == []


def test_our_client_is_told_of_a_new_epoch(tmp_path: Path) -> None:
    """It reports the resync and goes on in the new numbering."""
    with live() as server, Reader(server, tmp_path) as reader:
        server.journal.append([record(number) for number in range(3)])
        wait_for(lambda: len(reader.numbers) == 3)
        server.journal.new_epoch("new-epoch")
        wait_for(lambda: reader.troubles, "the resync")
        wait_for(lambda: server.facts()["subscribers"] == 1, "the next connection")
        server.journal.append([record(99)])
        wait_for(lambda: len(reader.numbers) == 4)

        assert reader.numbers == [1, 2, 3, 1_000_003]
        assert {type(trouble).__name__ for trouble in reader.troubles} == {"Resync"}
