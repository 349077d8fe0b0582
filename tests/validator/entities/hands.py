"""A process that creates subaccounts until it is killed: ``python -m tests.validator.entities.hands``.

Arguments: the journal, a name, the entities. Each creation is printed once it is durable, with the receipt
that stands for it; a creation is repeated with its receipt once in a while, as a client does that got no
answer.
"""

from __future__ import annotations

import random
import sys
import uuid
from pathlib import Path

from journal.sqlite import SqliteJournal
from runtime.clock import SystemClock
from tests.validator.entities.people import DEFAULTS, creation
from validator.entities.clerk import Clerk
from validator.registry import Registry


def main(path: str, *entities: str) -> None:
    clerk = Clerk(Registry(SqliteJournal(Path(path))), SystemClock(), DEFAULTS)
    while True:
        hotkey, receipt = random.choice(entities), uuid.uuid4().hex
        sys.stdout.write(f"asked {receipt} {hotkey}\n")
        sys.stdout.flush()
        for _ in range(random.choice((1, 1, 1, 2))):
            made = clerk.create(creation(hotkey), receipt).record
            sys.stdout.write(f"made {receipt} {made.synthetic_hotkey} {made.subaccount_uuid}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
