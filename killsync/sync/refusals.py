"""Refused refresh tokens: judged at the end of a run, when it is known which others were."""

from functools import partial

from killsync.errors import LoginNeeded
from killsync.model import Refusal, User
from killsync.store import runs, users, waiting_users
from killsync.sync import verdict
from killsync.sync.context import Services
from killsync.sync.endings import Endings
from killsync.sync.health import Health
from killsync.sync.journal import Journal, Write
from killsync.sync.list_pass import ListPass
from killsync.sync.slots import Kind
from killsync.sync.verdict import NeedsLogin
from killsync.times import iso


class Refusals:
    """What was refused in one run."""

    def __init__(
        self, services: Services, journal: Journal, health: Health, endings: Endings
    ) -> None:
        self._s = services
        self._journal = journal
        self._health = health
        self._endings = endings
        self._refused: list[tuple[ListPass, LoginNeeded]] = []

    def hold(self, taken: ListPass, error: LoginNeeded) -> None:
        """Keep a refusal until the end of the run."""
        self._refused.append((taken, error))

    def judge(self, now: float) -> None:
        """Decide about refused tokens, now that it is known which other refreshes succeeded."""
        refused, self._refused = self._refused, []
        if refused:
            self._journal.commit()
        for taken, error in refused:
            # a manual sync may have renewed it meanwhile
            user = users.get(self._s.store.conn, taken.job.user_id)
            if user is not None:
                taken.user = user
                self._judge(taken, error, now)

    def _judge(self, taken: ListPass, error: LoginNeeded, now: float) -> None:
        user, client_id = taken.user, self._s.settings.client_id
        decided = verdict.on_refusal(user, error, client_id, now, counts=self._counts(user))
        if isinstance(decided, NeedsLogin):
            self._endings.end_login(taken, decided, error.evidence, now)
        else:
            self._health.leave_to_service(Kind.REFRESH, decided.reason)
            self._endings.leave(taken, decided, now, *self._evidence(user, error, now))

    def _counts(self, user: User) -> bool:
        """Return whether the user's refusals are its own: SSO accepts others, or there is nobody.

        Others that were accepted in the run of the first refusal count, or later.
        """
        conn = self._s.store.conn
        if user.refusal is None or waiting_users.is_alone(conn, user.user_id):
            return True
        since = runs.started_before(conn, user.refusal.at) or iso(user.refusal.at)
        return waiting_users.others_refreshed_since(conn, user.user_id, since)

    def _evidence(self, user: User, error: LoginNeeded, now: float) -> list[Write]:
        """Return what records the first refusal of a token, nothing if it is recorded."""
        client_id, token = self._s.settings.client_id, error.evidence or ""
        if user.refusal is not None and user.refusal.is_of(token, client_id, now):
            return []
        refusal = Refusal(now, token, client_id)
        return [partial(users.set_refused, user_id=user.user_id, refusal=refusal)]
