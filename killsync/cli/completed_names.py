"""The names in the database that begin as typed; nothing is asked, made, upgraded or waited for."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from killsync.store import connection, named, reading, wal
from killsync.store.meant import folded
from killsync.store.named import Named

_PARTY = "--with"
# what completes a value, by what stands for it in the help, or by the option
NAMED = {
    "SHIP": (Named.SHIP, Named.SHIP_GROUP),
    "SYSTEM": (Named.SYSTEM,),
    "REGION": (Named.REGION,),
    _PARTY: (Named.PARTY,),
}
# all systems there are, and more: of a part of them the shell would type what those have in common
_MOST = 10_000
# of pilots there may be a million
_LEAST_TYPED_OF_PARTIES = 3
_PATIENCE = 0.2

Found = list[tuple[str, str]]


def user_names(database: Path, typed: str) -> Found:
    """Return the users whose name, or whose id, begins as typed, each with what tells it apart.

    A user is called by its id where its name is another's too, or cannot safely be typed.
    """
    with _opened(database) as conn:
        everybody = named.of_users(conn)
    times = Counter(folded(name) for _, name in everybody)
    found = []
    for user_id, name in everybody:
        if typed.isdecimal() and str(user_id).startswith(typed):
            found.append((str(user_id), name if name.isprintable() else ""))
        elif _is_typed(name) and times[folded(name)] == 1:
            found += [(name, str(user_id))] if folded(name).startswith(folded(typed)) else []
        elif not typed:
            found.append((str(user_id), name if name.isprintable() else ""))
    return found


def names_of(database: Path, subject: str, typed: str) -> Found:
    """Return the ships, systems, regions or players whose name begins as typed."""
    if subject == _PARTY and len(typed) < _LEAST_TYPED_OF_PARTIES:
        return []
    with _opened(database) as conn:
        found = [
            (name, kind.value if len(NAMED[subject]) > 1 else "")
            for kind in NAMED[subject]
            for _, name in named.beginning(conn, kind, typed, _MOST)
        ]
    return [one for one in dict(found).items() if _is_typed(one[0])]


def _is_typed(name: str) -> bool:
    """Return whether a name can be typed as it is, and is not taken for an option."""
    return bool(name.strip()) and name.isprintable() and not name.startswith("-")


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    # a file that has no WAL is read as it is: SQLite makes none beside it then
    if wal.file_of(database).exists():
        conn, _ = reading.connect(database, timeout=_PATIENCE)
    else:
        conn = reading.connect_unchanging(database)
    with closing(conn):
        connection.check_whose(database, conn)
        yield conn
