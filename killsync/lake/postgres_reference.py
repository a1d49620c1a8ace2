"""What killmails are read with, kept current in PostgreSQL: users, names, game data, prices.

Each batch is a transaction, in which the schema is held. How far a source came stands in
`reference_places`, and its days with prices in `price_days`; what was broken off is brought again,
and changes nothing a second time.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from killsync.lake import postgres_roles
from killsync.lake.postgres import Conn
from killsync.lake.postgres_upsert import Table, create, upsert
from killsync.store import facts, reference
from killsync.times import DAY, is_within, unix

_NAMES = Table(
    "names",
    # when ESI gave it; NULL: it came with the game data
    {"id": "bigint", "category": "text", "name": "text", "named_at": "timestamptz"},
)
_TYPES = Table(
    "types",
    {
        "type_id": "bigint",
        "name": "text",
        "group_id": "bigint",
        "group_name": "text",
        "category_id": "bigint",
        "category_name": "text",
    },
)
_SYSTEMS = Table(
    "systems",
    {
        "system_id": "bigint",
        "name": "text",
        "security": "double precision",
        "constellation_id": "bigint",
        "constellation": "text",
        "region_id": "bigint",
        "region": "text",
    },
)
_FACTIONS = Table("factions", {"faction_id": "bigint", "name": "text"})
# by source, as its killmails are valued by them
_PRICES = Table(
    "prices",
    {
        "source": "text",
        "type_id": "bigint",
        "day": "date",
        "average": "double precision",
        "adjusted": "double precision",
        # what counts of the two, in ISK to the cent
        "price": "double precision",
    },
    keys=3,
)
_PRICE_DAYS = Table(
    "price_days", {"source": "text", "day": "date", "fetched_at": "timestamptz"}, keys=2
)
_PLACES = Table(
    "reference_places",
    {
        "source": "text",
        # in unix seconds: up to when names were brought, and when that were all of them
        "names_at": "double precision",
        "names_whole_at": "double precision",
        # the build of the game data
        "game_data": "bigint",
    },
)
_TABLES = (_NAMES, _TYPES, _SYSTEMS, _FACTIONS, _PRICES, _PRICE_DAYS, _PLACES)

_LATER = "names.named_at IS NULL OR excluded.named_at >= names.named_at"
# a row of the game data is not replaced by a mere name
_NAMED = {
    "types": "types.group_id IS NULL",
    "systems": "systems.security IS NULL",
    "factions": "true",
}
_WHOLE_EVERY = 7 * DAY
# a clock that was behind has named some after others that have a later time
_ASK_BACK = DAY

_PLACE = "SELECT * FROM reference_places WHERE source = %s"
_NEWEST_GAME_DATA = "SELECT coalesce(max(game_data), 0) FROM reference_places"
_USERS = "SELECT user_id, kind, name FROM users WHERE source = %s"
_DAYS = """
SELECT day::text, to_char(fetched_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM price_days WHERE source = %s ORDER BY day
"""
# only what was read: another feed may have brought a day again
_FORGET_DAYS = """
WITH gone AS (
    DELETE FROM price_days AS d USING unnest(%s::date[], %s::timestamptz[]) AS lost (day, at)
    WHERE d.source = %s AND d.day = lost.day AND d.fetched_at = lost.at
    RETURNING d.source, d.day)
DELETE FROM prices AS p USING gone WHERE p.source = gone.source AND p.day = gone.day
"""

_T = TypeVar("_T")
Repeat = Callable[[Callable[[Conn], bool]], bool]
"""Does a step in a transaction that holds the schema, again until it says that nothing is left.

It says whether it came to that; else it was stopped.
"""


class Brought(msgspec.Struct):
    """What was brought: how many rows are new or have changed, and how many users are gone.

    `game_data` is the build that was brought, None if it was there.
    """

    users: int = 0
    users_gone: int = 0
    names: int = 0
    game_data: int | None = None
    price_days: int = 0
    complete: bool = False


class _Place(msgspec.Struct):
    source: str
    names_at: float | None = None
    names_whole_at: float | None = None
    game_data: int | None = None


class _StoppedError(Exception):
    """Between two steps."""


def create_tables(conn: Conn) -> None:
    """Create the tables, in the schema of a transaction."""
    for table in _TABLES:
        create(conn, table)
    # which types are structures is asked with each kill
    conn.execute("CREATE INDEX types_category ON types (category_id)")


def bring(repeat: Repeat, conn: sqlite3.Connection, source: str, now: float) -> Brought:
    """Bring what has changed in a database since it was brought last.

    The caller brings killmails after it: what they are read with is there then. `now` is in unix
    seconds. No snapshot of the database, `conn`, is held longer than a table takes.
    """
    bringing = _Bringing(repeat, conn, source)
    with suppress(_StoppedError):
        bringing.users()
        bringing.game_data()
        bringing.names(now)
        bringing.prices()
        bringing.brought.complete = True
    return bringing.brought


class _Bringing:
    """The steps, and what they have brought."""

    def __init__(self, repeat: Repeat, conn: sqlite3.Connection, source: str) -> None:
        self.brought = Brought()
        self._repeat = repeat
        self._conn = conn
        self._source = source

    def users(self) -> None:
        """Bring who is registered, with the roles of whoever is new, and remove who is gone."""
        wanted = {user[0]: _clean(user) for user in reference.users(self._conn)}
        known = {user[0]: user for user in self._read(_USERS, self._source)}
        changed = [user for user_id, user in wanted.items() if known.get(user_id) != user]
        if changed:
            self._do(lambda there: postgres_roles.add(there, self._source, changed))
        for user_id in known.keys() - wanted.keys():
            self._do(partial(postgres_roles.remove, source=self._source, user_ids=[user_id]))
            self.brought.users_gone += 1
        if not self._repeat(postgres_roles.look_up_next):
            raise _StoppedError
        self.brought.users = len(changed)

    def game_data(self) -> None:
        """Bring game data of another build, and the little that only ESI has named.

        Of several sources the newest game data stay.
        """
        place = self._place()
        loaded = facts.game_data(self._conn)
        if loaded is not None and loaded[0] != place.game_data:
            build = loaded[0]
            ((newest,),) = self._read(_NEWEST_GAME_DATA)
            when = "true" if build >= newest else "false"
            for table in (_TYPES, _SYSTEMS, _FACTIONS):
                self._upsert(table, reference.game_data(self._conn, table.name), when)
            self._upsert(_NAMES, reference.names_of_game(self._conn), when)
            place.game_data = self.brought.game_data = build
            self._keep(place)
        for table in (_TYPES, _SYSTEMS, _FACTIONS):
            self._upsert(table, reference.named_by_esi(self._conn, table.name), _NAMED[table.name])

    def names(self, now: float) -> None:
        """Bring the names that ESI has given since; once a week all, whatever a clock did."""
        place = self._place()
        whole = not is_within(place.names_whole_at, now, _WHOLE_EVERY)
        since = 0.0 if whole else min(place.names_at or 0.0, now) - _ASK_BACK
        for rows in reference.names_since(self._conn, since):
            self.brought.names += self._upsert(_NAMES, [rows], _LATER)
            place.names_at = min(unix(rows[-1][-1]), now)
        if whole:
            place.names_whole_at = now
        self._keep(place)

    def prices(self) -> None:
        """Bring the prices of the days that were not there yet.

        A restore may have taken days away, or they were fetched again since: those go first. Rows
        of the day after one may have come with it, which hold what it would have changed.
        """
        known: list[tuple[str, str]] = self._read(_DAYS, self._source)
        # after those, which another feed may be bringing
        days = reference.price_days(self._conn)
        gone = set(known).difference(days)
        lost = gone | {later for day, later in pairwise(known) if day in gone}
        if lost:
            self._do(partial(self._forget_days, list(lost)))
        there = {day for day, _ in set(known) - lost}
        new = [(self._source, *day) for day in days if day[0] not in there]
        if not new:
            return
        missing = {day for _, day, _ in new}
        after = {later[0] for day, later in pairwise(days) if day[0] in missing}
        rows = reference.prices_on(self._conn, missing | after)
        self._upsert(_PRICES, ([(self._source, *row) for row in some] for some in rows))
        self._upsert(_PRICE_DAYS, [new])
        self.brought.price_days = len(new)

    def _forget_days(self, lost: list[tuple[str, str]], there: Conn) -> None:
        days, fetched = (list(column) for column in zip(*lost, strict=True))
        there.execute(_FORGET_DAYS, [days, fetched, self._source])

    def _place(self) -> _Place:
        rows = self._read(_PLACE, self._source)
        return _Place(*rows[0]) if rows else _Place(self._source)

    def _keep(self, place: _Place) -> None:
        self._upsert(_PLACES, [[msgspec.structs.astuple(place)]])

    def _read(self, query: str, *parameters: object) -> list[Any]:
        return self._do(lambda there: there.execute(query, parameters).fetchall())

    def _upsert(
        self, table: Table, batches: Iterable[list[tuple[Any, ...]]], when: str = "true"
    ) -> int:
        """Put rows into a table, a batch in a transaction; return how many were written."""
        return sum(
            self._do(partial(upsert, table=table, rows=list(map(_clean, rows)), when=when))
            for rows in batches
        )

    def _do(self, step: Callable[[Conn], _T]) -> _T:
        """Return what a step returns that is done once."""
        found: list[_T] = []

        def once(there: Conn) -> bool:
            found[:] = [step(there)]
            return False

        if not self._repeat(once):
            raise _StoppedError
        return found[0]


def _clean(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row without NUL, which no text of PostgreSQL's can hold."""
    return tuple(v.replace("\0", "\N{REPLACEMENT CHARACTER}") if type(v) is str else v for v in row)
