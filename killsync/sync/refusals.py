"""Refused refresh tokens: judged at the end of a run, when it is known which others were."""

from functools import partial

from killsync.errors import LoginNeeded
from killsync.model import Refusal, User
from killsync.store import facts, users
from killsync.sync import verdict
from killsync.sync.context import Services
from killsync.sync.endings import Endings
from killsync.sync.health import Health
from killsync.sync.journal import Journal, Write
from killsync.sync.list_pass import ListPass
from killsync.sync.slots import Kind
from killsync.sync.verdict import NeedsLogin


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
        conn, client_id = self._s.store.conn, self._s.settings.client_id
        before = facts.refused_since(conn)
        since = verdict.all_refused_since(
            before,
            sum(error.evidence is not None for _, error in refused),
            self._health.any_served(Kind.REFRESH),
            now,
        )
        if since != before:
            self._journal.add(partial(facts.set_refused_since, since=since), now)
        for taken, error in refused:
            # a manual sync may have renewed it meanwhile
            user = users.get(conn, taken.job.user_id)
            if user is None:
                continue
            taken.user = user
            decided = verdict.on_refusal(user, error, client_id, since, now)
            if isinstance(decided, NeedsLogin):
                self._endings.end_login(taken, decided, error.evidence, now)
            else:
                self._health.leave_to_service(Kind.REFRESH, decided.reason)
                self._endings.leave(taken, decided, *self._evidence(user, error, now))

    def _evidence(self, user: User, error: LoginNeeded, now: float) -> list[Write]:
        """Return what records the first refusal of a token, nothing if it is recorded."""
        client_id, token = self._s.settings.client_id, error.evidence or ""
        if user.refusal is not None and user.refusal.is_of(token, client_id, now):
            return []
        refusal = Refusal(now, token, client_id)
        return [partial(users.set_refused, user_id=user.user_id, refusal=refusal)]
