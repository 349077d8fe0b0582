"""Fetching over REST the entries that a connection lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from vanta_api.client_frames import FrameError
from vanta_api.rest_client import VantaRestClient
from vanta_api.rest_errors import RestError
from vanta_api.sequence_tracker import POSITIONS, Gap
from vanta_api.server_frames import ServerFrame, decode_server_frame

logger = logging.getLogger("VantaWebSocketClient")

Fill = Callable[[Gap, str | None], "Filled"]


@dataclass(frozen=True, slots=True)
class Filled:
    """The frames found, oldest first. ``is_complete``: there is nothing else between the gap's ends."""

    frames: tuple[ServerFrame, ...] = ()
    is_complete: bool = False


def nothing(gap: Gap, epoch: str | None) -> Filled:
    """The back-fill of a client without REST."""
    return Filled()


def over_rest(base_url: str, api_key: str | None) -> Fill:
    """A back-fill that asks ``/v1/events`` of that server. It blocks: call it in a thread of its own."""

    def fill(gap: Gap, epoch: str | None) -> Filled:
        with VantaRestClient(base_url, api_key, timeout_s=10, retries=2) as client:
            return _fetch(client, gap, epoch)

    return fill


def _fetch(client: VantaRestClient, gap: Gap, epoch: str | None) -> Filled:
    found: list[ServerFrame] = []
    after = gap.first - 1
    stream = None if gap.stream == POSITIONS else gap.stream
    try:
        while True:
            page = client.events(after, stream=stream)
            if page.epoch != epoch:
                return Filled(tuple(found))
            frames = [decode_server_frame(bytes(raw)) for raw in page.events]
            found.extend(frame for frame in frames if after < number_of(frame) <= gap.last)
            if page.last >= gap.last or not page.has_more or page.last <= after:
                return Filled(tuple(found), page.last >= gap.last or page.head >= gap.last)
            after = page.last
    except (RestError, FrameError) as fault:
        logger.warning("back-fill of %s %d..%d failed: %s", gap.stream, gap.first, gap.last, fault)
        return Filled(tuple(found))


def number_of(frame: ServerFrame) -> int:
    """The entry's number in its stream; 0 when the frame has none."""
    number = frame.sequence if frame.sequence is not None else frame.stream_sequence
    return number or 0
