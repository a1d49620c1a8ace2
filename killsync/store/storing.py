"""Storing a killmail with all that follows from it: whose it is, and what else it makes known."""

import sqlite3
from collections.abc import Sequence

from killsync.killmail.ids import ids_with_names
from killsync.store import killmails, names, roles, values, zkb_lists
from killsync.store.killmails import FetchedKillmail
from killsync.times import unix


def store(conn: sqlite3.Connection, batch: Sequence[FetchedKillmail], now_iso: str) -> list[int]:
    """Store what is not stored yet, and return the ids stored now.

    Everything that follows from a body is written with it, so that none is seen without. The
    caller holds the transaction.
    """
    stored = killmails.insert(conn, batch, now_iso)
    bodies = [killmail for killmail, _ in stored]
    ids = ids_with_names(bodies)
    zkb_lists.forget_claims(conn, [killmail.killmail_id for killmail in bodies])
    roles.record(conn, stored, ids)
    names.ask_later(conn, ids)
    values.write(conn, stored, unix(now_iso))
    return [killmail.killmail_id for killmail in bodies]
