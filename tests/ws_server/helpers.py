"""What the WebSocket tests share: keys, entries and readable frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from journal.entry import POSITIONS, Draft, Entry, Epoch
from runtime.api_keys import ApiKey, digest_of
from runtime.settings import WebSocketSettings
from ws_server.actions import Action, Close, Send
from ws_server.resume import Horizon

EPOCH = Epoch(id="epoch-1", first={POSITIONS: 1}, created_ms=0)


def api_key(secret: str = "good", tier: int = 100, **facts: Any) -> ApiKey:
    """The key that ``secret`` opens."""
    return ApiKey(id=digest_of(secret).hex()[:8], user=secret, tier=tier, **facts)


class Keys:
    """A key table that a test can change: ``{secret: ApiKey}``."""

    def __init__(self, keys: Iterable[tuple[str, ApiKey]] = (("good", api_key()),)) -> None:
        self.keys = dict(keys)

    def find(self, secret: str) -> ApiKey | None:
        return self.keys.get(secret)

    def get(self, key_id: str) -> ApiKey | None:
        return next((key for key in self.keys.values() if key.id == key_id), None)


def settings(**changes: Any) -> WebSocketSettings:
    """The server's defaults with changes."""
    return msgspec.structs.replace(WebSocketSettings(), **changes)


def horizon(
    position: int = 10, oldest: int = 1, epoch: Epoch = EPOCH, durable: int | None = None, **streams: int
) -> Horizon:
    """A server that has sent ``position`` and keeps ``oldest`` and later."""
    positions = {POSITIONS: position, **streams}
    return Horizon(epoch, positions, {POSITIONS: oldest}, lambda _: position if durable is None else durable)


def body(
    number: int, hotkey: str = "hk", pair: str = "BTCUSD", venue: str | None = "o2", pad: int = 0
) -> bytes:
    """A ``positions`` body that says which it is."""
    return msgspec.json.encode(
        {
            "position": {
                "miner_hotkey": hotkey,
                "position_uuid": f"p{number}",
                "trade_pair": [pair, pair, 0.001, 0.01, 0.5],
                "orders": [],
                "venue": None if venue is None else {"name": venue},
                "pad": "x" * pad,
            }
        }
    )


def draft(number: int, hotkey: str = "hk", stream: str = POSITIONS, **facts: Any) -> Draft:
    """A draft whose key nobody else uses."""
    return Draft(stream, f"{hotkey}|p{number}", body(number, hotkey, **facts))


def entry(sequence: int, hotkey: str = "hk", stream: str = POSITIONS, **facts: Any) -> Entry:
    """An entry as a reader gets it."""
    return Entry(
        stream,
        sequence,
        f"{hotkey}|p{sequence}",
        b"\0" * 16,
        1000 + sequence,
        body(sequence, hotkey, **facts),
    )


def sent(actions: Iterable[Action]) -> list[dict[str, Any]]:
    """The frames among the actions, decoded."""
    return [msgspec.json.decode(action.payload) for action in actions if isinstance(action, Send)]


def close_code(actions: Iterable[Action]) -> int | None:
    """The close code that the actions end with."""
    codes = [action.code for action in actions if isinstance(action, Close)]
    assert len(codes) <= 1
    return codes[0] if codes else None


def sequences(frames: Iterable[Mapping[str, Any]]) -> list[int]:
    """Every ``sequence`` in the frames, batches opened, in order."""
    found: list[int] = []
    for frame in frames:
        if "sequence" in frame:
            found.append(frame["sequence"])
        for inner in frame.get("messages", ()):
            found.append(inner["sequence"])
    return found
