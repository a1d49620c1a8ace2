"""Refused directors: judged at the end of a run, when it is known which lists could be read."""

from collections.abc import Mapping
from functools import partial

from killsync.errors import LoginNeeded, describe
from killsync.model import Director, User, UserState
from killsync.store import directors as stored_directors
from killsync.store import runs, users, waiting_users
from killsync.sync import directors
from killsync.sync.context import Services
from killsync.sync.endings import Endings
from killsync.sync.health import Health
from killsync.sync.journal import Journal
from killsync.sync.list_pass import ListPass
from killsync.sync.readers import Readers, RefusedDirector
from killsync.sync.slots import Kind
from killsync.sync.verdict import NeedsLogin, NextRun
from killsync.times import iso

_IF_IT_LASTS = "if that lasts, `killsync login --corporation` adds one, or renews a login"
_NO_OTHER = f"nor can any other corporation's be read; {_IF_IT_LASTS}"


class RefusedDirectors:
    """The directors that were refused in one run, and the corporations that had no other left."""

    def __init__(
        self,
        services: Services,
        journal: Journal,
        health: Health,
        endings: Endings,
        readers: Readers,
    ) -> None:
        self._s = services
        self._journal = journal
        self._health = health
        self._endings = endings
        self._readers = readers
        self._held: list[ListPass] = []

    def hold(self, taken: ListPass) -> None:
        """Keep a corporation until the end of the run, which has no director left to ask."""
        self._held.append(taken)

    def judge(self, now: float) -> None:
        """Record who was refused, and decide about the corporations that nobody could read.

        If ESI has refused two or more of those, and no other was read, it is suspected, not they.
        """
        held, self._held = self._held, []
        refused = self._readers.take_refused()
        if not held and not refused:
            return
        self._journal.commit()
        without = [by for taken in held if (by := refused.get(taken.user.user_id))]
        suspected = (
            sum(not _are_logins(by) for by in without) > 1 and not self._readers.corporations_read
        )
        for corporation_id, by_character in refused.items():
            self._record(corporation_id, by_character, suspected=suspected)
        for taken in held:
            user = users.get(self._s.store.conn, taken.job.user_id)
            # another process may have disabled it meanwhile
            if user is not None and user.state in (UserState.ACTIVE, UserState.NEEDS_LOGIN):
                taken.user = user
                by_character = refused.get(user.user_id, {})
                self._judge(taken, by_character, now, suspected=suspected)

    def _record(
        self, corporation_id: int, refused: Mapping[int, RefusedDirector], *, suspected: bool
    ) -> None:
        conn = self._s.store.conn
        corporation = users.get(conn, corporation_id)
        if corporation is None:
            return
        marked = [
            directors.after_refusal(
                one,
                describe(refusal.error),
                refusal.at,
                counts=self._counts(corporation, one, refusal, suspected=suspected),
            )
            for one in stored_directors.of_corporation(conn, corporation_id)
            if (refusal := refused.get(one.character_id)) is not None
        ]
        self._journal.commit(
            *(partial(stored_directors.set_refused, director=one) for one in marked)
        )

    def _counts(
        self, corporation: User, director: Director, refusal: RefusedDirector, *, suspected: bool
    ) -> bool:
        """Return whether a refusal is the director's own: others are accepted since its first."""
        if director.refused_at is None:
            return True
        conn = self._s.store.conn
        since = runs.started_before(conn, director.refused_at) or iso(director.refused_at)
        if isinstance(refusal.error, LoginNeeded):
            character = users.get(conn, director.character_id)
            known = character is not None and character.state is UserState.NEEDS_LOGIN
            return (
                known
                or refusal.error.evidence is None
                or waiting_users.is_alone(conn, director.character_id)
                or waiting_users.others_refreshed_since(conn, director.character_id, since)
            )
        if suspected:
            return False
        # another director of its own has been asked after it
        if (corporation.last_sync_at or 0) >= director.refused_at:
            return True
        if stored_directors.is_only_corporation(conn, corporation.user_id):
            return waiting_users.others_listed_since(conn, corporation.user_id, since)
        return stored_directors.others_read_since(conn, corporation.user_id, since)

    def _judge(
        self,
        taken: ListPass,
        refused: Mapping[int, RefusedDirector],
        now: float,
        *,
        suspected: bool,
    ) -> None:
        line = stored_directors.of_corporation(self._s.store.conn, taken.user.user_id)
        if directors.are_all_confirmed(line):
            known = taken.user.state is UserState.NEEDS_LOGIN
            again_at = directors.try_again_at(line, now)
            decided = NeedsLogin(directors.describe(line), again_at, known=known, daily=True)
            self._endings.end_login(taken, decided, None, now)
            return
        by_token = _are_logins(refused)
        no_other = suspected and not by_token
        reason = directors.describe(line, _NO_OTHER if no_other else _IF_IT_LASTS)
        self._health.leave_to_service(Kind.REFRESH if by_token else Kind.LIST, reason)
        self._endings.leave(taken, NextRun(reason), now)


def _are_logins(refused: Mapping[int, RefusedDirector]) -> bool:
    """Return whether it is logins that do not work, of which SSO's other answers tell more."""
    return all(isinstance(one.error, LoginNeeded) for one in refused.values())
