"""The client's connection: a thread with an event loop that connects, resumes, listens and comes back.

Rule 1: the thread only receives; handlers run elsewhere, so a slow handler never costs the connection.
Rule 2: after a close it returns unless the close code says that the key will be refused again.
Rule 3: silence longer than three heartbeats is a broken connection.
Rule 4: the key is sent in the first frame and appears in no log and no error.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from vanta_api.back_fill import Fill, nothing, number_of
from vanta_api.backoff import Backoff, retry_after_s
from vanta_api.client_frames import FrameError
from vanta_api.client_objects import VantaWebSocketMessage, now_ms
from vanta_api.close_codes import CLOSE_CODES, INSUFFICIENT_TIER, INVALID_KEY, NORMAL, REPLACED
from vanta_api.inbox import AuthenticationError, Inbox, Item, Notice, Reconnected
from vanta_api.sequence_tracker import POSITIONS, Cursor, Gap, Tracker
from vanta_api.server_frames import ServerFrame, decode_server_frame
from vanta_api.subscription import Subscription

PING_S: Final = 30.0  # between application pings, which measure the clock offset
SILENCE_S: Final = 75.0  # for a server without heartbeats: two pings and a little more
REPLY_S: Final = 10.0  # until the authentication must have been answered
PROVEN_S: Final = 10.0  # a connection that lived so long ends a series of failures
LARGEST_FRAME: Final = 64 * 1024 * 1024  # bytes
_CODES_OF_ERRORS: Final = {
    "INVALID_API_KEY": INVALID_KEY,
    "INSUFFICIENT_TIER": INSUFFICIENT_TIER,
    "MAX_CONNECTIONS_EXCEEDED": REPLACED,
}
logger = logging.getLogger("VantaWebSocketClient")
_library_logger = logging.getLogger("VantaWebSocketClient.websockets")
_library_logger.setLevel(logging.INFO)  # on DEBUG the library logs every frame, and the first has the key


class _Ended(Exception):
    """The conversation is over. ``code``: the close code, None when the connection just broke."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Link:
    """What a connection is made of: where to, as whom, what for, and who helps."""

    uri: str
    api_key: str | None
    tracker: Tracker
    inbox: Inbox
    subscription: Subscription = field(default_factory=Subscription)
    fill: Fill = nothing
    backoff: Backoff = field(default_factory=Backoff)
    tell: Callable[[str], None] = lambda text: None  # connection events, for people
    is_wanted: bool = True  # subscribed


class Connection:
    """Runs in a daemon thread from ``start`` to ``stop``; its attributes may be read from any thread."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._thread = threading.Thread(target=self._run, name="vanta-client", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._hint_s: float | None = None
        self._told_code: int | None = None  # what an error frame said before the close
        self._closed_with: int | None = None
        self._lost_at: float | None = None
        self._attempts = 0
        self._silence_s = SILENCE_S
        self.websocket: ClientConnection | None = None
        self.is_connected = False
        self.has_heartbeats = False
        self.heard_at = time.monotonic()
        self.clock_offset_ms = 0.0  # how far this machine's clock is ahead of the server's
        self.pongs = 0
        self.received = 0

    # --- from any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Close the connection and wait for the thread (unless it is the caller's own)."""
        if not self._is_stopping:  # a second cancel would tear the closing handshake
            self._is_stopping = True
            self._call(lambda: self._task.cancel() if self._task else None)
        self._link.inbox.close()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def resubscribe(self, subscription: Subscription | None) -> None:
        """Change what is asked for, now and after every reconnect; None: nothing."""

        def change() -> None:
            link = self._link
            is_other = subscription != link.subscription
            link.is_wanted = subscription is not None
            if subscription is None:
                link.tracker.pause()
            else:
                link.subscription = subscription
                link.tracker.is_filtered = subscription.is_filtered
            if self.is_connected:
                link.tracker.is_rebasing |= is_other  # what the old filter withheld was not lost
                self._send(self._subscription_frame())

        if not self._call(change):
            change()

    async def ping(self) -> bool:
        """Send an application ping from any event loop; False when not connected."""
        loop = self._loop
        if not self.is_connected or loop is None or loop.is_closed():
            return False
        future = asyncio.run_coroutine_threadsafe(self._ping(), loop)
        return await asyncio.wrap_future(future)

    def _call(self, action: Callable[[], object]) -> bool:
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(action)
        except RuntimeError:  # the loop has just been closed
            return False
        return True

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._come_and_go())
        except asyncio.CancelledError:
            logger.debug("stopped")
        finally:
            self.is_connected = False
            self._link.inbox.close()

    async def _come_and_go(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        while not self._is_stopping:
            self._hint_s, began = None, time.monotonic()
            self._attempts += 1
            try:
                await self._converse()
            except (_Ended, OSError, InvalidHandshake, FrameError, ConnectionClosed) as fault:
                code, text = self._ending(fault)
            finally:
                self._disconnected()
            if time.monotonic() - began > PROVEN_S:
                self._link.backoff.reset()
            delay = self._link.backoff.delay(code, self._hint_s)
            if delay is None:
                self._link.tell(f"refused: {text}")
                self._put(AuthenticationError(text, code or INVALID_KEY))
                return
            self._link.tell(f"connection lost ({text}); next try in {delay:.1f} s")
            await asyncio.sleep(delay)

    def _disconnected(self) -> None:
        if self.is_connected:
            self._lost_at = time.monotonic()
        self.is_connected, self.websocket = False, None

    def _ending(self, fault: Exception) -> tuple[int | None, str]:
        """Close code and words for what ended the conversation; takes over a hint to wait."""
        code: int | None = None
        text = str(fault) or type(fault).__name__
        if isinstance(fault, _Ended):
            code = fault.code
        elif isinstance(fault, ConnectionClosed):
            code = fault.rcvd.code if fault.rcvd is not None else None
            row = CLOSE_CODES.get(code or 0)
            text = f"{code} {row.name}: {row.meaning}" if row else f"closed with {code}"
        elif isinstance(fault, InvalidStatus):
            self._hint_s = retry_after_s(fault.response.headers.get("Retry-After"))
        if code in (None, NORMAL) and self._told_code is not None:
            code = self._told_code  # an older server says why in a frame and closes with 1000
        self._told_code, self._closed_with = None, code
        return code, text

    # --- one conversation -----------------------------------------------------------------------------

    async def _converse(self) -> None:
        link = self._link
        async with connect(
            link.uri,
            max_size=LARGEST_FRAME,
            open_timeout=REPLY_S,
            close_timeout=2,
            ping_interval=20,
            logger=_library_logger,
        ) as websocket:
            self.websocket = websocket
            await self._authenticate(websocket)
            self._connected()
            if link.is_wanted:
                await websocket.send(self._subscription_frame())
            pinging = asyncio.create_task(self._keep_pinging())
            try:
                while True:  # until cancelled: leaving by the flag would be cancelled while closing
                    await self._take(await self._next(websocket, self._silence_s))
                    await link.inbox.wait_for_room()
                    self.heard_at = time.monotonic()
            finally:
                pinging.cancel()

    async def _authenticate(self, websocket: ClientConnection) -> None:
        tracker = self._link.tracker
        frame: dict[str, Any] = {"api_key": self._link.api_key, "last_sequence": tracker.last}
        if tracker.epoch is not None:
            frame["epoch"] = tracker.epoch
        await websocket.send(json.dumps(frame))
        reply = await self._next(websocket, REPLY_S)
        if reply.status != "success":
            raise await self._refused(websocket, reply)
        self.has_heartbeats = reply.heartbeat_ms is not None
        self._silence_s = max(3 * reply.heartbeat_ms / 1000, 1.0) if reply.heartbeat_ms else SILENCE_S
        if POSITIONS not in self._link.subscription.streams:
            tracker.is_rebasing = True
        verdict = tracker.welcome(reply, self._link.subscription.other_streams)
        self._link.tell(f"connected to {self._link.uri}, sequence {reply.current_sequence}")
        if isinstance(verdict, Gap):
            await self._bridge(verdict)
        else:
            self._link.inbox.put(Item(tracker.cursor, notice=verdict))

    async def _refused(self, websocket: ClientConnection, reply: ServerFrame) -> _Ended:
        """The server said no: find out whether for good."""
        message = reply.message or "authentication failed"
        if reply.retry_after_ms is not None:
            self._hint_s = reply.retry_after_ms / 1000
        try:
            async with asyncio.timeout(2):
                await websocket.wait_closed()
        except TimeoutError:
            logger.debug("the server left the connection open")
        code = websocket.close_code if websocket.close_code in CLOSE_CODES else None
        if code in (None, NORMAL):  # a server without close codes
            is_final = message.startswith(("Invalid API key", "Authentication required"))
            code = _CODES_OF_ERRORS.get(reply.code or "", INVALID_KEY if is_final else None)
        return _Ended(code, message)

    def _connected(self) -> None:
        self.is_connected = True
        if self._lost_at is not None:
            down_s = time.monotonic() - self._lost_at
            self._put(Reconnected(self._attempts, down_s, self._closed_with))
        self._attempts = 0

    async def _next(self, websocket: ClientConnection, patience_s: float) -> ServerFrame:
        try:
            async with asyncio.timeout(patience_s):  # wait_for of Python 3.11 may swallow a cancel
                raw = await websocket.recv()
        except TimeoutError:
            raise _Ended(None, f"nothing came for {patience_s:.0f} s") from None
        self.heard_at = time.monotonic()
        return decode_server_frame(raw)

    # --- frames ---------------------------------------------------------------------------------------

    async def _take(self, frame: ServerFrame) -> None:
        if frame.is_data:
            await self._entry(frame)
        elif frame.type == "batch":
            for inner in frame.messages:
                if inner.is_data:
                    await self._entry(inner)
        elif frame.type == "heartbeat":
            await self._heartbeat(frame)
        elif frame.type == "pong":
            self._measure(frame)
        elif frame.type == "resync_required":
            self._put(self._link.tracker.notice(frame))
        elif frame.type == "server_shutdown":
            self._hint_s = ((frame.in_ms or 0) + (frame.reconnect_after_ms or 0)) / 1000
        elif frame.status == "error":
            self._complaint(frame)

    async def _entry(self, frame: ServerFrame) -> None:
        tracker = self._link.tracker
        before = tracker.cursor
        verdict = tracker.data(frame)
        if verdict == "repeat":
            return
        if isinstance(verdict, Gap):
            await self._bridge(verdict, before)
        self._deliver(frame, tracker.cursor)

    async def _heartbeat(self, frame: ServerFrame) -> None:
        tracker = self._link.tracker
        if not self._link.is_wanted or POSITIONS not in self._link.subscription.streams:
            return
        before = tracker.cursor
        gap = tracker.heartbeat(frame)
        if gap is not None:
            await self._bridge(gap, before)
        elif tracker.last != before.sequence:
            self._link.inbox.put(Item(tracker.cursor))

    async def _bridge(self, gap: Gap, before: Cursor | None = None) -> None:
        """Deliver the lost entries from REST, then say what was lost."""
        epoch = self._link.tracker.epoch
        filled = await asyncio.to_thread(self._link.fill, gap, epoch)
        base = before or self._link.tracker.cursor
        for frame in filled.frames:
            base = _at(base, gap.stream, number_of(frame))
            self._deliver(frame, base)
        if filled.is_complete and not filled.frames:
            return  # nothing was there for us: the numbers were another key's to see
        done = _at(base, gap.stream, gap.last)
        self._link.inbox.put(
            Item(done, notice=Gap(gap.first, gap.last, gap.stream, filled=filled.is_complete))
        )

    def _deliver(self, frame: ServerFrame, cursor: Cursor) -> None:
        self.received += 1
        raw: dict[str, Any] = {"sequence": frame.sequence, "timestamp": frame.timestamp}
        if frame.sequence is None:
            raw = {"stream": frame.stream, "sequence": frame.stream_sequence, "timestamp": frame.timestamp}
        raw["data"] = msgspec.json.decode(frame.data)
        try:
            message = VantaWebSocketMessage(raw, self.clock_offset_ms)
        except ValueError as fault:
            logger.error("entry %s is not readable: %s", raw["sequence"], fault)
            self._link.inbox.put(Item(cursor))
            return
        is_wanted = self._link.subscription.admits(message.data)
        self._link.inbox.put(Item(cursor, message=message if is_wanted else None))

    def _complaint(self, frame: ServerFrame) -> None:
        logger.warning("server: %s (%s)", frame.message, frame.code)
        self._told_code = _CODES_OF_ERRORS.get(frame.code or "")
        if frame.retry_after_ms is not None:
            self._hint_s = frame.retry_after_ms / 1000

    def _measure(self, frame: ServerFrame) -> None:
        self.pongs += 1
        if frame.client_timestamp is not None and frame.server_timestamp is not None:
            middle = (frame.client_timestamp + now_ms()) / 2
            self.clock_offset_ms = middle - frame.server_timestamp

    def _put(self, notice: Notice | None) -> None:
        if notice is not None:
            self._link.inbox.put(Item(self._link.tracker.cursor, notice=notice))

    # --- sending --------------------------------------------------------------------------------------

    def _subscription_frame(self) -> str:
        if not self._link.is_wanted:
            return '{"type":"unsubscribe","all":true}'
        return self._link.subscription.frame(now_ms(), self._link.tracker.streams)

    def _send(self, text: str) -> None:
        if self.websocket is not None:
            task = asyncio.ensure_future(self._send_text(text))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _send_text(self, text: str) -> bool:
        if self.websocket is None:
            return False
        try:
            await self.websocket.send(text)
        except ConnectionClosed:
            return False
        return True

    async def _ping(self) -> bool:
        return await self._send_text(json.dumps({"type": "ping", "timestamp": now_ms()}))

    async def _keep_pinging(self) -> None:
        while await self._ping():
            await asyncio.sleep(PING_S)


def _at(cursor: Cursor, stream: str, number: int) -> Cursor:
    if stream == POSITIONS:
        return msgspec.structs.replace(cursor, sequence=number)
    return msgspec.structs.replace(cursor, streams={**cursor.streams, stream: number})
