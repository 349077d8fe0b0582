"""All the rules at work on one journal: who is out, who moves, what is penalised and what was paid.

Rule 1: the ledgers come first. Rules are asked only after every ledger has been brought up to date; a verdict
on figures that are still being worked out would be a verdict on nothing.
Rule 2: an operator's word is heard within a second; losses are looked at every ``check_s``, time limits and
ranks every ``challenge_check_s``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from journal.entry import Journal
from journal.state import State
from runtime.clock import Clock
from runtime.settings import Settings
from validator.challenge.keeper import ChallengeKeeper
from validator.challenge.rules import limits_of
from validator.challenge.standing import Standings
from validator.collateral.accounts import Accounts
from validator.collateral.rules import Limits, rao_of
from validator.debt.collector import Collector, Read
from validator.debt.keeper import PenaltyKeeper, collateral_in
from validator.eliminations.departed import Watch, read_metagraph
from validator.eliminations.index import Index
from validator.eliminations.keeper import Effect, EliminationKeeper
from validator.eliminations.slashing import LocalSlashing
from validator.entities.closing import Marks
from validator.ledger.account import Rules
from validator.ledger.book import Book
from validator.registry import Registry

LISTEN_MS = 1_000  # between two looks at what operators asked for

GoOn = Callable[[], bool]
"""Called between pieces of work; False: stop here, the rest is done another time."""


class Referee:
    """Judges with the ledgers of ``book``. Load it with the State that the book was loaded with."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        marks: Marks,
        book: Book,
        rules: Rules,
        clock: Clock,
        *,
        read_emissions: Read | None = None,
    ) -> None:
        self._settings, self._journal, self._book, self._clock = settings.rules, journal, book, clock
        self._all, self._marks, self._rules = settings, marks, rules
        self._read_emissions = read_emissions
        self._due_ms = self._rank_ms = self._listen_ms = 0
        self._heard = -1
        self.load(State())

    def load(self, state: State) -> None:
        """Begin with a journal's State. Raises JournalError."""
        settings, window_ms = self._all, self._rules.window_ms
        self.index = Index(self._journal)
        self.registry = Registry(self._journal, state)
        accounts = self._accounts()
        self.standings = Standings(self.index, self._live)
        self.penalties = PenaltyKeeper(
            self.index,
            self.registry,
            self._journal,
            self._rules,
            settings.rules,
            collateral_in(self.registry, accounts.sizes),
        )
        self.emissions = Collector(
            self.index, self._journal, settings.emissions, window_ms, self._read_emissions
        )
        self.eliminations = EliminationKeeper(
            self.index,
            self.registry,
            self._marks,
            settings.repo_version,
            watch=self._watch(),
            effects=self._effects(accounts),
        )
        self.challenges = ChallengeKeeper(
            self.index,
            self.registry,
            self.eliminations,
            self.standings,
            limits_of(settings.rules),
            default_class=settings.rules.default_asset_class,
        )
        self.index.load(state)

    def tick(self, go_on: GoOn = lambda: True) -> None:
        """Do what is due; call it when the ledgers are up to date. Raises JournalError."""
        now_ms = self._clock.now_ms()
        if now_ms < min(self._listen_ms, self._due_ms):
            return
        self._listen_ms = now_ms + LISTEN_MS
        self.index.catch_up()
        self.emissions.tick(now_ms)
        for _ in self.penalties.tick():
            if not go_on():
                return
        is_due = now_ms >= self._due_ms
        if is_due or self.registry.sequence != self._heard:
            self.eliminations.tick(now_ms)
            self._judge(now_ms, is_due=is_due)
            self._heard = self.registry.sequence

    def facts(self) -> dict[str, object]:
        """What health shows."""
        return {"emissions_problem": self.emissions.problem}

    def close(self) -> None:
        """Let go of threads."""
        self.emissions.close()

    def _judge(self, now_ms: int, *, is_due: bool) -> None:
        is_ranking = now_ms >= self._rank_ms
        self.challenges.tick(now_ms, is_deciding=self._settings.enabled, is_ranking=is_ranking)
        if is_due:
            self._due_ms = now_ms + round(self._settings.check_s * 1000)
        if is_ranking:
            self._rank_ms = now_ms + round(self._settings.challenge_check_s * 1000)

    def _live(self, hotkey: str) -> tuple[float, float] | None:
        account = self._book.accounts.get(hotkey)
        return None if account is None or account.dirty_ms is not None else account.value()

    def _drawdown(self, hotkey: str) -> float:
        live = self._live(hotkey)
        return 1.0 if live is None else live[1]

    def _accounts(self) -> Accounts:
        chosen = self._all.collateral
        return Accounts(self.registry, Limits(rao_of(chosen.balance_max), chosen.usd_per_theta), self._clock)

    def _effects(self, accounts: Accounts) -> list[Effect]:
        chosen = self._all.collateral
        return (
            [LocalSlashing(accounts, self._drawdown)] if chosen.enabled and chosen.backend == "local" else []
        )

    def _watch(self) -> Watch | None:
        path = self._all.rest.metagraph_file
        return None if path is None else Watch(self.registry, lambda: read_metagraph(Path(path)))
