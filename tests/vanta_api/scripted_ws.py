"""A real WebSocket server on a free port that speaks the protocol and misbehaves when told to."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.vanta_api.scripted_http import Reply, Request
from vanta_api import messages
from vanta_api.messages import Subscribe

_logger = logging.getLogger("scripted_ws")
_logger.setLevel(logging.WARNING)  # the library logs frames on DEBUG, and this side is not what is tested
KEY = "canary-key-0123456789"


def body(number: int, hotkey: str = "hk", pair: str = "BTCUSD") -> bytes:
    """The body of a ``positions`` entry that can be told from the others."""
    order = {
        "order_type": "LONG",
        "price": 1.0,
        "processed_ms": 1,
        "order_uuid": f"o{number}",
        "bid": 99.0,
        "ask": 101.0,
    }
    position = {
        "miner_hotkey": hotkey,
        "position_uuid": f"p{number}",
        "open_ms": 1,
        "trade_pair": [pair, f"{pair[:3]}/{pair[3:]}", 0.003, 0.01, 0.5],
        "orders": [order],
        "close_ms": None,
        "is_closed_position": False,
    }
    return json.dumps({"position": position, "miner_repo_version": "9.9.9", "repo_version": "9.9.9"}).encode()


@dataclass(eq=False)
class Peer:
    """One client's connection; ``sent`` is the last number it was sent."""

    connection: ServerConnection
    wanted: Subscribe | None = None
    sent: int = 0
    has_begun: bool = False
    number: int = 0  # of its authentication


@dataclass
class ScriptedWs:
    """Entries are numbered from ``first``; ``lost`` are never sent live; ``refusal`` answers every key."""

    epoch: str | None = "e1"
    first: int = 1
    heartbeat_ms: int | None = 60_000
    entries: list[bytes] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    refusal: tuple[bytes | None, int] | None = None
    auths: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    auto_heartbeat_s: float | None = None

    def __post_init__(self) -> None:
        self._server = serve(self._handle, "127.0.0.1", 0, logger=_logger)
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def head(self) -> int:
        return self.first + len(self.entries) - 1

    def at(self, number: int) -> bytes:
        return messages.data_frame(number, 1_000 + number, self.entries[number - self.first])

    def append(self, count: int = 1, **fields: Any) -> int:
        """Make entries durable and send them live; returns the last number."""
        with self.lock:
            for _ in range(count):
                self.entries.append(body(self.head + 1, **fields))
                self._fan_out(self.head)
            return self.head

    def beat(self) -> None:
        with self.lock:
            self.say(messages.heartbeat(self.head, self.epoch or "", 1))

    def say(self, frame: bytes) -> None:
        """Send one frame to everybody."""
        with self.lock:
            for peer in list(self.peers):
                with suppress(ConnectionClosed):
                    peer.connection.send(frame.decode())

    def close_all(self, code: int, frame: bytes | None = None) -> None:
        with self.lock:
            peers, self.peers = self.peers, []
        for peer in peers:
            with suppress(ConnectionClosed):
                if frame is not None:
                    peer.connection.send(frame.decode())
                peer.connection.close(code)

    def break_all(self) -> None:
        """Cut the sockets without a close frame."""
        with self.lock:
            peers, self.peers = self.peers, []
        for peer in peers:
            peer.connection.socket.shutdown(2)

    def events(self, request: Request) -> Reply:
        """``/v1/events`` of the same entries, two a page."""
        query = dict(part.split("=") for part in request.path.partition("?")[2].split("&"))
        after = int(query["after"])
        numbers = [n for n in range(after + 1, self.head + 1) if n >= self.first][:2]
        last = numbers[-1] if numbers else after
        return Reply(
            body={
                "events": [json.loads(self.at(number)) for number in numbers],
                "epoch": self.epoch,
                "stream": "positions",
                "after": after,
                "last": last,
                "head": self.head,
                "oldest": self.first,
                "has_more": last < self.head,
            }
        )

    def stop(self) -> None:
        self._server.shutdown()
        self.close_all(1001)
        self._thread.join(5)

    # --- one connection -----------------------------------------------------------------------------

    def _handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed, TimeoutError):
            auth = json.loads(connection.recv(timeout=5))
            self.auths.append(auth)
            if self.refusal is not None:
                frame, code = self.refusal
                if frame is not None:
                    connection.send(frame.decode())
                connection.close(code)
                return
            peer = Peer(connection, number=len(self.auths))
            with self.lock:
                start = self._welcome(connection, auth)
                self.peers.append(peer)
            try:
                self._listen(peer, start)
            finally:
                with self.lock:
                    self.peers = [other for other in self.peers if other is not peer]

    def _welcome(self, connection: ServerConnection, auth: dict[str, Any]) -> int:
        last = auth.get("last_sequence", -1)
        if self.epoch is None:  # Vanta's own server
            reply = {"status": "success", "message": "ok", "current_sequence": self.head, "tier": 100}
            connection.send(json.dumps(reply))
            return self.head
        reason: Any = None
        if last >= 0:
            if auth.get("epoch") not in (None, self.epoch):
                reason = "epoch_changed"
            elif last > self.head:
                reason = "future_sequence"
            elif 0 < last < self.first - 1:
                reason = "trimmed"
        start = self.head if last < 0 or reason else max(last, self.first - 1)
        connection.send(
            messages.auth_reply(
                current_sequence=self.head,
                tier=100,
                epoch=self.epoch,
                oldest_sequence=self.first,
                recovered=reason is None,
                reason=reason,
                heartbeat_ms=self.heartbeat_ms or 60_000,
                snapshot_url="/validator-checkpoint" if reason else None,
            ).decode()
        )
        return start

    def _listen(self, peer: Peer, start: int) -> None:
        while True:
            try:
                raw = peer.connection.recv(timeout=self.auto_heartbeat_s)
            except TimeoutError:
                peer.connection.send(messages.heartbeat(self.head, self.epoch or "", 1).decode())
                continue
            request = messages.decode_request(raw)
            self.requests.append(request)
            if isinstance(request, messages.Ping):
                peer.connection.send(messages.pong(request.timestamp, time.time_ns() // 1_000_000).decode())
                continue
            with self.lock:
                peer.connection.send(messages.subscription_status(request, 1).decode())
                is_first = isinstance(request, Subscribe) and not peer.has_begun
                peer.wanted = request if isinstance(request, Subscribe) else None
                if is_first:
                    peer.has_begun = True
                    self._replay(peer, start)

    def _replay(self, peer: Peer, after: int) -> None:
        peer.sent = after
        numbers = range(after + 1, self.head + 1)
        frames = [self.at(number) for number in numbers if number not in self.lost]
        if frames:
            peer.connection.send(messages.batch_frame(frames).decode())
            peer.sent = self.head

    def _fan_out(self, number: int) -> None:
        for peer in list(self.peers):
            if peer.wanted is None:
                continue
            hotkey = json.loads(self.entries[number - self.first])["position"]["miner_hotkey"]
            frame = self.at(number)
            if peer.wanted.is_filtered:
                if peer.wanted.hotkeys and hotkey not in peer.wanted.hotkeys:
                    continue
                entry = self.entries[number - self.first]
                frame = messages.filtered_frame(number, 1_000 + number, entry, peer.sent)
            peer.sent = number
            if number in self.lost:  # sent, as far as the server knows
                continue
            with suppress(ConnectionClosed):
                peer.connection.send(frame.decode())


@contextmanager
def scripted_ws(**fields: Any) -> Iterator[ScriptedWs]:
    server = ScriptedWs(**fields)
    try:
        yield server
    finally:
        server.stop()


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Poll for a truthy value; fails naming ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} s: {what}")
