"""Makes databases for the benchmarks, of realistic bodies that are the same each time."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from killsync.esi import prices as market
from killsync.esi.universe import Named
from killsync.killmail.body import decode
from killsync.model import KillmailRef, Priority
from killsync.simulator import bodies
from killsync.simulator.names import name_of
from killsync.simulator.options import Options
from killsync.simulator.prices import Market
from killsync.store import (
    connection,
    game_data,
    names,
    origin,
    pending,
    prices,
    storing,
    users,
)
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.times import iso

URL = "https://esi.example"
_SEED = 7
_FIRST_ID = 120_000_000
FIRST_USER = 90_000_000
# takes part in each hundredth killmail, in place of the first user
SECOND_USER = FIRST_USER + 1
_OF_THE_SECOND = 100
_PAGE = 1000
_ASKED_AT_ONCE = 1000
_BATCH = 100
_LISTED_AT = 1_800_000_000.0
_OF_KILLMAILS = ("killmails", "attackers", "items", "user_killmails", "killmail_values")
_COLUMNS_OF_TIME = ("killmail_time", "stored_at")

Insert = Callable[[sqlite3.Connection, Sequence[FetchedKillmail], str], list[int]]
"""What stores bodies in a transaction, and returns the ids stored now."""


class Raw(msgspec.Struct, frozen=True):
    """A killmail as ESI serves it: an entry of a list, and the bytes of its body."""

    killmail_id: int
    killmail_hash: str
    body: bytes


def make_raws(count: int, until: float = 1_790_000_000, apart: float = 60) -> list[Raw]:
    """Make killmails, oldest first, `apart` seconds apart, the last at unix time `until`."""
    return [_raw(n, int(until - (count - n) * apart)) for n in range(1, count + 1)]


def _raw(number: int, time: int) -> Raw:
    owner = FIRST_USER if number % _OF_THE_SECOND else SECOND_USER
    killmail = bodies.make_killmail(_SEED, _FIRST_ID + 3 * number, time, owner)
    body = msgspec.json.encode(bodies.make_body(_SEED, killmail))
    return Raw(killmail.killmail_id, killmail.killmail_hash, body)


@contextmanager
def make_database(path: Path, synced_at: float, user_count: int = 1) -> Iterator[Store]:
    """Make a database of users who were synced at a unix time; close it as a single file.

    The game data and the prices of that day are in it.
    """
    with closing(connection.connect(path, create=True)) as store:
        connection.upgrade(store)
        game_data.load_if_outdated(store)
        with store.transaction() as conn:
            origin.bind(conn, URL, URL)
            priced = market.decode(Market(Options(seed=_SEED)).listed(synced_at))
            prices.record(conn, iso(synced_at)[:10], priced, synced_at)
            for user_id in range(FIRST_USER, FIRST_USER + user_count):
                users.add(conn, user_id, f"Pilot {user_id}", synced_at)
                until = synced_at + 300
                users.set_head(conn, user_id, synced_at, etag="x", cached_until=until, pages=1)
        yield store
        store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def list_all(store: Store, made: Sequence[Raw]) -> None:
    """Record killmails for the first user as ESI lists them: newest first, page by page."""
    for page in _slices(made[::-1], _PAGE):
        refs = [KillmailRef(raw.killmail_id, raw.killmail_hash) for raw in page]
        with store.transaction() as conn:
            pending.record(conn, FIRST_USER, refs, Priority.BACKGROUND, _LISTED_AT)


def store_all(
    store: Store, made: Sequence[Raw], now: float, insert: Insert = storing.store
) -> None:
    """Decode and store listed killmails as `sync.bodies` does: newest first, in batches."""
    for batch in in_batches(made):
        fetched = [
            FetchedKillmail.compared(decode(raw.body, raw.killmail_id), raw.killmail_hash)
            for raw in batch
        ]
        ids = [raw.killmail_id for raw in batch]
        with store.transaction() as conn:
            wanted = pending.still_pending(conn, ids)
            kept = [arrival for arrival in fetched if arrival.killmail.killmail_id in wanted]
            pending.done(conn, ids, insert(conn, kept, iso(now)))


def name_all(store: Store, now: float) -> None:
    """Give a name to every id that waits for one, as scans do that have had their time."""
    with store.transaction() as conn:
        while ids := names.next_to_ask(conn, _ASKED_AT_ONCE):
            found = [name for id_ in ids if (name := name_of(_SEED, id_))]
            given = [Named(name.id, name.name, name.category) for name in found]
            given += [
                Named(id_, f"Nobody {id_}", "character")
                for id_ in set(ids) - {name.id for name in found}
            ]
            names.named(conn, given, now)


def in_batches(made: Sequence[Raw]) -> Iterator[Sequence[Raw]]:
    """Yield killmails in the order and batches in which a first sync stores them."""
    return _slices(made[::-1], _BATCH)


def _slices(made: Sequence[Raw], size: int) -> Iterator[Sequence[Raw]]:
    return (made[start : start + size] for start in range(0, len(made), size))


def multiply(source: Path, target: Path, times: int, apart: float) -> None:
    """Fill an empty database with `times` copies of another's killmails.

    Each copy has earlier times and lower ids than the one before it; `apart` is the number of
    seconds that a copy covers.
    """
    with closing(sqlite3.connect(target, isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous = OFF")
        conn.execute("ATTACH ? AS source", [str(source)])
        count, span = conn.execute(
            "SELECT count(*), max(killmail_id) - min(killmail_id) + 3 FROM source.killmails"
        ).fetchone()
        for copy in range(times - 1, -1, -1):
            shift = {
                "killmail_id": f"killmail_id - {copy * span}",
                "stored_seq": f"stored_seq + {(times - 1 - copy) * count}",
            } | {
                column: f"strftime('%Y-%m-%dT%H:%M:%SZ', {column}, '-{copy * apart} seconds')"
                for column in _COLUMNS_OF_TIME
            }
            conn.execute("BEGIN")
            for table in _OF_KILLMAILS:
                names = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
                values = ", ".join(shift.get(name, name) for name in names)
                # safe without column names, as both have the same schema
                conn.execute(
                    f"INSERT INTO main.{table} SELECT {values} FROM source.{table} ORDER BY 1, 2"
                )
            conn.execute("COMMIT")
        conn.execute("INSERT OR IGNORE INTO main.names SELECT * FROM source.names")
        total = times * count
        conn.execute(
            "UPDATE users SET listed = ?, killmails = ? WHERE user_id = ?",
            [total, total, FIRST_USER],
        )
        conn.execute("UPDATE facts SET value = ? WHERE name = 'stored_seq'", [total])
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
