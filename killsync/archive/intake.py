"""What becomes of killmails from elsewhere: which are stored, in which batches, and what counts.

They make no claim: lists, cursors and counters of users know nothing of them, but for a killmail
that a list has shown already, whose body need not be asked for any more.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from killsync.archive import judging
from killsync.archive.judging import NotTaken
from killsync.archive.refusals import Refusal, Refused
from killsync.killmail import archived
from killsync.killmail.body import Killmail
from killsync.killmail.sides import parties, roles
from killsync.model import HashSource, Origin
from killsync.store import imports, pending, storing
from killsync.store.connection import Store
from killsync.store.imports import Archive
from killsync.store.killmails import FetchedKillmail
from killsync.times import iso

# a scan waits for a transaction to end: each takes some tenths of a second
BATCH = 500
# of JSON; decoded it takes ten times as much memory
MOST_BYTES = 1024 * 1024


class Counts(msgspec.Struct):
    """What was read so far: `stored`, `known` already, of `others` than the users, or refused."""

    stored: int = 0
    known: int = 0
    others: int = 0
    refused: Counter[Refusal] = msgspec.field(default_factory=Counter)

    @property
    def read(self) -> int:
        """How many there were in all."""
        return self.stored + self.known + self.others + self.refused.total()

    def named(self) -> dict[str, Any]:
        """Return them by the names that events give them, `refused` by reason."""
        refused = {reason.value: number for reason, number in self.refused.items()}
        return {
            "stored": self.stored,
            "known": self.known,
            "others": self.others,
            "refused": refused,
        }

    def copy(self) -> "Counts":
        """Return these counts as they are now."""
        return Counts(self.stored, self.known, self.others, self.refused.copy())

    def since(self, before: "Counts") -> "Counts":
        """Return what has been added since a copy was made."""
        return Counts(
            self.stored - before.stored,
            self.known - before.known,
            self.others - before.others,
            self.refused - before.refused,
        )


def ignore(reason: Refusal, what: str) -> None:
    """Take no notice of what is refused, which is counted all the same."""


class Intake:
    """Takes killmails one by one, and stores those that are wanted in batches of bounded size.

    Wanted is `everything`, or what a registered character or corporation takes part in: `ours`.
    `refused` is called with each that is refused. What was taken since the last batch is stored
    only by `store`.
    """

    def __init__(
        self,
        store: Store,
        origin: Origin,
        *,
        everything: bool,
        now: Callable[[], float],
        refused: Refused = ignore,
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._origin = origin
        self._everything = everything
        self._now = now
        self._refused = refused
        self._batch: list[FetchedKillmail] = []
        self._bytes = 0
        self.look_again()

    @property
    def taken(self) -> int:
        """How many were taken so far, those that are still to be stored among them."""
        return self.counts.read + len(self._batch)

    def look_again(self) -> None:
        """Look up again who is registered: what is read from now on is wanted for all of them."""
        self.users_added, self.ours = imports.registered(self._store.conn)

    def take(
        self,
        raw: bytes,
        killmail_id: int | None = None,
        *,
        decode: archived.Decode = archived.decode,
        where: str | None = None,
    ) -> None:
        """Take a body of archived JSON; one that is no killmail, or not of this id, is refused.

        `where` says where it stands, unless the id does.
        """
        try:
            killmail, killmail_hash = judging.decode(raw, killmail_id, form=decode, where=where)
        except NotTaken as refused:
            self.refuse(refused.reason, refused.what)
        else:
            self.offer(killmail, killmail_hash, len(raw))

    def offer(self, killmail: Killmail, killmail_hash: str | None, size: int) -> None:
        """Take a killmail whose JSON had `size` bytes; a hash that is given has to fit."""
        if not self._wants(killmail, self.ours):
            self.skip_others(1)
            return
        try:
            fetched = judging.believe(killmail, killmail_hash, self._origin)
        except NotTaken as refused:
            self.refuse(refused.reason, refused.what)
            return
        self._batch.append(fetched)
        self._bytes += size
        if len(self._batch) >= BATCH or self._bytes >= MOST_BYTES:
            # before the next one is decoded, which may be large too
            self.store()

    def skip_others(self, number: int) -> None:
        """Count what nobody of ours takes part in."""
        self.counts.others += number

    def refuse(self, reason: Refusal, what: str) -> None:
        """Count what cannot be taken."""
        self.counts.refused[reason] += 1
        self._refused(reason, what)

    def store(self, archive: Archive | None = None) -> None:
        """Store the batch that was taken; with it record an archive that was read to its end.

        Nothing is stored for who was removed meanwhile.
        """
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch and archive is None:
            return
        now = self._now()
        with self._store.transaction() as conn:
            registered = imports.registered(conn)
            ours = self.ours & registered[1]
            wanted = batch
            if ours != self.ours:
                wanted = [fetched for fetched in batch if self._wants(fetched.killmail, ours)]
            kept, doubted = _beside_lists(conn, wanted)
            stored = storing.store(conn, kept, iso(now))
            pending.done(conn, stored, stored)
            # with who was removed meanwhile, some of what was stored of it may be gone again
            if archive is not None and not (
                self._everything and registered != (self.users_added, self.ours)
            ):
                imports.record(conn, archive, now)
        self.counts.others += len(batch) - len(wanted)
        self.counts.stored += len(stored)
        self.counts.known += len(kept) - len(stored)
        for fetched in doubted:
            self.refuse(Refusal.OTHER_HASH, f"killmail {fetched.killmail.killmail_id}")

    def _wants(self, killmail: Killmail, ours: set[int]) -> bool:
        return self._everything or bool(roles(*parties(killmail), ours))


def _beside_lists(
    conn: sqlite3.Connection, batch: list[FetchedKillmail]
) -> tuple[list[FetchedKillmail], list[FetchedKillmail]]:
    """Return what agrees with what ESI's lists have shown, and what does not.

    The latter stays pending, for ESI to give its body. A hash that a list has shown is ESI's.
    """
    shown = pending.hashes_shown(conn, [fetched.killmail.killmail_id for fetched in batch])
    kept, doubted = [], []
    for fetched in batch:
        listed = shown.get(fetched.killmail.killmail_id)
        if listed is None:
            kept.append(fetched)
        elif listed == fetched.killmail_hash:
            kept.append(msgspec.structs.replace(fetched, hash_source=HashSource.ESI))
        else:
            doubted.append(fetched)
    return kept, doubted
