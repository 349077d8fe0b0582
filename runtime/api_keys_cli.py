"""``python -m runtime.api_keys``: the only writer of an existing key file.

Rule 1: a change is a whole new file that replaces the old one by rename, after the old one was kept as
``<name>.bak``; a crash at any moment leaves one of the two complete.
Rule 2: two commands at once do not lose each other's change (an advisory lock beside the file).
Rule 3: a file that cannot be understood is never rewritten.
Rule 4: a key is shown exactly once, by ``add``, and never accepted as an argument (``ps`` would show it).

Exit codes: 0 done, 1 the file is at fault or nothing matched, 2 wrong command line.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from runtime import api_keys, usage
from runtime.api_key_file import SCOPES, ApiKey, KeyFileError, digest_of, parse, parse_document, read_file
from runtime.exit_codes import ExitCode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (KeyFileError, ValueError, OSError, apsw.Error) as error:
        print(f"api_keys: {error}", file=sys.stderr)
        return ExitCode.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runtime.api_keys", description="Manage API keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    add = _command(commands, "add", _add, "make a key for a new user and print it once")
    add.add_argument("user")
    add.add_argument("--tier", type=int, required=True, help="0, 30, 50, 100 or 200 (500: administration)")
    add.add_argument("--label", help="free text")
    add.add_argument("--expires", help="ISO 8601 date or time (UTC), or ms since 1970")
    add.add_argument("--scopes", help=f"comma-separated, of {', '.join(sorted(SCOPES))} (default: all)")
    add.add_argument("--trade-pairs", choices=("all", "vanta"), help="vanta: only pairs Vanta itself knows")
    add.add_argument("--hashed", action="store_true", help="store only the key's SHA-256")
    add.add_argument("--stdin", action="store_true", help="read the key from standard input")
    _command(commands, "list", _list, "show users and rights, never keys")
    revoke = _command(commands, "revoke", _revoke, "remove a key")
    revoke.add_argument("user_or_id")
    check = _command(commands, "check", _check, "tell whether the file is valid")
    check.add_argument("--stdin", action="store_true", help="tell what the key on standard input may do")
    used = _command(commands, "usage", _usage, "requests, bytes and messages per key and UTC day")
    used.add_argument("--data-dir", type=Path, default=Path(os.environ.get("VANTA_DATA_DIR", "data")))
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    default = Path(os.environ.get("VANTA_API_KEYS", "vanta_api/api_keys.json"))
    parser.add_argument("--file", type=Path, default=default, help=f"key file (default: {default})")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add(options: argparse.Namespace) -> int:
    secret = sys.stdin.readline().strip() if options.stdin else api_keys.new_secret()
    with _changing(options.file) as document:
        if options.user in document:
            raise ValueError(f"user {options.user!r} has a key already: revoke it first")
        document[options.user] = _entry(options, secret)
        table = parse(_encode(document))
        if (key := table.find(secret)) is None or key.user != options.user:
            raise ValueError("; ".join(table.warnings) or "the key would have expired already")
    _print(options, {**_facts(key), "key": secret}, f"{secret}")
    return ExitCode.OK


def _entry(options: argparse.Namespace, secret: str) -> dict[str, Any]:
    if not secret:
        raise ValueError("no key on standard input")
    entry: dict[str, Any] = {"key_sha256": digest_of(secret).hex()} if options.hashed else {"key": secret}
    entry["tier"] = options.tier
    expires = int(options.expires) if str(options.expires).isdecimal() else options.expires
    scopes = options.scopes.split(",") if options.scopes else None
    optional = {"label": options.label, "expires": expires, "scopes": scopes}
    optional["trade_pairs"] = options.trade_pairs
    return entry | {name: value for name, value in optional.items() if value is not None}


def _list(options: argparse.Namespace) -> int:
    table = parse(read_file(options.file))
    for warning in table.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    rows = [_facts(key) for key in table]
    lines = [f"{r['id']}  tier {r['tier']:>3}  {r['user']}{_remarks(r)}" for r in rows]
    _print(options, rows, "\n".join(lines))
    return ExitCode.OK


def _remarks(row: dict[str, Any]) -> str:
    remarks = [f"{name} {row[name]}" for name in ("label", "expires") if row[name] is not None]
    if row["trade_pairs"] != "all":
        remarks.append(f"trade pairs {row['trade_pairs']}")
    if set(row["scopes"]) != SCOPES:
        remarks.append(f"scopes {','.join(row['scopes'])}")
    return f"  ({'; '.join(remarks)})" if remarks else ""


def _revoke(options: argparse.Namespace) -> int:
    with _changing(options.file) as document:
        table = parse(_encode(document))
        users = {key.user for key in table if key.id == options.user_or_id}
        users |= {options.user_or_id} & set(document)
        if not users:
            raise ValueError(f"no user or key id {options.user_or_id!r} in {options.file}")
        for user in users:
            del document[user]
    _print(options, {"revoked": sorted(users)}, f"revoked: {', '.join(sorted(users))}")
    return ExitCode.OK


def _check(options: argparse.Namespace) -> int:
    table = parse(read_file(options.file))
    if options.stdin:
        key = table.find(sys.stdin.readline().rstrip("\n"))
        _print(
            options, _facts(key) if key else None, f"{key.user}: tier {key.tier}" if key else "no such key"
        )
        return ExitCode.OK if key else ExitCode.FAILED
    answer = {"keys": len(table), "warnings": list(table.warnings)}
    _print(options, answer, "\n".join((f"{len(table)} keys", *table.warnings)))
    return ExitCode.FAILED if table.warnings else ExitCode.OK


def _usage(options: argparse.Namespace) -> int:
    rows = usage.merged(options.data_dir / "usage")
    users = _users(options.file)
    for row in rows:
        row["user"] = users.get(row["key_id"])
    lines = [
        f"{r['day']}  {r['key_id']}  requests {r['requests']}  bytes {r['bytes']}  "
        f"messages {r['messages']}  {r['user'] or '(revoked)'}"
        for r in rows
    ]
    _print(options, rows, "\n".join(lines) or "nothing counted yet")
    return ExitCode.OK


def _users(path: Path) -> dict[str, str]:
    try:
        return {key.id: key.user for key in parse(read_file(path))}
    except KeyFileError:
        return {}  # usage stays readable while the key file is at fault


def _facts(key: ApiKey) -> dict[str, Any]:
    expires = (
        None if key.expires_ms is None else datetime.fromtimestamp(key.expires_ms / 1000, UTC).isoformat()
    )
    facts = {"id": key.id, "user": key.user, "tier": key.tier, "label": key.label, "expires": expires}
    return {**facts, "scopes": sorted(key.scopes), "trade_pairs": key.trade_pairs}


def _print(options: argparse.Namespace, answer: Any, text: str) -> None:
    print(json.dumps(answer) if options.json else text)


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Any]]:
    """The file's document, to be changed in place; written when the block ends without an error."""
    target = Path(os.path.realpath(path))  # a symbolic link stays one
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_name(f".{target.name}.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = read_file(target) if target.exists() else b"{}"
        document = parse_document(old)
        yield document
        if target.exists():
            _replace(target.with_name(f"{target.name}.bak"), old, target)
        _replace(target, _encode(document), target)


def _replace(path: Path, content: bytes, like: Path) -> None:
    """Put ``content`` at ``path`` at once, with the permissions of ``like`` (0600 when there is none)."""
    mode = like.stat().st_mode & 0o777 if like.exists() else 0o600
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut
    finally:
        os.close(directory)
