"""``python -m venues poll|sandbox|record|replay``: a venue by hand.

Exit codes: 0 done, 1 failed, 2 wrong command line or settings, 3 cannot start (port in use, no account).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from runtime import worker
from runtime.worker import BEAT_EVERY_S, CannotStart, Worker
from venues.sandboxes import default_origin_ms
from venues.venue import NAMES, load


def build_parser() -> argparse.ArgumentParser:
    """The command line; options of the process itself (``--data-dir`` ...) may follow anywhere."""
    parser = argparse.ArgumentParser(prog="python -m venues", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    poll = commands.add_parser("poll", help="poll one venue into the journal")
    poll.add_argument("venue", choices=NAMES)
    sandbox = commands.add_parser("sandbox", help="serve a venue's sandbox on loopback")
    sandbox.add_argument("venue", choices=NAMES)
    sandbox.add_argument("--port", type=int, default=0, help="port to listen on (0: any free one)")
    sandbox.add_argument("--seed", type=int, default=7, help="the world's seed (default: 7)")
    sandbox.add_argument("--accounts", type=int, default=3, help="how many accounts trade (default: 3)")
    sandbox.add_argument(
        "--origin-ms", type=int, default=None, help="start of history (default: 21 days ago)"
    )
    record = commands.add_parser("record", help="poll a venue and keep its raw answers as files")
    record.add_argument("venue", choices=NAMES)
    record.add_argument("--out", type=Path, required=True, help="directory for the capture")
    record.add_argument("--count", type=int, default=1, help="polls to record (default: 1)")
    replay = commands.add_parser("replay", help="run a capture through a poller into the journal")
    replay.add_argument("capture", type=Path, help="directory made by record")
    return parser


def main(argv: list[str]) -> None:
    """Run one command; never returns."""
    arguments, rest = build_parser().parse_known_args(argv)
    if arguments.command == "poll":
        from venues import poll

        worker.run(f"poll-{arguments.venue}", lambda w: poll.main(w, arguments.venue), rest)
    if arguments.command == "sandbox":
        worker.run(f"sandbox-{arguments.venue}", lambda w: _sandbox(w, arguments), rest)
    if arguments.command == "record":
        worker.run("record", lambda w: _record(w, arguments), rest)
    worker.run("replay", lambda w: _replay(w, arguments), rest)


def _sandbox(process: Worker, arguments: argparse.Namespace) -> int:
    from venues.faults import Faults
    from venues.sandbox_runner import PortInUse, serve

    origin_ms = arguments.origin_ms or default_origin_ms(process.clock.now_ms())
    sandbox = load(arguments.venue).sandbox(
        seed=arguments.seed, accounts=arguments.accounts, origin_ms=origin_ms, clock=process.clock
    )
    next_beat = 0.0

    def on_ready(port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        with tempfile.TemporaryDirectory() as unused:  # the secrets themselves are the manager's business
            accounts = [a.account for a in sandbox.settings(url, Path(unused)).accounts]
        process.ready(url=url, seed=arguments.seed, origin_ms=origin_ms, accounts=accounts)

    def beat() -> None:
        nonlocal next_beat
        if process.clock.monotonic() >= next_beat:
            process.beat()
            next_beat = process.clock.monotonic() + BEAT_EVERY_S

    try:
        asyncio.run(
            serve(
                sandbox,
                Faults(arguments.seed),
                arguments.port,
                on_ready=on_ready,
                is_stopped=process.stop.is_set,
                beat=beat,
            )
        )
    except PortInUse as error:
        raise CannotStart(str(error)) from None
    return 0


def _record(process: Worker, arguments: argparse.Namespace) -> int:
    from venues.capture import RecordingClient
    from venues.errors import VenueError
    from venues.poll import effective

    venue = load(arguments.venue)
    settings = effective(venue, process.settings.venues.get(arguments.venue, venue.defaults()))
    if not settings.accounts:
        raise CannotStart(f"no account configured: add [[venues.{arguments.venue}.accounts]] to the config")
    client = RecordingClient(venue.client(settings, process.clock), arguments.out)
    failures = 0
    for number in range(arguments.count):
        if number and process.stop.wait(settings.poll_interval_s):
            break
        for account in settings.accounts:
            try:
                client.fetch(account, None)
            except VenueError as error:
                failures += 1
                sys.stderr.write(f"record: {account.account}: {error}\n")
    client.close()
    sys.stdout.write(f"{client.written} polls written to {arguments.out}\n")
    return 1 if failures else 0


def _replay(process: Worker, arguments: argparse.Namespace) -> int:
    from runtime.settings import VenueSettings
    from venues.capture import CaptureError, ReplayClient, read
    from venues.errors import VenueError
    from venues.poll import assembled

    try:
        payloads = read(arguments.capture)
    except CaptureError as error:
        raise CannotStart(str(error)) from None
    venue, client = load(payloads[0].venue), ReplayClient(payloads)
    failures = 0
    with assembled(
        process.settings, venue, VenueSettings(accounts=client.accounts), client, process.clock
    ) as poller:
        by_account = {t.settings.account: t for t in poller.tracked}
        for payload in payloads:
            tracked = by_account[payload.account]
            outcome = poller.poll(tracked)
            poller.take(tracked, outcome)
            if isinstance(outcome, VenueError):
                failures += 1
                sys.stderr.write(f"replay: {payload.account}: {outcome}\n")
    sys.stdout.write(f"{len(payloads)} polls replayed into {process.settings.journal_path}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    main(sys.argv[1:])
