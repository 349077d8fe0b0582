"""The WebSocket client against a real server that loses, repeats, breaks off and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vanta_api.scripted_http import ScriptedHttp, scripted_http
from tests.vanta_api.scripted_ws import KEY, ScriptedWs, scripted_ws, until
from vanta_api import messages
from vanta_api.messages import Ping, Subscribe, Unsubscribe
from vanta_api.websocket_client import (
    AuthenticationError,
    Gap,
    Reconnected,
    Resync,
    StaleError,
    VantaWebSocketClient,
    VantaWebSocketMessage,
)

Messages = list[VantaWebSocketMessage]


@pytest.fixture
def server() -> Iterator[ScriptedWs]:
    with scripted_ws() as running:
        yield running


@pytest.fixture
def rest(server: ScriptedWs) -> Iterator[ScriptedHttp]:
    with scripted_http(server.events) as running:
        yield running


class Running:
    """A client whose ``run`` is in a thread; keeps what it was given."""

    def __init__(self, server: ScriptedWs, state_dir: Path, rest_url: str = "", **options: Any) -> None:
        self.numbers: list[int | None] = []
        self.notices: list[Any] = []
        self.batches: list[Messages] = []
        keep = self.notices.append
        known = {"on_gap": keep, "on_resync": keep, "on_reconnect": keep, **options}
        self.handler: Any = known.pop("handler", None)
        self.client = VantaWebSocketClient(
            KEY, "127.0.0.1", server.port, state_dir=state_dir, rest_url=rest_url, **known
        )
        self.client._initial_backoff = 0.02
        self._thread = threading.Thread(target=self.client.run, args=(self._handle,), daemon=True)

    def _handle(self, given: Messages) -> None:
        if self.handler is not None:
            self.handler(given)
        self.batches.append(given)
        self.numbers.extend(message.sequence for message in given)

    def start(self) -> Running:
        self._thread.start()
        return self

    def until(self, *numbers: int) -> None:
        until(lambda: self.numbers == list(numbers), f"{list(numbers)}, have {self.numbers}")

    def stop(self) -> None:
        self.client.stop()
        self._thread.join(5)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def running(server: ScriptedWs, state_dir: Path, rest_url: str = "", **options: Any) -> Iterator[Running]:
    before = len(server.auths)
    made = Running(server, state_dir, rest_url, **options).start()
    try:
        until(lambda: any(peer.wanted and peer.number > before for peer in server.peers), "subscribed")
        yield made
    finally:
        made.stop()


def _processed(made: Running, count: int) -> None:
    until(lambda: made.client.messages_processed >= count, f"{count} messages processed")


def saved(state_dir: Path) -> dict[str, Any]:
    (path,) = state_dir.glob("vanta_client_*.json")
    return dict(json.loads(path.read_bytes()))


# --- delivering -----------------------------------------------------------------------------------


def test_a_handler_gets_lists_of_messages(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        server.append(3)
        made.until(1, 2, 3)

    message = made.batches[0][0]
    assert message.position.position_uuid == "p1"
    assert message.new_order.trade_pair == "BTCUSD"
    assert message.timestamp == 1001
    assert message.repo_version == "9.9.9"
    assert made.client.messages_processed == made.client.last_sequence == 3


def test_an_async_handler_and_its_background_tasks_run(server: ScriptedWs, tmp_path: Path) -> None:
    """The loop keeps running between batches."""
    seen: list[str] = []

    async def background(number: int | None) -> None:
        await asyncio.sleep(0)
        seen.append(f"background {number}")

    tasks: list[asyncio.Task[None]] = []

    async def handler(given: Messages) -> None:
        tasks.extend(asyncio.ensure_future(background(message.sequence)) for message in given)

    client = VantaWebSocketClient(KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="", start_at=0)
    thread = threading.Thread(target=client.run, args=(handler,))
    server.append(2)
    thread.start()
    until(lambda: seen == ["background 1", "background 2"], "background tasks")
    client.stop()
    thread.join(5)

    assert not thread.is_alive()


def test_live_only_by_default_and_everything_on_request(server: ScriptedWs, tmp_path: Path) -> None:
    server.append(2)
    with (
        running(server, tmp_path / "live") as live,
        running(server, tmp_path / "all", start_at=0) as everything,
    ):
        until(lambda: sum(bool(peer.wanted) for peer in server.peers) == 2, "both subscribed")
        server.append()
        live.until(3)
        everything.until(1, 2, 3)


def test_a_repeated_entry_is_delivered_once(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        server.append(2)
        server.say(server.at(1))
        server.say(messages.batch_frame([server.at(1), server.at(2)]))
        server.append()
        made.until(1, 2, 3)

    assert made.notices == []


def test_it_goes_on_from_where_it_was_after_a_restart(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as first:
        server.append(2)
        first.until(1, 2)
    server.append(2)
    with running(server, tmp_path) as second:
        server.append()
        second.until(3, 4, 5)

    assert server.auths[1] == {"api_key": KEY, "last_sequence": 2, "epoch": "e1"}
    assert second.notices == []


def test_a_client_that_saw_nothing_goes_on_from_where_it_connected(
    server: ScriptedWs, tmp_path: Path
) -> None:
    server.append(4)
    with running(server, tmp_path):
        until(lambda: list(tmp_path.glob("vanta_client_*.json")), "a saved cursor")
    server.append()
    with running(server, tmp_path) as second:
        second.until(5)


def test_it_goes_on_after_a_broken_connection(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        server.append(2)
        made.until(1, 2)
        server.break_all()
        server.append(2)
        made.until(1, 2, 3, 4)

    (notice,) = made.notices
    assert isinstance(notice, Reconnected)
    assert notice.attempts >= 1
    assert notice.close_code is None


def test_two_names_of_one_key_have_cursors_of_their_own(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path, name="a", start_at=0) as a:
        server.append()
        a.until(1)
    with running(server, tmp_path, name="b", start_at=0) as b:
        b.until(1)


def test_the_key_is_in_no_file_name_and_no_file(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        server.append()
        made.until(1)

    (path,) = tmp_path.iterdir()
    assert KEY not in path.name
    assert KEY not in path.read_text()
    assert saved(tmp_path) == {"epoch": "e1", "sequence": 1, "streams": {}}


# --- the cursor follows the handler ---------------------------------------------------------------


def test_what_a_handler_failed_on_comes_again_after_a_restart(
    server: ScriptedWs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_on_two(given: Messages) -> None:
        if any(message.sequence == 2 for message in given):
            raise RuntimeError("no two, please")

    with running(server, tmp_path, handler=fail_on_two) as first:
        for number in (1, 2, 3):
            server.append()
            _processed(first, number)
    with running(server, tmp_path) as second:
        second.until(2, 3)

    assert first.numbers == [1, 3]
    assert "no two, please" in caplog.text


def test_a_message_being_handled_is_not_saved_yet(server: ScriptedWs, tmp_path: Path) -> None:
    inside, may_go = threading.Event(), threading.Event()

    def slow(given: Messages) -> None:
        inside.set()
        assert may_go.wait(5)

    with running(server, tmp_path, handler=slow):
        until(lambda: list(tmp_path.glob("vanta_client_*.json")), "a saved cursor")
        server.append()
        assert inside.wait(5)
        assert saved(tmp_path)["sequence"] == 0
        may_go.set()

    assert saved(tmp_path)["sequence"] == 1


def test_a_slow_handler_does_not_cost_the_connection(server: ScriptedWs, tmp_path: Path) -> None:
    """Pings are answered and frames are read while the handler is busy."""
    may_go = threading.Event()

    with running(server, tmp_path, handler=lambda _: may_go.wait(5)) as made:
        server.append(50)
        until(lambda: made.client.messages_received == 50, "read behind the handler's back")
        assert made.numbers == []
        may_go.set()
        made.until(*range(1, 51))


# --- losses ---------------------------------------------------------------------------------------


def test_a_gap_is_filled_over_rest_in_order(server: ScriptedWs, rest: ScriptedHttp, tmp_path: Path) -> None:
    server.lost = {3, 4, 5, 6, 7}
    with running(server, tmp_path, rest.url) as made:
        server.append(9)
        made.until(*range(1, 10))

    assert made.notices == [Gap(3, 7, filled=True)]
    assert saved(tmp_path)["sequence"] == 9
    assert rest.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert all(KEY not in request.path for request in rest.requests)


def test_a_gap_that_nobody_can_fill_is_told_and_the_stream_goes_on(
    server: ScriptedWs, tmp_path: Path
) -> None:
    server.lost = {2, 3}
    with running(server, tmp_path) as made:
        server.append(4)
        made.until(1, 4)

    assert made.notices == [Gap(2, 3, filled=False)]


def test_a_gap_is_filled_as_far_as_rest_has_it(
    server: ScriptedWs, rest: ScriptedHttp, tmp_path: Path
) -> None:
    """The oldest lost entries are no longer kept."""
    server.lost = {2, 3}
    full = server.events

    def trimmed(request: Any) -> Any:
        reply = full(request)
        reply.body["epoch"] = "another"
        return reply

    rest.route = trimmed
    with running(server, tmp_path, rest.url) as made:
        server.append(4)
        made.until(1, 4)

    assert made.notices == [Gap(2, 3, filled=False)]


def test_a_lost_end_is_found_by_two_heartbeats(
    server: ScriptedWs, rest: ScriptedHttp, tmp_path: Path
) -> None:
    server.lost = {3, 4}
    with running(server, tmp_path, rest.url) as made:
        server.append(4)
        made.until(1, 2)
        server.beat()
        server.beat()
        made.until(1, 2, 3, 4)
        until(lambda: made.notices == [Gap(3, 4, filled=True)], "the gap is told")


def test_heartbeats_without_loss_say_nothing(server: ScriptedWs, rest: ScriptedHttp, tmp_path: Path) -> None:
    with running(server, tmp_path, rest.url) as made:
        for _ in range(3):
            server.beat()
            server.append()
            server.beat()
        made.until(1, 2, 3)

    assert made.notices == []
    assert rest.requests == []


@pytest.mark.parametrize(
    ("before", "change", "reason"),
    [
        (4, {"epoch": "e2", "first": 1_000_000}, "epoch_changed"),
        (4, {"first": 9}, "trimmed"),
        (4, {"entries": []}, "future_sequence"),
    ],
)
def test_a_stream_that_cannot_go_on_says_why(
    server: ScriptedWs, tmp_path: Path, before: int, change: dict[str, Any], reason: str
) -> None:
    with running(server, tmp_path) as first:
        server.append(before)
        first.until(*range(1, before + 1))
    for name, value in change.items():
        setattr(server, name, value)
    head = server.head
    with running(server, tmp_path) as second:
        number = server.append()
        second.until(number)

    (notice,) = second.notices
    assert notice == Resync(reason, before, head, server.epoch, "/validator-checkpoint")
    assert saved(tmp_path) == {"epoch": server.epoch, "sequence": number, "streams": {}}


def test_a_server_that_replays_nothing_is_asked_over_rest(tmp_path: Path) -> None:
    """Vanta's own server ignores last_sequence; what it skipped is a gap, not silence."""
    with scripted_ws(epoch=None) as server, scripted_http(server.events) as rest:
        with running(server, tmp_path, rest.url) as first:
            server.append(2)
            first.until(1, 2)
        server.append(2)
        with running(server, tmp_path, rest.url) as second:
            server.append()
            second.until(3, 4, 5)

    assert second.notices == [Gap(3, 4, filled=True)]


# --- closes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (messages.invalid_key(), 4003),
        (messages.insufficient_tier(), 4004),
        ((messages.error("Invalid API key. Authentication failed."), 1000), 4003),
        ((messages.error(messages.INSUFFICIENT_TIER_TEXT, "INSUFFICIENT_TIER"), 1000), 4004),
    ],
)
def test_a_refused_key_ends_the_run(
    server: ScriptedWs,
    tmp_path: Path,
    refusal: tuple[bytes, int],
    code: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.refusal = refusal
    client = VantaWebSocketClient(KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="")

    client.run(lambda _: None)

    assert isinstance(client.refusal, AuthenticationError)
    assert client.refusal.code == code
    assert len(server.auths) == 1
    assert KEY not in caplog.text


def test_a_revoked_key_ends_the_iteration_with_an_error(server: ScriptedWs, tmp_path: Path) -> None:
    client = VantaWebSocketClient(KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="", start_at=0)
    server.append()
    seen = []

    def consume() -> None:
        for message in client:
            seen.append(message.sequence)
            server.close_all(4005)

    with pytest.raises(AuthenticationError, match="key_revoked"):
        consume()

    assert seen == [1]
    assert len(server.auths) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1013, 4001, 4002, 4006, 4008, 4009, 4010])
def test_it_comes_back_after_any_other_close(server: ScriptedWs, tmp_path: Path, code: int) -> None:
    with running(server, tmp_path) as made:
        server.append()
        made.until(1)
        server.close_all(code)
        server.append()
        made.until(1, 2)

    assert [notice.close_code for notice in made.notices] == [code]


def test_a_planned_restart_says_when_to_come_back(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        server.close_all(1012, messages.server_shutdown(100, 300, 0))
        until(lambda: made.notices, "reconnected")

    (notice,) = made.notices
    assert notice.close_code == 1012
    assert notice.down_s >= 0.4


def test_an_eviction_by_an_older_server_backs_off_too(server: ScriptedWs, tmp_path: Path) -> None:
    """It closes with 1000 after an error frame."""
    with running(server, tmp_path) as made:
        server.close_all(1000, messages.replaced()[0])
        until(lambda: made.notices, "reconnected")

    assert made.notices[0].close_code == 4006


def test_a_server_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    with scripted_ws() as gone:
        port = gone.port
    client = VantaWebSocketClient(KEY, "127.0.0.1", port, state_dir=tmp_path, rest_url="")
    client._initial_backoff = 0.01
    thread = threading.Thread(target=client.run, args=(lambda _: None,))
    thread.start()
    until(lambda: client._connection is not None and client._connection._attempts >= 3, "three attempts")
    client.stop()
    thread.join(5)

    assert not thread.is_alive()
    assert client.refusal is None


# --- silence --------------------------------------------------------------------------------------


def test_silence_is_an_error_for_an_iterator_that_may_go_on(server: ScriptedWs, tmp_path: Path) -> None:
    client = VantaWebSocketClient(
        KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="", stale_after_s=0.2
    )
    with client:
        with pytest.raises(StaleError) as caught:
            next(iter(client))
        until(lambda: any(peer.wanted for peer in server.peers), "subscribed")
        server.append()

        assert next(iter(client)).sequence == 1
    assert 0.2 <= caught.value.seconds < 5


def test_silence_is_told_to_a_running_client(server: ScriptedWs, tmp_path: Path) -> None:
    silences: list[float] = []
    with running(server, tmp_path, stale_after_s=0.1, on_stale=silences.append) as made:
        until(lambda: len(silences) >= 2, "told twice")
        server.append()
        made.until(1)

    assert all(seconds >= 0.1 for seconds in silences)


def test_a_running_client_may_be_ended_by_silence(server: ScriptedWs, tmp_path: Path) -> None:
    client = VantaWebSocketClient(
        KEY,
        "127.0.0.1",
        server.port,
        state_dir=tmp_path,
        rest_url="",
        stale_after_s=0.1,
        raise_when_stale=True,
    )

    with pytest.raises(StaleError):
        client.run(lambda _: None)


def test_heartbeats_are_no_silence(tmp_path: Path) -> None:
    silences: list[float] = []
    with (
        scripted_ws(auto_heartbeat_s=0.05) as server,
        running(server, tmp_path, stale_after_s=0.5, on_stale=silences.append) as made,
    ):
        until(lambda: made.client._connection and made.client._connection.heard_at, "heard")
        threading.Event().wait(1.0)  # long enough for two silences

    assert silences == []


def test_a_connection_without_heartbeats_is_given_up(tmp_path: Path) -> None:
    """Three heartbeats missed: the connection is broken even if TCP says nothing."""
    with scripted_ws(heartbeat_ms=350) as server, running(server, tmp_path) as made:
        until(lambda: made.notices, "reconnected")

    assert len(server.auths) >= 2


# --- asking ---------------------------------------------------------------------------------------


def test_subscribe_is_legal_before_run_and_takes_filters(server: ScriptedWs, tmp_path: Path) -> None:
    made = Running(server, tmp_path)
    made.client.subscribe(hotkeys=["b", "a"])
    made.start()
    until(lambda: any(peer.wanted for peer in server.peers), "subscribed")
    for hotkey in ("x", "a", "x", "x", "b", "x"):
        server.append(hotkey=hotkey)
    made.until(2, 5)
    server.beat()
    until(lambda: saved(tmp_path)["sequence"] == 6, "the cursor passes what is not wanted")
    made.stop()

    assert made.notices == []
    (asked,) = [request for request in server.requests if isinstance(request, Subscribe)]
    assert (asked.hotkeys, asked.all) == (("a", "b"), True)


def test_a_gap_in_a_filtered_stream_is_filled_with_what_is_wanted(
    server: ScriptedWs, rest: ScriptedHttp, tmp_path: Path
) -> None:
    made = Running(server, tmp_path, rest.url)
    made.client.subscribe(hotkeys=["a"])
    made.start()
    until(lambda: any(peer.wanted for peer in server.peers), "subscribed")
    server.lost = {2}
    for hotkey in ("a", "a", "x", "a"):
        server.append(hotkey=hotkey)
    made.until(1, 2, 4)
    made.stop()

    assert made.notices == [Gap(2, 2, filled=True)]


def test_unsubscribing_pauses_without_a_gap(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        server.append()
        made.until(1)
        made.client.unsubscribe()
        until(lambda: not any(peer.wanted for peer in server.peers), "unsubscribed")
        server.append(3)
        made.client.subscribe()
        until(lambda: any(peer.wanted for peer in server.peers), "subscribed again")
        server.append()
        made.until(1, 5)

    assert any(isinstance(request, Unsubscribe) for request in server.requests)
    assert all(not isinstance(notice, Gap) for notice in made.notices)


def test_pings_measure_the_clock(server: ScriptedWs, tmp_path: Path) -> None:
    with running(server, tmp_path) as made:
        until(lambda: made.client.n_pongs >= 1, "a pong")
        assert asyncio.run(made.client.send_ping())
        until(lambda: made.client.n_pongs >= 2, "another")
        assert abs(made.client.clock_offset_estimate_ms) < 1000
        assert made.client.connected

    assert sum(isinstance(request, Ping) for request in server.requests) >= 2
    assert not made.client.connected
    assert not asyncio.run(made.client.send_ping())


# --- iterators ------------------------------------------------------------------------------------


def test_an_iterator_gives_messages_one_by_one_and_may_be_left(server: ScriptedWs, tmp_path: Path) -> None:
    server.append(4)
    with VantaWebSocketClient(
        KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="", start_at=0
    ) as client:
        first = [message.sequence for _, message in zip(range(2), client, strict=False)]
        second = []
        for message in client:
            second.append(message.sequence)
            if message.sequence == 4:
                break

    assert first + second == [1, 2, 3, 4]
    assert saved(tmp_path)["sequence"] == 3  # 4 was never said to be handled


def test_an_async_iterator_gives_messages(server: ScriptedWs, tmp_path: Path) -> None:
    server.append(2)
    client = VantaWebSocketClient(KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="", start_at=0)
    resyncs: list[Resync] = []

    async def told(resync: Resync) -> None:
        resyncs.append(resync)

    client.on_resync = told

    async def consume() -> list[int | None]:
        seen: list[int | None] = []
        async for message in client:
            seen.append(message.sequence)
            if message.sequence == 2:
                server.epoch = "e2"
                server.close_all(1012)
                until(lambda: len(server.peers) == 1 and server.peers[0].wanted, "back")
                server.append()
            if message.sequence == 3:
                client.stop()
        return seen

    assert asyncio.run(consume()) == [1, 2, 3]
    assert [resync.reason for resync in resyncs] == ["epoch_changed"]


def test_a_handler_may_stop_the_client(server: ScriptedWs, tmp_path: Path) -> None:
    client = VantaWebSocketClient(KEY, "127.0.0.1", server.port, state_dir=tmp_path, rest_url="", start_at=0)
    server.append(3)
    handled: list[int | None] = []

    def handler(given: Messages) -> None:
        handled.extend(message.sequence for message in given)
        client.stop()

    client.run(handler)

    assert saved(tmp_path)["sequence"] == handled[-1]


def test_other_streams_are_told_apart_and_resumed(server: ScriptedWs, tmp_path: Path) -> None:
    order = json.dumps(
        {"order": {"miner_hotkey": "hk", "trade_pair": ["BTCUSD", "BTC/USD", 0, 0, 1], "src": 5}}
    )
    made = Running(server, tmp_path)
    made.client.subscribe(streams=["positions", "orders"])
    made.start()
    until(lambda: any(peer.wanted for peer in server.peers), "subscribed")
    server.say(messages.stream_frame("orders", 7, 1, order.encode()))
    server.say(messages.stream_frame("orders", 9, 1, order.encode()))
    until(lambda: len(made.batches) and made.numbers[-1] == 9, "orders")
    made.stop()

    message = made.batches[0][0]
    assert (message.stream, message.sequence, message.position) == ("orders", 7, None)
    assert (message.new_order.trade_pair, message.new_order.src) == ("BTCUSD", 5)
    assert made.notices == [Gap(8, 8, "orders", filled=False)]
    assert saved(tmp_path)["streams"] == {"orders": 9}
    again = Running(server, tmp_path)
    again.client.subscribe(streams=["orders"])
    again.start()
    until(lambda: sum(isinstance(request, Subscribe) for request in server.requests) == 2, "subscribed again")
    again.stop()

    assert [r.cursors for r in server.requests if isinstance(r, Subscribe)] == [None, {"orders": 9}]
