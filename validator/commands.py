"""What an operator says to the validator: reports of plagiarism and eliminations, written into the journal.

The worker acts upon them within a second while it runs, else when it is started. Exit codes: 0 written, 1 it
could not be (unknown hotkey, already out, nothing to withdraw), 2 wrong usage, or there is no journal.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from journal.entry import JournalError
from journal.layout import boot_state, open_journal
from runtime import logs
from runtime.clock import SystemClock
from runtime.exit_codes import ExitCode
from runtime.settings import Settings, SettingsError, add_arguments, resolve
from validator import eliminated
from validator.challenge import record
from validator.collateral.accounts import ACCOUNT_SIZE
from validator.eliminations import requests
from validator.eliminations.reasons import MANUAL
from validator.registry import Registry

BY: Final = "command line"
REASON_MAX: Final = 200  # characters

Command = Callable[[Registry, argparse.Namespace, int], str]
"""Does it; returns what to tell. Raises Refused."""


class Refused(Exception):
    """It cannot be done; the text says why."""


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(argv)
    logs.configure("validator", "warning")
    try:
        settings = resolve(options, os.environ)
        return _run(settings, options)
    except SettingsError as error:
        return _say(str(error), ExitCode.USAGE)
    except JournalError as error:
        return _say(str(error), ExitCode.USAGE)
    except Refused as error:
        return _say(str(error), ExitCode.FAILED)


def _run(settings: Settings, options: argparse.Namespace) -> int:
    if not settings.journal_path.is_file():
        return _say(f"there is no journal at {settings.journal_path}: name its --data-dir", ExitCode.USAGE)
    clock = SystemClock()
    with closing(open_journal(settings, clock=clock)) as journal:
        registry = Registry(journal, boot_state(settings, journal))
        _check_known(registry, options.hotkey)
        print(options.run(registry, options, clock.now_ms()))
    return ExitCode.OK


def report_plagiarism(registry: Registry, options: argparse.Namespace, now_ms: int) -> str:
    """Put a hotkey under review."""
    _check_inside(registry, options.hotkey)
    requests.report_plagiarism(registry, options.hotkey, now_ms, BY, options.score)
    return f"{options.hotkey} is reported: it is under review from now on"


def clear_plagiarism(registry: Registry, options: argparse.Namespace, now_ms: int) -> str:
    """Withdraw a report."""
    _check_inside(registry, options.hotkey)
    if requests.clear_plagiarism(registry, options.hotkey, now_ms, BY) is None:
        raise Refused(f"nobody has reported {options.hotkey}")
    return f"{options.hotkey} is cleared: it goes back to the bucket it was in"


def eliminate(registry: Registry, options: argparse.Namespace, now_ms: int) -> str:
    """Ask for an elimination."""
    _check_inside(registry, options.hotkey)
    asked = requests.request_elimination(registry, options.hotkey, now_ms, BY, options.reason)
    return f"{options.hotkey} will be eliminated for good: {asked.reason}"


COMMANDS: Final[dict[str, tuple[Command, str]]] = {
    "report-plagiarism": (report_plagiarism, "put a hotkey under review for plagiarism"),
    "clear-plagiarism": (clear_plagiarism, "withdraw a report of plagiarism"),
    "eliminate": (eliminate, "put a hotkey out, for good"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m validator",
        description="Without a command: the validator worker.",
        epilog="Exit codes: 0 written, 1 it could not be, 2 wrong usage, or there is no journal.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (run, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("hotkey")
        add_arguments(command)
        command.set_defaults(run=run)
        if name == "report-plagiarism":
            command.add_argument("--score", type=_score, help="how sure you are, from 0 to 1")
        if name == "eliminate":
            command.add_argument("--reason", type=_reason, default=MANUAL, help=f"(default: {MANUAL})")
    return parser


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:  # NaN is not, either
        raise argparse.ArgumentTypeError("must be a number from 0 to 1")
    return score


def _reason(text: str) -> str:
    if not text.strip() or len(text) > REASON_MAX or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must be one line of at most {REASON_MAX} characters")
    return text


def _check_known(registry: Registry, hotkey: str) -> None:
    """Raises Refused for a hotkey that nothing is known of: most likely it is misspelt."""
    keys = (record.key_of(hotkey), ACCOUNT_SIZE + hotkey, eliminated.key_of(hotkey))
    if all(registry.get(key) is None for key in keys):
        raise Refused(f"{hotkey} is not known here: GET /miner-hotkeys lists who is")


def _check_inside(registry: Registry, hotkey: str) -> None:
    """Raises Refused for a hotkey that is out already."""
    row = eliminated.elimination_of(registry, hotkey)
    if row is not None:
        raise Refused(f"{hotkey} is out already: {row.reason}")


def _say(text: str, code: ExitCode) -> int:
    sys.stderr.write(f"validator: {text}\n")
    return code
