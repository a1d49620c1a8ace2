"""Who reads the lists of one run: a character its own, a corporation's directors take turns."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec

from killsync.errors import KillsyncError, LoginNeeded
from killsync.esi.buckets import list_bucket
from killsync.esi.client import CORPORATION_SCOPE
from killsync.esi.corporations import read_list
from killsync.login import access, accounts
from killsync.model import (
    Access,
    Director,
    Page,
    Priority,
    Reader,
    User,
    UserKind,
    UserState,
    own_reader,
)
from killsync.store import directors as stored_directors
from killsync.store import limits as stored_limits
from killsync.store import users
from killsync.sync import directors
from killsync.sync.context import Services
from killsync.sync.directors import Wait
from killsync.sync.journal import Journal
from killsync.sync.list_pass import ListPass
from killsync.sync.verdict import AskAgain, NextDirector, Renew

_MOST_PASSED_OVER = 3


class RefusedDirector(msgspec.Struct, frozen=True):
    """How a director was refused in this run, and when, in unix seconds."""

    error: KillsyncError
    at: float


class Readers:
    """Chooses whose token reads the next page of a pass, and remembers who was refused.

    `corporations_read` are those whose lists were had in this run.
    """

    def __init__(self, services: Services, journal: Journal) -> None:
        self._s = services
        self._journal = journal
        self.corporations_read: set[int] = set()
        self._refused: dict[int, dict[int, RefusedDirector]] = {}
        self._passed_over: dict[int, set[int]] = {}
        # to the fraction of a second, which the database does not keep
        self._asked: dict[tuple[int, int], float] = {}
        self._loaded: set[Reader] = set()

    def choose(self, taken: ListPass, now: float) -> float | None:
        """Choose who reads the next page; return when that may be, None if nobody is left to ask.

        A director is noted as asked before it is.
        """
        ready_at = partial(self._ready_at, priority=taken.job.priority, now=now)
        user = taken.user
        if user.kind is not UserKind.CORPORATION:
            taken.reader = own_reader(user.user_id)
            return ready_at(taken.reader)
        if taken.reader is not None and ready_at(taken.reader) <= now:
            return now
        taken.release()
        line = self._line(user.user_id)
        chosen = directors.choose(
            line,
            now,
            {one.character_id: ready_at(_reader(one)) for one in line},
            refused=self._out_of_turn(user.user_id),
            everyone=taken.is_urgent or user.state is UserState.NEEDS_LOGIN,
        )
        if chosen is None or isinstance(chosen, Wait):
            return None if chosen is None else chosen.until
        self._ask(taken, chosen.director, now)
        return now

    def room_at(self, user: User, now: float) -> float:
        """Return when some more pages of a user's list may be asked for in the background."""
        readers = self._readers_of(user, now)
        return min(
            (self._ready_at(one, Priority.BACKGROUND, now, requests=3) for one in readers),
            default=now,
        )

    def access(self, taken: ListPass, now: float) -> Access | None:
        """Return the access token that reads the next page, None if it must be refreshed first.

        Raises LoginNeeded if there is no token, or it does not allow to read such a list.
        """
        reader = taken.reader
        assert reader is not None, "somebody was chosen"
        corporate = reader.kind is UserKind.CORPORATION
        if not corporate and taken.user.state is UserState.NEEDS_LOGIN:
            return None  # it is the refresh token that is to be tried
        if taken.access is None or taken.access.expires_at < now + accounts.FRESH_FOR:
            taken.access = accounts.stored_access(self._s.tokens, reader.character_id, now)
        found = taken.access
        if corporate and found and not access.grants(found.token, CORPORATION_SCOPE):
            raise LoginNeeded(f"the token lacks the scope {CORPORATION_SCOPE}")
        return found

    def reading(self, taken: ListPass, page: int, granted: Access) -> Callable[[], Page]:
        """Return what asks for a page of the list, in a thread of its own."""
        assert taken.reader is not None, "whose access it is"
        token, priority = granted.token, taken.job.priority
        return partial(read_list, self._s.esi, taken.reader, page, token, taken.etag, priority)

    def others_left(self, taken: ListPass, now: float) -> bool:
        """Return whether another director may be asked, after one for whom the page fails.

        An incident costs few requests, however many directors there are.
        """
        user_id = taken.user.user_id
        if len(self._passed_over.get(user_id, ())) >= _MOST_PASSED_OVER:
            return False
        gone = self._out_of_turn(user_id) | {taken.token_of}
        return any(
            directors.may_be_asked(one, now)
            for one in self._line(user_id)
            if one.character_id not in gone
        )

    def others_read(self, taken: ListPass) -> bool:
        """Return whether another corporation's list was had in this run."""
        return bool(self.corporations_read - {taken.user.user_id})

    def go_on(self, taken: ListPass, decided: AskAgain | Renew | NextDirector, now: float) -> None:
        """Have it tried again: later, with a new access token, or by another director.

        Who was refused, or passed over, is so until the end of the run.
        """
        match decided:
            case AskAgain():
                taken.ready_at = decided.at
            case Renew():
                self._renew(taken)
            case NextDirector():
                self._turn_to_next(taken, decided, now)

    def succeeded(self, taken: ListPass, now: float) -> None:
        """Take over that a page was had: its director works, and with it the corporation."""
        user, reader = taken.user, taken.reader
        if user.kind is not UserKind.CORPORATION or reader is None:
            return
        self.corporations_read.add(user.user_id)
        if taken.had_refused:
            write = partial(
                stored_directors.set_accepted,
                corporation_id=user.user_id,
                character_id=reader.character_id,
            )
            self._journal.add(write, now)
        if user.state is UserState.NEEDS_LOGIN:
            self._journal.add(partial(users.set_readable, user_id=user.user_id), now)
            taken.accept_token()
        taken.release()

    def take_refused(self) -> Mapping[int, Mapping[int, RefusedDirector]]:
        """Return who was refused in this run, by corporation and character, and forget it."""
        refused, self._refused = self._refused, {}
        return refused

    def _renew(self, taken: ListPass) -> None:
        taken.renewed.add(taken.token_of)
        if taken.access is not None:
            self._s.tokens.forget_access(taken.token_of, taken.access.token)
        taken.access = None

    def _turn_to_next(self, taken: ListPass, decided: NextDirector, now: float) -> None:
        user_id = taken.user.user_id
        if decided.refused is not None:
            refused = self._refused.setdefault(user_id, {})
            refused[taken.token_of] = RefusedDirector(decided.refused, now)
        if decided.passed_over:
            self._passed_over.setdefault(user_id, set()).add(taken.token_of)
        taken.ready_at = decided.at
        taken.release()

    def _out_of_turn(self, corporation_id: int) -> set[int]:
        refused = self._refused.get(corporation_id, {}).keys()
        return refused | self._passed_over.get(corporation_id, set())

    def _ask(self, taken: ListPass, director: Director, now: float) -> None:
        taken.reader = _reader(director)
        taken.had_refused = director.is_refused
        ids = (director.corporation_id, director.character_id)
        self._asked[ids] = now
        self._journal.commit(lambda conn: stored_directors.set_asked(conn, *ids, now))

    def _line(self, corporation_id: int) -> list[Director]:
        found = stored_directors.of_corporation(self._s.store.conn, corporation_id)
        return [
            msgspec.structs.replace(
                one, asked_at=self._asked.get((one.corporation_id, one.character_id), one.asked_at)
            )
            for one in found
        ]

    def _readers_of(self, user: User, now: float) -> Iterator[Reader]:
        if user.kind is not UserKind.CORPORATION:
            yield own_reader(user.user_id)
            return
        for one in self._line(user.user_id):
            if directors.may_be_asked(one, now):
                yield _reader(one)

    def _ready_at(self, reader: Reader, priority: int, now: float, *, requests: int = 1) -> float:
        bucket = list_bucket(reader)
        if reader not in self._loaded:
            self._loaded.add(reader)
            known = stored_limits.load(self._s.store.conn, bucket.group, bucket.key)
            self._s.limits.add(known)
        return self._s.limits.ready_at(bucket, priority, now, requests=requests)


def _reader(director: Director) -> Reader:
    return Reader(director.corporation_id, UserKind.CORPORATION, director.character_id)
