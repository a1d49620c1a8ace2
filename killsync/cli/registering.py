"""Registering who has logged in, and its corporation if that is wanted; what is said of both."""

import time

import msgspec

from killsync.cli.invocation import Invocation
from killsync.errors import Blame, KillsyncError, TryLater
from killsync.esi.client import CORPORATION_SCOPE
from killsync.login import accounts
from killsync.login.accounts import Candidate
from killsync.login.corporations import Corporations, Registered
from killsync.settings.config import Settings
from killsync.store import directors, users
from killsync.store.connection import Store
from killsync.terminal.text import safe
from killsync.tokens.tokens import Tokens

_LONGEST_NAME = 60
_LONGEST_REASON = 500


class Outcome(msgspec.Struct, frozen=True):
    """What became of a candidate, which is registered in any case.

    `new` says whether as a new user. `corporation` is registered too; `problem` says why none is,
    though one was wanted. One that blames the run is said like any other, and ends the command.
    """

    candidate: Candidate
    new: bool
    corporation: Registered | None = None
    problem: KillsyncError | None = None

    @property
    def exit_code(self) -> int:
        """What the command exits with, if nothing worse happens."""
        return 0 if self.problem is None else self.problem.exit_code

    @property
    def ends_command(self) -> bool:
        """Whether nobody else could be registered either, as where no file can be opened."""
        return self.problem is not None and self.problem.blame is Blame.RUN

    def raise_if_ends(self) -> None:
        """Raise the problem if it ends the command."""
        if self.problem is not None and self.ends_command:
            raise self.problem

    @property
    def name(self) -> str:
        """The character's name, for a line."""
        return safe(self.candidate.character.name, _LONGEST_NAME)

    @property
    def user_ids(self) -> list[int]:
        """Who has been registered."""
        corporation = [self.corporation.corporation_id] if self.corporation else []
        return [self.candidate.character.character_id, *corporation]

    @property
    def names(self) -> str:
        """Who has been registered, for a line."""
        corporation = [safe(self.corporation.name, _LONGEST_NAME)] if self.corporation else []
        return " and ".join([self.name, *corporation])

    def character_line(self) -> str:
        """Return what was done with the character."""
        what = "added" if self.new else "renewed"
        return f"{what} {self.name} ({self.candidate.character.character_id})"

    def corporation_line(self) -> str | None:
        """Return what was done with its corporation, None if that is not registered."""
        found = self.corporation
        if found is None:
            return None
        corporation = f"{safe(found.name, _LONGEST_NAME)} ({found.corporation_id})"
        if found.new:
            return f"added {corporation}, with director {self.name}"
        if found.new_director:
            return f"added director {self.name} to {corporation}"
        return f"renewed {corporation}, with director {self.name}"

    def reason(self) -> str | None:
        """Return why it is not registered as a director, None if nothing was wrong."""
        return None if self.problem is None else safe(self.problem, _LONGEST_REASON)


class Registering:
    """Registers candidates, for one command; without `corporations` characters alone."""

    def __init__(
        self,
        call: Invocation,
        settings: Settings,
        store: Store,
        tokens: Tokens,
        corporations: Corporations | None,
    ) -> None:
        self._call = call
        self._settings = settings
        self._store = store
        self._tokens = tokens
        self._corporations = corporations

    def register(self, candidate: Candidate) -> Outcome:
        """Register a character and, beside it, its corporation.

        Raises as `accounts.register`: then nobody is registered. What keeps its corporation from
        being registered is the outcome's `problem`.
        """
        new = accounts.register(self._store, self._tokens, self._settings, candidate, time.time())
        if self._corporations is None:
            self._warn_of_lists_out_of_reach(candidate)
            return Outcome(candidate, new)
        found: Registered | None = None
        problem: KillsyncError | None = None
        try:
            found = self._register_corporation(self._corporations, candidate)
        except KillsyncError as error:
            problem = error
        outcome = Outcome(candidate, new, found, problem)
        if not outcome.ends_command:
            self._warn_of_corporations(self._corporations, outcome)
        return outcome

    def _warn_of_corporations(self, corporations: Corporations, outcome: Outcome) -> None:
        for left in corporations.note_departures(outcome.candidate.character, time.time()):
            self._call.warn(
                f"{outcome.name} has left {safe(left, _LONGEST_NAME)}, "
                "whose killmails it can read no more"
            )
        if outcome.corporation is not None and outcome.corporation.disabled:
            name = safe(outcome.corporation.name, _LONGEST_NAME)
            enable = self._call.program.line(f"users enable {outcome.corporation.corporation_id}")
            self._call.warn(f"{name} stays disabled: `{enable}` has it synced again")

    def _register_corporation(self, corporations: Corporations, candidate: Candidate) -> Registered:
        if candidate.unverified:
            raise TryLater("its login could not be verified yet")
        access_token = candidate.grant.access_token
        return corporations.register(candidate.character, access_token, time.time())

    def _warn_of_lists_out_of_reach(self, candidate: Candidate) -> None:
        """Warn if this login has replaced one that read corporations' lists, and does not."""
        character, conn = candidate.character, self._store.conn
        if CORPORATION_SCOPE in character.scopes:
            return
        for director in directors.of_character(conn, character.character_id):
            corporation = users.get(conn, director.corporation_id)
            name = safe(corporation.name if corporation else director.corporation_id, _LONGEST_NAME)
            self._call.warn(
                f"{safe(character.name, _LONGEST_NAME)} no longer reads the killmails of {name}: "
                f"this login lacks the scope {CORPORATION_SCOPE}; log in again with "
                f"`{self._call.program.line('login --corporation')}`"
            )
