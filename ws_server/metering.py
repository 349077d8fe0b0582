"""What each key receives: counted in memory, written now and then, held against its quota."""

from __future__ import annotations

from runtime.api_keys import ApiKey
from runtime.clock import Clock
from runtime.usage import Usage, next_day_s
from ws_server import metrics
from ws_server.subscriber import Subscriber


class Meter:
    """``messages_per_day`` is for keys whose own quota says nothing (0: no limit).

    Without ``usage`` nothing but the metrics is counted.
    """

    def __init__(self, usage: Usage | None, clock: Clock, messages_per_day: int) -> None:
        self._usage, self._clock, self._default = usage, clock, messages_per_day

    def count(self, subscriber: Subscriber, counted: tuple[int, int]) -> tuple[int, int]:
        """Count what was written since ``counted``; returns the new (messages, bytes)."""
        found = (subscriber.messages, subscriber.bytes)
        if found != counted:
            new_messages, new_bytes = found[0] - counted[0], found[1] - counted[1]
            metrics.MESSAGES.inc(new_messages)
            metrics.BYTES.inc(new_bytes)
            if self._usage is not None:
                self._usage.count(subscriber.key.id, messages=new_messages, bytes=new_bytes)
        return found

    def is_exhausted(self, key: ApiKey) -> bool:
        """Whether the key has had all its messages of this UTC day."""
        quota = key.quota.messages if key.quota.messages is not None else self._default or None
        if quota is None or self._usage is None:
            return False
        return self._usage.today(key.id)[2] >= quota

    def retry_after_ms(self) -> int:
        """Until the next UTC day."""
        return 1000 * next_day_s(self._clock.now_ms())

    def flush(self) -> None:
        """Write the counts; call it where blocking for a moment is fine."""
        if self._usage is not None:
            self._usage.flush()
