"""A subscriber's link without a socket, whose client reads as fast as the test says."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.ws_server.raw import TEXT, split


class FakeLink:
    """Keeps what was written. ``waiting`` grows only when ``is_slow``; ``drain`` lets the client read."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        self.is_open = True
        self.waiting = 0
        self.writes: list[bytes] = []

    def write(self, frames: bytes) -> int:
        if not self.is_open:
            return -1
        self.writes.append(frames)
        if self.is_slow:
            self.waiting += len(frames)
        return self.waiting

    def drain(self) -> None:
        self.waiting = 0

    @property
    def frames(self) -> list[dict[str, Any]]:
        """Everything written, decoded."""
        found = split(bytearray(b"".join(self.writes)))
        assert all(frame.opcode == TEXT and frame.bits == 0x80 for frame in found)
        return [msgspec.json.decode(frame.payload) for frame in found]

    @property
    def sequences(self) -> list[int]:
        """Every ``sequence`` written, batches opened."""
        found: list[int] = []
        for frame in self.frames:
            found.extend(inner["sequence"] for inner in frame.get("messages", [frame]))
        return found
