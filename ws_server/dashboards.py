"""Who watches which subaccount, and the frames that tell of it.

Rule 1: frames are made of entries as they become durable, from the entry and what was registered before it;
nothing is folded. A watcher that wants the whole picture takes a dashboard over REST first.
Rule 2: a frame is built once, whoever watches.
Rule 3: everything runs in the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from journal.entry import POSITIONS, REGISTRY
from runtime.clock import Clock
from validator import eliminated
from validator.eliminated import ELIMINATION
from validator.entities import hotkeys
from validator.entities.directory import Entities
from validator.entities.records import SUBACCOUNT, Standing, decode_subaccount, subaccount_row
from vanta_api import messages
from vanta_api.entity_frames import dashboard_frame, subaccount_status
from ws_server.client import Client
from ws_server.frames import Message

WATCHED_MAX: Final = 1_000  # subaccounts that one connection may ask for one by one

_encode: Final = msgspec.json.Encoder().encode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_log = structlog.get_logger()


Places = dict[str, dict[Client, None]]
"""Names → who is there, in order of arrival."""


class _Body(msgspec.Struct):
    position: msgspec.Raw


_body: Final = msgspec.json.Decoder(_Body)


class Dashboards:
    """``send`` writes a frame to a client; ``position`` is the newest ``positions`` number that was sent."""

    def __init__(
        self,
        entities: Entities,
        clock: Clock,
        send: Callable[[Client, bytes], None],
        position: Callable[[], int],
    ) -> None:
        self._entities, self._clock, self._send, self._position = entities, clock, send, position
        self._watchers: Places = {}  # by synthetic hotkey
        self._owners: Places = {}  # by entity: they watch what comes, too
        self._watched: dict[Client, set[str]] = {}
        self._entity_of: dict[Client, str] = {}
        self._known: dict[str, Standing] = {}  # of the subaccounts that are watched

    # --- who watches --------------------------------------------------------------------------------

    def watch_all(self, client: Client, entity_hotkey: str) -> None:
        """The client is this entity: it watches all its active subaccounts, and those that come."""
        self._owners.setdefault(entity_hotkey, {})[client] = None
        self._entity_of[client] = entity_hotkey
        found = self._entities.entity(entity_hotkey)
        for one in found.active if found is not None else ():
            self._watch(client, one)

    def watch_one(self, client: Client, synthetic_hotkey: str) -> None:
        """The client asks for one subaccount; it is told whether it may have it."""
        one = self._entities.subaccount(synthetic_hotkey)
        if one is None or not self._may_watch(client, one):
            text = f"Subaccount {synthetic_hotkey[:200]} not found"
            self._send(client, messages.error(text, "SUBACCOUNT_NOT_FOUND"))
        elif len(self._watched.get(client, ())) >= WATCHED_MAX:
            self._send(client, messages.error("Too many subaccounts.", "TOO_MANY_SUBACCOUNTS"))
        else:
            self._watch(client, one)
            now_ms = self._clock.now_ms()
            self._send(client, subaccount_status("subscribe_subaccount", synthetic_hotkey, now_ms))
            self._send(client, self._news(synthetic_hotkey, now_ms, self._position(), {}))

    def forget(self, client: Client) -> None:
        """The client watches nothing any more."""
        if (entity_hotkey := self._entity_of.pop(client, None)) is not None:
            _leave(self._owners, entity_hotkey, client)
        for hotkey in self._watched.pop(client, ()):
            _leave(self._watchers, hotkey, client)
            if hotkey not in self._watchers:
                del self._known[hotkey]

    def _may_watch(self, client: Client, one: Standing) -> bool:
        key = client.session.key
        return key is not None and (key.is_operator or key.entity == one.record.entity_hotkey)

    def _watch(self, client: Client, one: Standing) -> None:
        hotkey = one.record.synthetic_hotkey
        self._known[hotkey] = one
        self._watchers.setdefault(hotkey, {})[client] = None
        self._watched.setdefault(client, set()).add(hotkey)

    # --- what they are told -------------------------------------------------------------------------

    def feed(self, batch: Sequence[Message]) -> None:
        """Tell watchers of entries that became durable."""
        if not self._owners and not self._watchers:
            return
        for message in batch:
            try:
                self._tell(message)
            except _UNREADABLE as error:
                _log.warning(
                    "entry not told", stream=message.stream, sequence=message.sequence, problem=str(error)
                )

    def _tell(self, message: Message) -> None:
        key = message.entry.key
        if message.stream == POSITIONS:
            hotkey = key.rpartition("|")[0]
            if hotkey in self._watchers:
                body = _body.decode(message.entry.body)
                sections = {"positions": {"positions": [body.position]}}
                self._tell_watchers(hotkey, message, message.sequence, sections)
        elif message.stream == REGISTRY and key.startswith(SUBACCOUNT):
            self._tell_of_newcomer(message)
        elif message.stream == REGISTRY and key.startswith(ELIMINATION):
            self._tell_of_elimination(message)

    def _tell_of_newcomer(self, message: Message) -> None:
        record = decode_subaccount(message.entry.body).subaccount
        hotkey, one = record.synthetic_hotkey, Standing(record)
        for client in list(self._owners.get(record.entity_hotkey, ())):
            if client in self._watchers.get(hotkey, {}) or not one.is_active:
                continue  # it was there already when the entity came
            self._watch(client, one)
            time_ms = message.entry.time_ms
            self._send(client, subaccount_status("new_subaccount_subscribed", hotkey, time_ms))
            self._send(client, self._news(hotkey, time_ms, self._position(), {}))

    def _tell_of_elimination(self, message: Message) -> None:
        hotkey = message.entry.key.removeprefix(ELIMINATION)
        one = self._known.get(hotkey)
        if one is not None and hotkeys.parse(hotkey) is not None:
            row = eliminated.decode(message.entry.body)
            self._known[hotkey] = Standing(one.record, row)
            self._tell_watchers(hotkey, message, self._position(), {"elimination": row})

    def _tell_watchers(self, hotkey: str, message: Message, sequence: int, sections: dict[str, Any]) -> None:
        frame = self._news(hotkey, message.entry.time_ms, sequence, sections)
        self._send_all(self._watchers.get(hotkey, ()), frame)

    def _send_all(self, clients: Iterable[Client], frame: bytes) -> None:
        for client in list(clients):
            self._send(client, frame)

    def _news(self, hotkey: str, time_ms: int, sequence: int, sections: dict[str, Any]) -> bytes:
        one = self._known[hotkey]
        info = {**subaccount_row(one), "entity_hotkey": one.record.entity_hotkey}
        return dashboard_frame(hotkey, time_ms, sequence, _encode({"subaccount_info": info, **sections}))


def _leave(places: Places, name: str, client: Client) -> None:
    places[name].pop(client, None)
    if not places[name]:
        del places[name]
