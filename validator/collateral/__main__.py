"""``python -m validator.collateral``: operations on the chain, for whoever has to settle one by hand.

Exit codes: 0 done; 1 there is no such operation, or the journal failed; 2 wrong usage, or no journal there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from journal.entry import JournalError, UnavailableError
from journal.layout import boot_state, open_journal
from runtime import logs
from runtime.clock import SystemClock
from runtime.settings import Settings, SettingsError, resolve
from validator.collateral.accounts import COLLATERAL, read_account
from validator.collateral.chain import SLASH, WITHDRAWAL
from validator.collateral.local import DEPOSIT
from validator.collateral.steps import Operation, encode_operation, read_operation
from validator.registry import Registry, draft
from vanta_api.records import encode

DONE, FAILED, COULD_NOT_RUN = 0, 1, 2
UNFINISHED: Final = ("open", "stuck")


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(argv)
    logs.configure("collateral", "warning")
    known = argparse.Namespace(settings=None, venues=None, config=options.config, data_dir=options.data_dir)
    try:
        settings = resolve(known, os.environ)
    except SettingsError as error:
        return _complain(str(error), COULD_NOT_RUN)
    if not settings.journal_path.is_file():
        return _complain(f"there is no journal at {settings.journal_path}", COULD_NOT_RUN)
    try:
        code: int = options.run(settings, options)
    except UnavailableError as error:
        return _complain(str(error), COULD_NOT_RUN)
    except JournalError as error:
        return _complain(str(error), FAILED)
    return code


def operations(settings: Settings, options: argparse.Namespace) -> int:
    """Print operations, one JSON object a line; unfinished ones unless all are wanted."""
    for key, operation in _found(_registry(settings)):
        if options.all or operation.state in UNFINISHED:
            line = msgspec.json.encode({"key": key, **msgspec.to_builtins(operation)})
            sys.stdout.write(line.decode() + "\n")
    return DONE


def close(settings: Settings, options: argparse.Namespace) -> int:
    """Say how a stuck operation ended, after it was settled by hand; its hotkey can then go on."""
    registry = _registry(settings)
    fact = registry.get(options.key)
    if fact is None or options.key not in dict(_found(registry)):
        return _complain(f"there is no operation {options.key}", FAILED)
    operation = read_operation(fact.body)
    if operation.state != "stuck":
        return _complain(f"{options.key} is {operation.state}, not stuck: leave it to the server", FAILED)
    account_fact = registry.get(COLLATERAL + operation.hotkey)
    ended = msgspec.structs.replace(operation, state=options.state)
    drafts = [draft(options.key, encode_operation(ended), expected=fact.sequence)]
    if account_fact is not None:
        account = read_account(account_fact.body)
        left = tuple(key for key in account.open if key != options.key)
        body = encode(msgspec.structs.replace(account, open=left))
        drafts.append(draft(account_fact.key, body, expected=account_fact.sequence))
    registry.put_many(drafts)
    return DONE


def _found(registry: Registry) -> Iterator[tuple[str, Operation]]:
    for kind in (DEPOSIT, WITHDRAWAL, SLASH):
        for fact in registry.with_prefix(kind):
            try:
                yield fact.key, read_operation(fact.body)
            except msgspec.ValidationError:
                continue  # a deposit in the local ledger: done when it was noted


def _registry(settings: Settings) -> Registry:
    journal = open_journal(settings, clock=SystemClock())
    return Registry(journal, boot_state(settings, journal))


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"collateral: {text}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m validator.collateral", description="Operations of collateral on the chain."
    )
    add = top.add_subparsers(required=True, metavar="COMMAND")
    shown = _add(add, "operations", operations, "print unfinished operations with their transactions")
    shown.add_argument("--all", action="store_true", help="finished ones too")
    closed = _add(add, "close", close, "say how a stuck operation ended, once it was settled by hand")
    closed.add_argument("key", help="the operation's key, as `operations` prints it")
    closed.add_argument("state", choices=("done", "failed"), help="what it came to")
    return top


def _add(add: Any, name: str, run: object, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = add.add_parser(name, help=text, description=f"{text}.")
    command.add_argument("--data-dir", help="directory of the journal (default: data)")
    command.add_argument("--config", help="TOML file with settings (default: config.toml if there)")
    command.set_defaults(run=run)
    return command


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
