"""The server on a real port with real clients: the stream, resuming, filters, heartbeats, HTTP."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from websockets.sync.client import connect

from journal.entry import ORDERS, POSITIONS
from journal.memory import MemoryJournal
from tests.ws_server.helpers import Keys, api_key, draft
from tests.ws_server.live import Live, live, wait_for
from tests.ws_server.raw import CLOSE, PING, RawClient, close_frame

ALL = {"all": True}


def test_a_subscriber_of_the_whole_history_flows_into_live() -> None:
    """1, 2, 3, ... from before its connection to after it."""
    with live() as server:
        server.append(250)
        server.caught_up()
        client = server.client(subscribe=ALL, last_sequence=0)
        server.append(50)

        assert client.hear_sequences(300) == list(range(1, 301))


def test_the_published_way_to_connect_works() -> None:
    """-1 is live only, any path will do, and the reply is Vanta's."""
    with live() as server:
        server.append(3)
        server.caught_up()
        with connect(f"ws://127.0.0.1:{server.port}/any/path?x=1") as client:
            client.send(json.dumps({"api_key": "good", "last_sequence": -1}))
            welcome = json.loads(client.recv())
            client.send(json.dumps({"type": "subscribe", "all": True}))
            status = json.loads(client.recv())
            server.append(1)
            first = json.loads(client.recv())

    assert (welcome["status"], welcome["current_sequence"], welcome["tier"]) == ("success", 3, 100)
    assert (status["type"], status["action"]) == ("subscription_status", "subscribe")
    assert first["sequence"] == 4
    assert set(first) == {"sequence", "timestamp", "data"}


def test_no_compression_is_negotiated() -> None:
    """Live frames are shared, so no connection may have a compressor of its own."""
    with live() as server, connect(f"ws://127.0.0.1:{server.port}") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


def test_nothing_is_sent_before_subscribe_and_nothing_is_lost() -> None:
    """What happens between the welcome and the subscribe follows it."""
    with live() as server:
        client = server.client()
        server.append(5)
        server.caught_up()
        client.say({"type": "ping", "timestamp": 1})
        assert client.hear()["type"] == "pong"

        client.say({"type": "subscribe", "all": True})

        assert client.hear()["type"] == "subscription_status"
        assert client.hear_sequences(5) == [1, 2, 3, 4, 5]


def test_unsubscribe_stops_the_stream_and_subscribe_goes_on_live() -> None:
    """What a client asked to miss is not sent afterwards, as with Vanta."""
    with live() as server:
        client = server.client(subscribe=ALL)
        server.append(2)
        assert client.hear_sequences(2) == [1, 2]
        client.say({"type": "unsubscribe", "all": True})
        assert client.hear()["action"] == "unsubscribe"
        server.append(3)
        server.caught_up()
        client.say({"type": "subscribe", "all": True})
        assert client.hear()["action"] == "subscribe"
        server.append(1)

        assert client.hear_sequences(6) == [6]


@pytest.mark.parametrize("last", [0, 1, 57, 99, 100])
def test_resuming_while_entries_arrive_has_no_hole_and_no_repeat(last: int) -> None:
    """Every number after ``last``, once, in order, whatever page it came in."""
    with live(batch_entries=7, recent_entries=10, turn_bytes=4096) as server:
        server.append(100)
        server.caught_up()
        stop = threading.Event()
        writer = threading.Thread(target=_append_until, args=(server, stop))
        writer.start()
        client = server.client(subscribe=ALL, last_sequence=last)
        heard = client.hear_sequences(400)
        stop.set()
        writer.join()

    assert client.welcome["recovered"] is True
    assert heard == list(range(last + 1, heard[-1] + 1))


def _append_until(server: Live, stop: threading.Event) -> None:
    while not stop.is_set():
        server.append(3)
        stop.wait(0.002)


def test_a_client_that_resumes_where_it_was_misses_nothing() -> None:
    """Many short connections, one unbroken sequence."""
    with live(batch_entries=10, recent_entries=5) as server:
        stop = threading.Event()
        writer = threading.Thread(target=_append_until, args=(server, stop))
        writer.start()
        heard: list[int] = []
        for _ in range(12):
            last = heard[-1] if heard else 0
            client = server.client(subscribe=ALL, last_sequence=last)
            heard += client.hear_sequences(last + 20)
            client.close()
        stop.set()
        writer.join()

    assert heard == list(range(1, heard[-1] + 1))


def test_replay_comes_in_batches_within_the_limits() -> None:
    """Entries and bytes both count."""
    with live(batch_entries=20, batch_bytes=4096, recent_entries=1, turn_bytes=1024) as server:
        server.append(60)
        server.append(20, pad=1500)
        server.caught_up()
        client = server.client(subscribe=ALL, last_sequence=0)
        frames: list[dict[str, Any]] = []
        while not frames or _last(frames[-1]) < 80:
            frames.append(client.hear())

    batches = [frame for frame in frames if frame.get("type") == "batch"]
    assert {frame["count"] for frame in batches} >= {20}
    for frame in batches:
        assert frame["count"] == len(frame["messages"]) <= 20
        assert (
            sum(len(json.dumps(inner["data"], separators=(",", ":"))) for inner in frame["messages"]) <= 4096
        )


def _last(frame: dict[str, Any]) -> int:
    inner = frame.get("messages", [frame])[-1]
    return int(inner.get("sequence", 0))


def test_live_and_replayed_frames_are_the_same_bytes() -> None:
    """A frame is a function of its entry, its time included."""
    with live(recent_entries=1, turn_bytes=1024) as server:
        client = server.client(subscribe=ALL)
        server.append(1)
        found = client.next()
        server.append(30)
        server.caught_up()
        later = server.client(subscribe=ALL, last_sequence=0)
        batch = later.next()

    assert found is not None
    assert batch is not None
    assert batch.payload.startswith(b'{"type":"batch","messages":[' + found.payload + b",")


def test_a_number_from_the_future_is_told_and_the_stream_goes_on_live() -> None:
    """An old disk was put back, or the client is of another server."""
    with live() as server:
        server.append(5)
        server.caught_up()
        client = server.client(subscribe=ALL, last_sequence=6)
        server.append(1)

        assert (client.welcome["recovered"], client.welcome["reason"]) == (False, "future_sequence")
        assert client.welcome["snapshot_url"] == "/validator-checkpoint"
        assert client.hear_sequences(6) == [6]


def test_a_trimmed_number_is_told() -> None:
    """Retention has passed the client."""
    with live() as server:
        server.append(20)
        server.journal.trim(POSITIONS, 10)
        wait_for(lambda: server.ask(lambda: server.server._broadcaster.oldest[POSITIONS]) == 11)
        client = server.client(last_sequence=5)

        assert (client.welcome["recovered"], client.welcome["reason"]) == (False, "trimmed")
        assert client.welcome["oldest_sequence"] == 11


def test_a_new_epoch_while_running_ends_every_stream() -> None:
    """Subscribers are told with 4010; on reconnecting they learn the epoch."""
    with live() as server:
        server.append(5)
        server.caught_up()
        client = server.client(subscribe=ALL)
        epoch = server.journal.new_epoch("new-epoch")
        notice = client.hear()

        assert (notice["type"], notice["reason"]) == ("resync_required", "epoch_changed")
        assert notice["expected_sequence"] == 6
        assert client.close_code() == 4010
        again = server.client(last_sequence=5, epoch=client.welcome["epoch"])
        assert again.welcome["epoch"] == epoch.id
        assert (again.welcome["recovered"], again.welcome["reason"]) == (False, "epoch_changed")
        fresh = server.client(subscribe=ALL, last_sequence=0)
        server.append(2)
        assert fresh.hear_sequences(1_000_006) == [1_000_005, 1_000_006]


def test_filters_select_and_chain() -> None:
    """Only the chosen hotkey, each frame naming its predecessor, live and replayed alike."""
    with live(batch_entries=10, recent_entries=5, turn_bytes=1024) as server:
        for number in range(40):
            server.append(1, hotkey="ab"[number % 2])
        server.caught_up()
        client = server.client(subscribe={"hotkeys": ["a"]}, last_sequence=0)
        chain: list[tuple[int, int]] = []
        while not chain or chain[-1][0] < 39:
            heard = client.hear()
            chain += [(inner["sequence"], inner["prev_sequence"]) for inner in heard.get("messages", [heard])]
        server.append(1, hotkey="b")
        server.append(1, hotkey="a")
        heard = client.hear()

    assert chain == [(1, 0), *((number, number - 2) for number in range(3, 40, 2))]
    assert (heard["sequence"], heard["prev_sequence"]) == (42, 39)


def test_a_vanta_only_key_never_sees_another_pair() -> None:
    """A published Vanta client would raise on a pair it does not know."""
    keys = Keys([("good", api_key()), ("vanta", api_key("vanta", trade_pairs="vanta"))])
    with live(keys=keys) as server:
        server.append(2, pair="O2:FUEL/USDC")
        server.append(1, pair="ETHUSD")
        server.caught_up()
        client = server.client("vanta", subscribe=ALL, last_sequence=0)
        server.append(1, pair="LIMITLESS:x:YES")
        server.append(1, pair="BTCUSD")

        assert client.hear_sequences(5) == [3, 5]


def test_orders_stream_with_their_own_numbers() -> None:
    """Resumed by ``cursors``, never called ``sequence``."""
    with live() as server:
        server.journal.append([draft(n, stream=ORDERS) for n in range(5)])
        wait_for(lambda: server.ask(lambda: server.server._broadcaster.position(ORDERS)) == 5)
        client = server.client(subscribe={"streams": ["orders"], "cursors": {"orders": 2}})
        server.append(1)
        server.journal.append([draft(9, stream=ORDERS)])
        heard = [client.hear() for _ in range(4)]

    assert [frame["stream_sequence"] for frame in heard] == [3, 4, 5, 6]
    assert all(frame["stream"] == "orders" and "sequence" not in frame for frame in heard)


def test_heartbeats_carry_the_head_and_never_a_sequence() -> None:
    """The published client takes every frame with ``sequence`` for data."""
    with live(heartbeat_ms=100) as server:
        server.append(7)
        server.caught_up()
        client = server.client(subscribe=ALL)
        beats = [client.hear() for _ in range(3)]

    assert {beat["type"] for beat in beats} == {"heartbeat"}
    assert {beat["current_sequence"] for beat in beats} == {7}
    assert all("sequence" not in beat and beat["epoch"] == client.welcome["epoch"] for beat in beats)


def test_a_client_that_answers_pings_stays_and_one_that_does_not_is_closed() -> None:
    """A half-open connection is found without any data."""
    with (
        live(ping_interval_s=0.3, ping_timeout_s=0.6, slow_limit_s=0.5) as server,
        connect(f"ws://127.0.0.1:{server.port}") as alive,
    ):
        alive.send(json.dumps({"api_key": "good"}))
        alive.recv()
        silent = server.client()
        found = silent.next()
        assert found is not None
        assert found.opcode == PING
        assert silent.close_code() == 4009
        alive.send(json.dumps({"type": "ping"}))
        assert json.loads(alive.recv())["type"] == "pong"


def test_health_is_answered_on_the_same_port() -> None:
    """A load balancer needs no key."""
    with live() as server:
        server.append(2)
        server.caught_up()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=5) as answer:
            facts = json.load(answer)

    assert answer.status == 200
    assert (facts["status"], facts["sequence"], facts["lag"]) == ("ok", 2, 0)


@pytest.mark.parametrize(("path", "status"), [("/v1/exchange/ws", 404), ("/v1/exchange/ws?a=1", 404)])
def test_the_path_of_trade_actions_is_reserved(path: str, status: int) -> None:
    """The position stream must never answer for it."""
    with live() as server:
        client = server.raw(path=path)

    assert client.response.startswith(b"HTTP/1.1 %d" % status)


def test_plain_http_is_told_to_upgrade() -> None:
    """A browser on the WebSocket port gets an answer it can show."""
    with live() as server, pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=5)

    assert caught.value.code == 426
    caught.value.close()


def test_draining_tells_everybody_and_closes_with_1012() -> None:
    """The hint says when to come back, different for everyone, and new connections are refused."""
    with live(drain_s=0.3) as server:
        clients = [server.client(subscribe=ALL) for _ in range(3)]
        server.append(1)
        server.caught_up()
        drainer = threading.Thread(target=server.drain)
        drainer.start()
        notices = []
        for client in clients:
            assert client.hear()["sequence"] == 1
            notices.append(client.hear())
            assert _answer_close(client) == 1012
        drainer.join()

    assert {notice["type"] for notice in notices} == {"server_shutdown"}
    assert all(notice["reconnect_after_ms"] >= notice["in_ms"] == 300 for notice in notices)
    assert {notice["current_sequence"] for notice in notices} == {1}


def _answer_close(client: RawClient) -> int | None:
    while (found := client.next()) is not None:
        if found.opcode == CLOSE:
            client.send(close_frame(found.close_code or 1000))
            return found.close_code
    return None


def test_a_journal_that_cannot_be_read_ends_the_server() -> None:
    """It never serves a stream it cannot vouch for."""

    class Breaking(MemoryJournal):
        is_broken = False

        def read(self, *args: Any, **kwargs: Any) -> Any:
            if self.is_broken:
                raise OSError("the disk is gone")
            return super().read(*args, **kwargs)

    journal = Breaking()
    with live(journal=journal) as server:
        journal.is_broken = True
        fault = wait_for(
            lambda: server.ask(lambda: server.server.failure.done() and server.server.failure.result())
        )

        assert "the disk is gone" in str(fault)
        journal.is_broken = False
