"""Opening the killmail database: whose file it is, which version, who may write.

Nothing heavy is imported before it is needed: a scan with nothing due and `status` start fast.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from killsync import files
from killsync.errors import DatabaseBusy, DatabaseError, NoDatabase
from killsync.store import reading, room, wal
from killsync.store.paths import token_file
from killsync.store.sqlite_errors import foreign_wal, is_busy, readable_errors

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

VERSION = 8
_DURING_A_RUN = "while killsync was at work; what it had committed is in the file that was here"
_APPLICATION_ID = 0x4B534E43
_OLDEST_SQLITE = (3, 37, 0)
_BUSY_TIMEOUT = 60.0
# more than the pages that a registration changes
_ROOM = 262_144


def _never() -> bool:
    return False


class Outdated(DatabaseError):
    """The schema is older, and a command that only reads upgrades nothing."""


class _Displaced(DatabaseError):
    """The database file has been moved, replaced, deleted or cut short while it was open."""


class Store:
    """An open killmail database; `conn` is in autocommit mode outside `transaction()`."""

    def __init__(self, path: Path, conn: sqlite3.Connection, *, unwatched: bool = False) -> None:
        self.path = path
        self.conn = conn
        self._unwatched = unwatched
        self.uri = reading.uri(path, unchanging=unwatched)
        self.file = path.stat()
        self._seen = 0
        # asked while another program keeps the database locked
        self.gives_up: Callable[[], bool] = _never

    @cached_property
    def db(self) -> "Database":
        """The same connection as sqlite-utils sees it."""
        from sqlite_utils import Database

        return Database(self.conn)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold a write transaction: all of it is committed, or nothing.

        Raises DatabaseError, with nothing committed, if the file is no longer where it was.
        """
        try:
            with write_transaction(self.db, self.gives_up):
                yield self.conn
                self._check_in_place()
        except _Displaced:
            self._leave_no_wal()
            raise

    def prove_writable(self) -> None:
        """Write something durably that changes nothing. Raises DatabaseError if that fails.

        A user that is registered next has room on the disk then.
        """
        with readable_errors(self.path), self.transaction() as conn:
            conn.execute("UPDATE facts SET value = value")
            room.reserve(self.path, _ROOM)

    def version(self) -> int:
        """Return how many migrations the database has had."""
        return _version(self.conn)

    def changed_elsewhere(self) -> int:
        """Return a number that differs when another process has committed something."""
        return int(self.conn.execute("PRAGMA data_version").fetchone()[0])

    def check_unchanged(self) -> None:
        """Raise DatabaseBusy if what was read may be wrong, because SQLite could not watch it.

        That is so where it may write nothing, and another user who may has done so.
        """
        now, was = self.path.stat(), self.file
        if self._unwatched and (now.st_size, now.st_mtime_ns) != (was.st_size, was.st_mtime_ns):
            raise DatabaseBusy(f"{self.path}: was changed while it was read; try again")

    def close(self) -> None:
        """Close the database."""
        self.conn.close()

    def _check_in_place(self) -> None:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            raise _Displaced(f"{self.path}: was moved or deleted {_DURING_A_RUN}") from None
        if (now.st_dev, now.st_ino) != (self.file.st_dev, self.file.st_ino):
            raise _Displaced(f"{self.path}: was replaced by another file {_DURING_A_RUN}")
        # another program may have made it smaller by VACUUM, and then has committed
        seen = self.changed_elsewhere()
        shrunk = seen == self._seen and now.st_size < self.file.st_size
        if shrunk and now.st_size < self._size():
            raise _Displaced(
                f"{self.path}: was cut short by another program; `killsync restore` puts a backup "
                "back"
            )
        self.file, self._seen = now, seen

    def _size(self) -> int:
        pages, of_bytes = (
            int(self.conn.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "page_size")
        )
        return pages * of_bytes

    def _leave_no_wal(self) -> None:
        # what was committed belongs into the file that was here; left in the WAL, SQLite would
        # play it into whatever file bears this name next
        with suppress(sqlite3.Error):
            self.conn.execute("PRAGMA busy_timeout = 1000")
            self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def snapshot(conn: sqlite3.Connection) -> Iterator[None]:
    """Make several queries see one state, whatever others commit meanwhile."""
    if conn.in_transaction:
        yield
        return
    conn.execute("BEGIN")
    try:
        yield
    finally:
        if conn.in_transaction:  # some errors of SQLite end it by themselves
            conn.execute("ROLLBACK")


@contextmanager
def write_transaction(db: "Database", gives_up: Callable[[], bool] = _never) -> Iterator[None]:
    """Hold a write transaction on any sqlite-utils database.

    It takes the write lock at once: a transaction that started by reading cannot wait for
    another writer, SQLite makes it fail. It waits a minute at most, and a second once the caller
    `gives_up`.
    """
    _begin(db.conn, gives_up)
    try:
        with db.atomic():
            yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


def _begin(conn: sqlite3.Connection, gives_up: Callable[[], bool]) -> None:
    # Python sees no signal while SQLite waits: so SQLite waits a little, again and again
    conn.execute("PRAGMA busy_timeout = 200")
    began = time.monotonic()
    try:
        while True:
            try:
                conn.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                patience = 1.0 if gives_up() else _BUSY_TIMEOUT
                if not is_busy(error) or time.monotonic() - began > patience:
                    raise
    finally:
        conn.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT * 1000)}")


def connect(
    path: Path,
    *,
    read_only: bool = False,
    any_version: bool = False,
    create: bool = False,
    timeout: float = _BUSY_TIMEOUT,
) -> Store:
    """Open a killmail database of any version that this program knows, or `create` one.

    One that is opened `read_only` is of the present version unless `any_version` will do.

    Raises DatabaseError if the file is missing, foreign, newer or cannot be used, or lost: its
    token file is still there.
    """
    if sqlite_is_too_old():
        raise DatabaseError(f"SQLite {sqlite3.sqlite_version} is too old: killsync needs 3.37")
    _check_not_lost(path)
    if not create and not path.exists():
        raise NoDatabase(f"{path}: no database yet; `killsync login` creates one")
    with readable_errors(path):
        if create:
            files.create_private(path)
        if wal.is_foreign(path):
            raise DatabaseError(f"{path}: {foreign_wal(path)}")
        store = _opened(path, read_only=read_only, timeout=timeout)
        try:
            check_known(path, store.conn)
            if read_only and not any_version:
                _check_current(store)
        except BaseException:
            store.close()
            raise
    return store


def upgrade(store: Store, migrations: "Migrations | None" = None) -> None:
    """Bring the schema up to date; a database with something in it is backed up before.

    The caller holds the lock. The backup is `<db>.before-<n>`, n the new version. Raises
    DatabaseError if something of the owner's bears a name that the new schema needs.
    """
    if migrations is None:
        if store.version() == VERSION:
            return
        from killsync.store import schema

        migrations = schema.migrations
    with readable_errors(store.path), write_transaction(store.db):
        migrations.ensure_migrations_table(store.db)  # with its index, or neither
    version, wanted = store.version(), store.version() + len(migrations.pending(store.db))
    with readable_errors(store.path):
        if version:
            from killsync.store import taken_names

            taken_names.check_free(store.path, store.db, migrations)
            back_up(store, store.path.with_name(f"{store.path.name}.before-{wanted}"))
        else:
            store.conn.execute("PRAGMA journal_mode = WAL")
            store.conn.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        migrations.apply(store.db)


def sqlite_is_too_old() -> bool:
    """Return whether this SQLite lacks what killsync needs."""
    return sqlite3.sqlite_version_info < _OLDEST_SQLITE


def back_up(store: Store, target: Path) -> bool:
    """Copy the database to `target`, whatever else uses it; False if there is too little space."""
    size = store.path.stat().st_size
    space = os.statvfs(store.path.parent)
    if space.f_bavail * space.f_frsize < 2 * size:
        return False
    files.create_private(target)
    with closing(sqlite3.connect(target)) as copy:
        store.conn.backup(copy)
    return True


def _opened(path: Path, *, read_only: bool, timeout: float) -> Store:
    unwatched = False
    if read_only:
        conn, unwatched = reading.connect(path, timeout=timeout)
    else:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        conn = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    try:
        conn.execute("PRAGMA foreign_keys = ON")
        # a cursor must not come back after a power cut older than what an export has shown
        conn.execute("PRAGMA synchronous = FULL")
        return Store(path, conn, unwatched=unwatched)
    except BaseException:
        conn.close()
        raise


def _check_not_lost(path: Path) -> None:
    tokens = token_file(path)
    if tokens.exists() and not (path.exists() and path.stat().st_size):
        raise DatabaseError(
            f"{path}: is gone or empty, but {tokens.name} beside it is there: put a "
            f"backup back with `killsync restore`, or delete {tokens.name} too to start over"
        )


def check_whose(path: Path, conn: sqlite3.Connection) -> None:
    """Raise DatabaseError if a file is the database of another program."""
    application = conn.execute("PRAGMA application_id").fetchone()[0]
    empty = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != _APPLICATION_ID and not empty:
        raise DatabaseError(f"{path}: is the database of another program")


def check_known(path: Path, conn: sqlite3.Connection) -> None:
    """Raise DatabaseError unless a file is empty, or ours and of a version that is known."""
    check_whose(path, conn)
    if (version := _version(conn)) > VERSION:
        raise DatabaseError(
            f"{path}: was made by a newer killsync (schema {version}, "
            f"this one knows {VERSION}); upgrade killsync"
        )


def _version(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA user_version").fetchone()[0])


def _check_current(store: Store) -> None:
    if store.version() < VERSION:
        raise Outdated(f"{store.path}: its schema is older; `killsync scan` upgrades it")
