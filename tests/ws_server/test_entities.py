"""Entities on the stream: proving who one is, keys, and dashboards of subaccounts."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bittensor_wallet import Keypair
from hypothesis import given
from hypothesis import strategies as st

from journal.entry import REGISTRY, UnavailableError
from journal.memory import MemoryJournal
from journal.sqlite import SqliteJournal
from runtime.clock import FakeClock, SystemClock
from tests.validator.entities.people import DEFAULTS, creation, entity, put_out
from tests.ws_server.helpers import Keys, api_key, close_code, draft, horizon, sent, settings
from tests.ws_server.live import Live, wait_for
from tests.ws_server.process import WorkerProcess
from tests.ws_server.raw import RawClient
from validator.entities.clerk import Clerk
from validator.entities.keys import EntityKeys, JointTable
from validator.entities.secret import ServerSecret
from validator.nonces import Nonces
from validator.registry import Registry
from vanta_api.client_frames import FrameError
from vanta_api.entity_frames import EntityAuth, decode_entity_auth
from ws_server.actions import Verify
from ws_server.entity_door import EntityDoor
from ws_server.session import Session, State

OWNER = Keypair.create_from_uri("//EntityHot")
STRANGER = Keypair.create_from_uri("//StrangerHot")
ENTITY = OWNER.ss58_address
OPERATOR = api_key("operator", 200)


def proof(signer: Keypair = OWNER, *, age_ms: int = 0, nonce: str = "n1", **changes: Any) -> dict[str, Any]:
    """An entity's first frame; ``changes`` come after the signature."""
    fields = {
        "entity_hotkey": signer.ss58_address,
        "timestamp": int(time.time() * 1000) - age_ms,
        "nonce": nonce,
    }
    message = json.dumps(fields, sort_keys=True).encode()
    return {**fields, "signature": signer.sign(message).hex(), **changes}


class Office:
    """An entity with two subaccounts, and a server that knows it."""

    def __init__(self, directory: Path) -> None:
        self.journal = MemoryJournal()
        self.clerk = Clerk(Registry(self.journal), SystemClock(), DEFAULTS)
        self.clerk.register(entity(ENTITY))
        for _ in range(2):
            self.clerk.create(creation(ENTITY))
        registry = Registry(self.journal)
        secret = ServerSecret(None, directory)
        secret.make()
        entities = Clerk(registry, SystemClock(), DEFAULTS).entities
        self.keys = EntityKeys(secret.read, entities)
        self.door = EntityDoor(entities, self.keys, secret, Nonces(registry, SystemClock()), 42)
        self.file = Keys([("good", api_key()), ("operator", OPERATOR)])
        chosen = settings(drain_s=0.0, close_timeout_s=1.0)
        joint: Any = JointTable(self.file, self.keys)
        self.live = Live(chosen, self.journal, joint, door=self.door)
        self.live.start()

    def enter(self, first: dict[str, Any]) -> RawClient:
        """A connection that has sent this first frame and read the answer."""
        client = self.live.raw()
        client.say(first)
        client.welcome = client.hear()
        return client


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.live.stop()


# Proving


def test_an_entity_proves_itself_and_is_subscribed_to_its_active_subaccounts(office: Office) -> None:
    put_out(office.clerk, ENTITY, 1, "r")
    client = office.enter(proof())

    assert client.welcome["status"] == "success"
    assert client.welcome["message"] == "Authentication successful."
    assert (client.welcome["auth_type"], client.welcome["subscribed_subaccounts"]) == ("entity", 1)
    assert (client.welcome["tier"], client.welcome["recovered"]) == (200, True)
    assert "sequence" not in client.welcome


@pytest.mark.parametrize(
    ("first", "message", "code"),
    [
        (
            proof(nonce=""),
            "Entity authentication requires entity_hotkey, timestamp, nonce and signature.",
            4002,
        ),
        (proof(timestamp="x"), "Entity authentication requires", 4002),
        (proof(timestamp=True), "Entity authentication requires", 4002),
        ({"entity_hotkey": ENTITY}, "Entity authentication requires", 4002),
        (proof(last_sequence=-2), "last_sequence or epoch is not what it should be", 4002),
        (proof(STRANGER), f"Entity {STRANGER.ss58_address} not registered", 4003),
        (proof(nonce="n1") | {"nonce": "n2"}, "Invalid signature. Entity authentication failed.", 4003),
        (proof(signature="ab" * 64), "Invalid signature. Entity authentication failed.", 4003),
        (proof(signature="zz"), "Invalid signature. Entity authentication failed.", 4003),
        (
            proof(STRANGER) | {"entity_hotkey": ENTITY},
            "Invalid signature. Entity authentication failed.",
            4003,
        ),
        (proof(age_ms=400_000), "Request expired. Max age: 300000ms", 4002),
        (proof(age_ms=-600_000), "Request timestamp too far in future", 4002),
    ],
)
def test_what_is_no_proof(office: Office, first: dict[str, Any], message: str, code: int) -> None:
    head = office.journal.head(REGISTRY)
    client = office.enter(first)

    assert client.welcome["status"] == "error"
    assert client.welcome["message"].startswith(message)
    assert client.close_code() == code
    assert office.journal.head(REGISTRY) == head


def test_a_proof_works_once_also_after_a_restart(office: Office, tmp_path: Path) -> None:
    first = proof()
    assert office.enter(first).welcome["status"] == "success"
    again = office.enter(first)
    assert (again.welcome["message"], again.close_code()) == ("Nonce already used", 4002)
    registry = Registry(office.journal)
    clerk = Clerk(registry, SystemClock(), DEFAULTS)
    door = EntityDoor(
        clerk.entities,
        office.keys,
        ServerSecret(None, tmp_path),
        Nonces(registry, SystemClock()),
        42,
    )
    auth = decode_entity_auth(json.dumps(first))
    assert auth is not None
    judged = door.prove(auth)
    assert isinstance(judged, FrameError)
    assert judged.message == "Nonce already used"


def test_a_proof_that_cannot_be_remembered_is_not_accepted(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_drafts: Any) -> Any:
        raise UnavailableError("disk full")

    monkeypatch.setattr(office.journal, "append", full)
    client = office.enter(proof())

    assert client.welcome["message"] == "Entity authentication is not available now."
    assert client.close_code() == 1013


def test_a_server_without_entities_asks_for_a_key(tmp_path: Path) -> None:
    live = Live(settings(drain_s=0.0), MemoryJournal(), Keys())
    live.start()
    client = live.raw()
    client.say(proof())

    assert client.hear()["message"] == "Authentication required. Please provide an API key."
    assert client.close_code() == 4002
    live.stop()


def test_five_connections_per_entity_the_oldest_leaves(office: Office) -> None:
    clients = [office.enter(proof(nonce=f"n{number}")) for number in range(6)]

    assert clients[0].hear()["code"] == "MAX_CONNECTIONS_EXCEEDED"
    assert clients[0].close_code() == 4006
    assert clients[5].welcome["status"] == "success"


def test_the_rest_of_the_stream_is_there_too(office: Office) -> None:
    """An entity that subscribes gets positions like anybody with its key."""
    office.live.append(3)
    office.live.caught_up()
    client = office.enter(proof(last_sequence=1))
    client.say({"type": "subscribe", "all": True})
    assert client.hear()["action"] == "subscribe"

    assert client.hear_sequences(3) == [2, 3]
    client.say({"type": "subscribe", "streams": ["registry"]})
    assert client.hear()["code"] == "FORBIDDEN_STREAM"


# Keys


def test_an_entitys_api_key_opens_the_stream(office: Office) -> None:
    client = office.enter({"api_key": office.keys.text(ENTITY)})

    assert (client.welcome["status"], client.welcome["tier"]) == ("success", 200)
    assert "auth_type" not in client.welcome
    office.live.ask(office.live.server._swap_keys)  # a change of the key file does not end it
    client.say({"type": "ping", "timestamp": 5})
    assert client.hear()["client_timestamp"] == 5


def test_a_wrong_entity_key_is_an_invalid_key(office: Office) -> None:
    client = office.enter({"api_key": office.keys.text(ENTITY) + "x"})
    assert client.close_code() == 4003


# Dashboards


def hear_dashboard(client: RawClient) -> dict[str, Any]:
    found = client.hear()
    assert found["type"] == "subaccount_dashboard", found
    assert "sequence" not in found
    return found


def test_a_position_of_a_subaccount_is_told_to_its_entity_alone(office: Office) -> None:
    owner, other = office.enter(proof()), office.live.client(subscribe={"all": True})
    office.live.append(1, hotkey="miner")
    office.live.append(1, hotkey=f"{ENTITY}_1")
    told = hear_dashboard(owner)

    assert (told["synthetic_hotkey"], told["current_sequence"]) == (f"{ENTITY}_1", 2)
    assert told["timestamp"] == office.journal.read("positions", 1).entries[0].time_ms
    assert told["data"]["subaccount_info"]["entity_hotkey"] == ENTITY
    (position,) = told["data"]["positions"]["positions"]
    assert position["miner_hotkey"] == f"{ENTITY}_1"
    assert other.hear_sequences(2) == [1, 2]


def test_a_new_subaccount_is_subscribed_by_itself(office: Office) -> None:
    owner = office.enter(proof())
    made = office.clerk.create(creation(ENTITY)).record
    status = owner.hear()

    assert (status["type"], status["action"]) == ("subscription_status", "new_subaccount_subscribed")
    assert status["synthetic_hotkey"] == made.synthetic_hotkey == f"{ENTITY}_2"
    told = hear_dashboard(owner)
    assert told["data"]["subaccount_info"]["subaccount_uuid"] == made.subaccount_uuid
    office.live.append(1, hotkey=f"{ENTITY}_2")
    assert hear_dashboard(owner)["synthetic_hotkey"] == f"{ENTITY}_2"


def test_an_elimination_is_told(office: Office) -> None:
    owner = office.enter(proof())
    put_out(office.clerk, ENTITY, 0, "poor_performance")
    told = hear_dashboard(owner)

    assert told["data"]["subaccount_info"]["status"] == "eliminated"
    assert told["data"]["elimination"]["reason"] == "poor_performance"
    office.live.append(1, hotkey=f"{ENTITY}_0")  # the closing of what was open
    assert hear_dashboard(owner)["data"]["subaccount_info"]["status"] == "eliminated"


def test_whoever_may_can_ask_for_one_subaccount(office: Office) -> None:
    office.clerk.register(entity("5Other"))
    office.clerk.create(creation("5Other"))
    operator = office.live.client("operator")
    plain = office.live.client("good")
    owner = office.enter({"api_key": office.keys.text(ENTITY)})
    answers = []
    for client in (operator, plain, owner):
        client.say({"type": "subscribe_subaccount", "synthetic_hotkey": "5Other_0"})
        answers.append(client.hear())

    assert (answers[0]["type"], answers[0]["action"]) == ("subscription_status", "subscribe_subaccount")
    assert hear_dashboard(operator)["data"]["subaccount_info"]["synthetic_hotkey"] == "5Other_0"
    assert [answer["code"] for answer in answers[1:]] == ["SUBACCOUNT_NOT_FOUND"] * 2
    owner.say({"type": "subscribe_subaccount", "synthetic_hotkey": f"{ENTITY}_1"})
    assert owner.hear()["action"] == "subscribe_subaccount"
    hear_dashboard(owner)
    owner.say({"type": "subscribe_subaccount", "synthetic_hotkey": "nobody_0"})
    assert owner.hear()["code"] == "SUBACCOUNT_NOT_FOUND"


def test_who_left_is_forgotten(office: Office) -> None:
    clients = [office.enter(proof(nonce=f"n{number}")) for number in range(3)]
    boards = office.live.server.clients.dashboards
    assert boards is not None
    for client in clients:
        client.close()
    wait_for(lambda: office.live.ask(lambda: len(office.live.server.clients)) == 0, "all gone")

    assert (boards._watchers, boards._owners, boards._watched, boards._known) == ({}, {}, {}, {})


def test_an_entry_that_cannot_be_read_is_passed_over(office: Office) -> None:
    owner = office.enter(proof())
    office.journal.append([draft(1, f"{ENTITY}_0"), draft(2, f"{ENTITY}_0")])
    office.journal.append([type(draft(3))("positions", f"{ENTITY}_0|x", b"[]")])
    office.live.append(1, hotkey=f"{ENTITY}_0")

    assert [hear_dashboard(owner)["current_sequence"] for _ in range(3)] == [1, 2, 4]


# Without sockets


def new_session(clock: FakeClock) -> Session:
    return Session(settings(), clock, lambda _: None, horizon, knows_entities=True)


def test_nothing_is_heard_while_a_proof_is_judged_and_a_late_judgement_counts_for_nothing() -> None:
    clock = FakeClock()
    session = new_session(clock)
    (action,) = session.receive(json.dumps(proof()))
    assert isinstance(action, Verify)
    assert session.receive('{"type":"ping"}') == []
    clock.advance(6)

    assert close_code(session.tick()) == 4001
    assert session.verified(OPERATOR, 1) == []
    assert session.refused(FrameError("X", "x")) == []
    assert session.state is State.CLOSED


def test_a_judgement_that_nobody_asked_for_counts_for_nothing() -> None:
    session = new_session(FakeClock())
    assert session.verified(OPERATOR, 1) == []
    assert session.state is State.AWAITING_KEY


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    | st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600)
            for name in ("entity_hotkey", "timestamp", "nonce", "signature", "last_sequence", "epoch")
        },
    )
)
def test_any_first_frame_is_an_entitys_or_not_or_refused(value: Any) -> None:
    """Whatever comes: a proof, nothing, or a documented error; and the session answers with actions."""
    raw = json.dumps(value)
    with contextlib.suppress(FrameError):
        found = decode_entity_auth(raw)
        assert found is None or isinstance(found, EntityAuth)
    actions = new_session(FakeClock()).receive(raw)
    assert isinstance(actions[0], Verify) or close_code(actions) in (4002, 4003)
    sent(actions)


@given(st.binary(max_size=60))
def test_any_bytes_are_no_proof_or_a_proof(raw: bytes) -> None:
    assert decode_entity_auth(raw) is None


# As a process


def test_the_worker_knows_entities_and_remembers_their_proofs(tmp_path: Path) -> None:
    """A proof, a key that REST handed out, and the same proof after kill -9."""
    journal = SqliteJournal(tmp_path / "data" / "journal" / "journal.sqlite3")
    clerk = Clerk(Registry(journal), SystemClock(), DEFAULTS)
    clerk.register(entity(ENTITY))
    clerk.create(creation(ENTITY))
    worker = WorkerProcess(tmp_path)
    first = proof()
    client = RawClient(worker.port)
    client.say(first)
    assert client.hear()["subscribed_subaccounts"] == 1
    journal.append([draft(1, f"{ENTITY}_0")])
    assert hear_dashboard(client)["current_sequence"] == 1
    secret = ServerSecret(None, tmp_path / "data").read()
    assert secret is not None
    keyed = RawClient(worker.port)
    keyed.say({"api_key": EntityKeys(lambda: secret, clerk.entities).text(ENTITY)})
    assert keyed.hear()["status"] == "success"
    client.close()
    keyed.close()
    worker.kill()
    again = WorkerProcess(tmp_path)
    client = RawClient(again.port)
    client.say(first)

    assert client.hear()["message"] == "Nonce already used"
    client.close()
    assert again.terminate() == 0
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    journal.close()
