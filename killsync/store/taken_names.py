"""Names that the owner of a database has given, and that a newer schema needs.

The database is offered to any SQL client, so people make tables and views of their own in it.
"""

import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

from killsync.errors import DatabaseError


def check_free(path: Path, db: Database, migrations: Migrations) -> None:
    """Raise DatabaseError if something bears a name that pending migrations give to their own."""
    pending = migrations.pending(db)
    if not pending:
        return
    fresh = Database(memory=True)
    try:
        migrations.apply(fresh, stop_before=pending[0].name)
        before = _kinds(fresh.conn)
        migrations.apply(fresh)
        new = _kinds(fresh.conn).keys() - before.keys()
    finally:
        fresh.conn.close()
    for name, (kind, spelt) in _kinds(db.conn).items():
        if name in new:
            raise DatabaseError(
                f"{path}: killsync needs the name of the {kind} {spelt}: rename or drop that "
                "and run this again; nothing was changed"
            )


def _kinds(conn: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    # SQLite's names are the same in any case
    rows = conn.execute("SELECT lower(name), type, name FROM sqlite_master")
    return {name: (kind, spelt) for name, kind, spelt in rows}
