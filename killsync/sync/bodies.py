"""Killmail bodies: which to fetch next, what became of each, stored in batches."""

import sqlite3
from collections import deque
from functools import partial

import msgspec

from killsync.errors import KillmailUnknown
from killsync.esi.buckets import body_bucket
from killsync.killmail.body import Killmail
from killsync.model import Origin, Pending, Priority
from killsync.store import (
    facts,
    news,
    pending,
    queueing,
    retries,
    roles,
    storing,
    zkb_lists,
)
from killsync.store.killmails import FetchedKillmail
from killsync.sync import verdict
from killsync.sync.context import Services, Tally
from killsync.sync.events import BodiesStored, BodyNotOurs, BodyPutOff, BodySetAside, HashMismatch
from killsync.sync.health import FAILING_AFTER, Health, shows_an_answer
from killsync.sync.journal import Journal
from killsync.sync.slots import Kind, Request, Slots
from killsync.sync.verdict import Answering, BodyVerdict, EndRun, GiveBack, HoldBack, PutOff, Refuse
from killsync.times import iso, iso_after

BATCH = 100
# in one run: three runs share a window of 15 minutes, of which history leaves room for 144 bodies
_NEW_IN_A_RUN = 48
# a battle's killmails have thousands of attackers each; the next large one waits for this one
_MOST_BYTES = 512 * 1024
_LONGEST_WAIT = 1.0
UNINVOLVED = "no registered character or corporation takes part"


class Bodies:
    """The bodies of one run: candidates, those in flight, and those that wait to be stored."""

    def __init__(
        self, services: Services, journal: Journal, slots: Slots, health: Health, tally: Tally
    ) -> None:
        self._s = services
        self._journal = journal
        self._slots = slots
        self._health = health
        self._tally = tally
        self._candidates: deque[Pending] = deque()
        self._exhausted = False
        self._taken: dict[int, Pending] = {}
        self._fetched: list[FetchedKillmail] = []
        self._bytes = 0
        # held back until it is known whether ESI answers anybody
        self._doubts: dict[int, BaseException] = {}
        self._since = 0.0
        self._new_left = _NEW_IN_A_RUN
        # hashes of zKillboard's that ESI has refused in a row
        self._wrong_hashes = 0
        # since an earlier run: that one more does is no news
        self._all_fail = facts.bodies_fail_since(services.store.conn) is not None

    def look_again(self) -> None:
        """Forget what was read of the pending bodies: something more urgent may be there."""
        self._candidates.clear()
        self._exhausted = False

    def start(self, now: float) -> None:
        """Send what may be sent, most urgent first."""
        while not self._health.is_failing(Kind.BODY):
            body = self._next()
            if body is None or self._ready_at(body, now) > now:
                return
            urgent = body.priority >= Priority.MANUAL
            if not self._slots.free(Kind.BODY, urgent=urgent):
                return
            priority = self._limited_as(body)
            self._candidates.popleft()
            self._taken[body.killmail_id] = body
            self._new_left -= body.priority == Priority.BACKGROUND
            self._slots.start(
                Request(
                    Kind.BODY,
                    of=body.killmail_id,
                    urgent=urgent,
                    failed_before=body.attempts > 0,
                    only_by_zkb=body.origin is Origin.ZKB,
                    send=partial(
                        self._s.esi.killmail, body.killmail_id, body.killmail_hash, priority
                    ),
                    answered=partial(self._arrived, body),
                    failed=partial(self._failed, body),
                )
            )

    def ready_at(self, now: float) -> float | None:
        """Return when the most urgent body may be sent, None if there is none."""
        body = None if self._health.is_failing(Kind.BODY) else self._next()
        return None if body is None else self._ready_at(body, now)

    def is_batch_due(self, now: float) -> bool:
        """Return whether what has arrived is to be stored now."""
        waited = not self._since <= now < self._since + _LONGEST_WAIT
        full = len(self._fetched) >= BATCH or self._bytes >= _MOST_BYTES
        return bool(self._fetched) and (waited or full)

    def store(self, now: float) -> None:
        """Store what has arrived, in one transaction."""
        batch, self._fetched, self._bytes = self._fetched, [], 0
        if not batch:
            return
        ids = [fetched.killmail.killmail_id for fetched in batch]
        stored: list[int] = []
        uninvolved: set[int] = set()
        from_zkb: set[int] = set()
        failed_before = [i for i in ids if self._taken[i].attempts]
        channels = self._s.settings.tell

        def write(conn: sqlite3.Connection) -> None:
            listed_by = pending.still_pending(conn, ids)
            uninvolved.update(_uninvolved(conn, batch))
            stored.extend(storing.store(conn, _kept(batch, listed_by, uninvolved), iso(now)))
            if channels:
                queueing.queue(conn, news.among(conn, stored), channels, now)
            from_zkb.update(i for i in stored if listed_by[i] is Origin.ZKB)
            for killmail_id in uninvolved:
                _set_aside(conn, self._taken[killmail_id], now)
            if failed_before:
                retries.lift(conn, failed_before)
            pending.done(conn, [i for i in ids if i not in uninvolved], stored)

        self._journal.commit(write)
        self._tally.stored_from_zkb += len(from_zkb)
        known = {i for i in uninvolved if self._taken[i].is_set_aside}
        for killmail_id in ids:
            del self._taken[killmail_id]
        if failed_before:
            self.look_again()
        self._tally.stored += len(stored)
        self._s.report(BodiesStored(len(stored), self._tally.stored))
        # what was set aside for that before is no news
        self._report_batch([f for f in batch if f.killmail.killmail_id not in known], uninvolved)

    def _report_batch(self, batch: list[FetchedKillmail], uninvolved: set[int]) -> None:
        for fetched in batch:
            killmail_id = fetched.killmail.killmail_id
            if killmail_id in uninvolved:
                self._tally.refuse(UNINVOLVED)
                self._s.report(BodyNotOurs(killmail_id))
            elif not fetched.hash_ok:
                self._s.report(HashMismatch(killmail_id))

    def conclude(self, now: float) -> None:
        """Remember since when no body can be had, if this run has shown it or the contrary."""
        since = facts.bodies_fail_since(self._s.store.conn)
        served = self._health.any_served(Kind.BODY)
        if served and since is not None:
            self._journal.add(partial(facts.set_bodies_fail_since, since=None), now)
        elif since is None and self._health.any_failed(Kind.BODY) and not served:
            self._journal.add(partial(facts.set_bodies_fail_since, since=now), now)

    def settle_doubts(self, answering: Answering, now: float) -> None:
        """Decide about what was held back, now that it is known whether ESI answers."""
        doubts, self._doubts = self._doubts, {}
        for killmail_id, error in doubts.items():
            body = self._taken[killmail_id]
            decided = verdict.on_body(error, body, answering, now)
            self._carry_out(body, decided, error, now)

    def _next(self) -> Pending | None:
        """Return the most urgent body that is not being fetched yet, without taking it."""
        if not self._candidates and not self._exhausted:
            # those taken are still pending, so that many more must be read
            found = pending.ready(
                self._s.store.conn,
                BATCH + len(self._taken),
                only_users=self._s.only_users,
                # a list of wrong hashes must not use up what ESI allows
                only_esi=self._wrong_hashes >= FAILING_AFTER,
            )
            self._candidates.extend(p for p in found if p.killmail_id not in self._taken)
            self._exhausted = not self._candidates
        return self._candidates[0] if self._candidates else None

    def _ready_at(self, body: Pending, now: float) -> float:
        return self._s.limits.ready_at(body_bucket(), self._limited_as(body), now)

    def _limited_as(self, body: Pending) -> int:
        """Return the priority with which a body may spend: a flood of new ones counts as history.

        So the next run finds tokens left for what is new then.
        """
        flood = body.priority == Priority.BACKGROUND and self._new_left <= 0
        return Priority.GAP if flood else body.priority

    def _arrived(self, body: Pending, answer: tuple[Killmail, int], now: float) -> None:
        self.settle_doubts(Answering.ANSWERS, now)
        killmail, size = answer
        if not self._fetched:
            self._since = now
        if body.origin is Origin.ZKB:
            self._wrong_hashes = 0
        self._fetched.append(FetchedKillmail.compared(killmail, body.killmail_hash, body.origin))
        self._bytes += size

    def _failed(self, body: Pending, error: BaseException, now: float) -> None:
        if shows_an_answer(error):
            self.settle_doubts(Answering.ANSWERS, now)
        if body.origin is Origin.ZKB and isinstance(error, KillmailUnknown):
            self._wrong_hashes += 1
            if self._wrong_hashes == FAILING_AFTER:
                self.look_again()
        decided = verdict.on_body(error, body, Answering.UNKNOWN, now)
        self._carry_out(body, decided, error, now)

    def _carry_out(
        self, body: Pending, decided: BodyVerdict, error: BaseException, now: float
    ) -> None:
        match decided:
            case HoldBack():
                self._doubts[body.killmail_id] = error
            case PutOff():
                self._put_off(body, decided, now)
            case Refuse():
                self._refuse(body, decided, now)
            case EndRun():
                self._health.end_run(decided.error)
                self._give_back(body)
            case GiveBack():
                self._give_back(body)

    def _give_back(self, body: Pending) -> None:
        del self._taken[body.killmail_id]
        self.look_again()

    def _put_off(self, body: Pending, decided: PutOff, now: float) -> None:
        killmail_id, reason, until = body.killmail_id, decided.reason, decided.until
        write = partial(retries.put_off, body=body, error=reason, not_before=until)
        self._journal.add(write, now, partial(self._forget, killmail_id))
        if decided.reported:
            first = body.attempts == 0 and not self._all_fail
            self._tally.errors += 1
            self._tally.failures += first
            self._s.report(BodyPutOff(killmail_id, reason, iso_after(until), first=first))

    def _refuse(self, body: Pending, decided: Refuse, now: float) -> None:
        killmail_id, reason, until = body.killmail_id, decided.reason, iso_after(decided.until)
        write = partial(
            retries.refuse,
            body=body,
            error=reason,
            now=now,
            not_before=decided.until,
            set_aside=decided.set_aside,
        )
        self._journal.add(write, now, partial(self._forget, killmail_id))
        # the first time, unless only zKillboard lists it: it may never have been a killmail of a
        # user's; and when it is set aside
        first = body.attempts == 0 and not self._all_fail and body.origin is not Origin.ZKB
        first = first or (decided.set_aside and not body.is_set_aside)
        self._tally.errors += 1
        self._tally.failures += first
        if body.origin is Origin.ZKB:
            self._tally.refuse(reason)
        event = BodySetAside if decided.set_aside else BodyPutOff
        self._s.report(event(killmail_id, reason, until, first=first))

    def _forget(self, killmail_id: int) -> None:
        self._taken.pop(killmail_id, None)
        # a list may have shown another hash meanwhile, which may be asked with at once
        self.look_again()


def _uninvolved(conn: sqlite3.Connection, batch: list[FetchedKillmail]) -> set[int]:
    """Return which killmails only zKillboard lists, and wrongly: nobody registered takes part."""
    bodies = {fetched.killmail.killmail_id: fetched.killmail for fetched in batch}
    claimed = zkb_lists.only_by_zkb(conn, list(bodies))
    return roles.of_nobody(conn, [bodies[i] for i in claimed]) if claimed else set()


def _set_aside(conn: sqlite3.Connection, body: Pending, now: float) -> None:
    """Keep what zKillboard lists wrongly as refused: it lists it again at each import."""
    until = now + pending.SET_ASIDE_FOR
    retries.refuse(conn, body, UNINVOLVED, now, not_before=until, set_aside=True)


def _kept(
    batch: list[FetchedKillmail], listed_by: dict[int, Origin], uninvolved: set[int]
) -> list[FetchedKillmail]:
    """Return what is to be stored, each with who lists it now."""
    return [
        msgspec.structs.replace(fetched, origin=listed_by[killmail_id])
        for fetched in batch
        if (killmail_id := fetched.killmail.killmail_id) in listed_by.keys() - uninvolved
    ]
