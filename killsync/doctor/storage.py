"""The database: whether it is there, ours, usable, and on a disk that suits SQLite."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from killsync.doctor import mounts
from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped, warning
from killsync.doctor.setup import Setup
from killsync.errors import DatabaseBusy, DatabaseError
from killsync.store import connection, origin, paths
from killsync.store.connection import Outdated, Store
from killsync.store.sqlite_errors import readable_errors

_MOUNTS = Path("/proc/self/mounts")
_PATIENCE = 3.0
_SCARCE = 16_000_000
_SHORT = 100_000_000


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Yield a database for reading. Raises DatabaseError or DatabaseBusy."""
    store = connection.connect(path, read_only=True, timeout=_PATIENCE)
    with closing(store), readable_errors(path):
        yield store


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how the database and the disk are."""
    yield _sqlite()
    yield from _database(setup)
    yield from _writable(setup.settings.database)
    yield from _space(setup.settings.database)
    yield _file_system(setup.settings.database)


def _sqlite() -> Diagnosis:
    if connection.sqlite_is_too_old():
        text = f"{sqlite3.sqlite_version} is too old: killsync needs 3.37 or later"
        return problem("SQLite", text, "install killsync with a newer Python")
    return ok("SQLite", sqlite3.sqlite_version)


def _database(setup: Setup) -> Iterator[Diagnosis]:
    path = setup.settings.database
    if not path.exists() and not paths.token_file(path).exists():
        yield problem("database", f"{path}: does not exist yet", setup.command("login"))
        return
    try:
        with opened(path) as store:
            yield ok("database", f"{path}, schema {store.version()}")
            yield from _origin(store, setup)
    except Outdated as error:
        yield warning("database", str(error), setup.command("scan"))
    except DatabaseBusy as error:
        yield warning("database", str(error), "look again when that program has ended")
    except DatabaseError as error:
        yield problem(
            "database",
            str(error),
            "put a backup back with `killsync restore`, or name another database with --db",
        )


def _origin(store: Store, setup: Setup) -> Iterator[Diagnosis]:
    try:
        origin.check(store.conn, setup.found)
    except DatabaseError as error:
        what, _, cure = str(error).rpartition(": ")
        yield problem("database", what, cure)


def _writable(path: Path) -> Iterator[Diagnosis]:
    directory = _existing(path.parent)
    for place in [directory, *(f for f in _files(path) if f.exists())]:
        if not os.access(place, os.W_OK):
            yield problem(
                "writing",
                f"{place}: user {os.geteuid()} may not write it; it belongs to {_owner(place)}",
                "run killsync as that user, or set db to a place of your own",
            )
            return
    if path.exists() and path.stat().st_uid != os.geteuid():
        text = f"{path}: belongs to {_owner(path)}, who must be able to write what is made here"
        yield warning("writing", text, "run killsync as that user, from that user's crontab")


def _space(path: Path) -> Iterator[Diagnosis]:
    space = os.statvfs(_existing(path.parent))
    free = space.f_bavail * space.f_frsize
    size = path.stat().st_size if path.exists() else 0
    free_space = f"{free / 1_000_000:,.0f} MB are free for {path.parent}"
    if free < _SCARCE:
        yield problem("disk", free_space, "free some space, or move the database and set db")
    elif free < max(_SHORT, 2 * size):
        text = f"{free_space}: too little for a copy before an upgrade or a repair"
        yield warning("disk", text, "free some space, or move the database and set db")
    else:
        yield ok("disk", free_space)


def _file_system(path: Path) -> Diagnosis:
    try:
        table = mounts.parse(_MOUNTS.read_text(errors="surrogateescape"))
    except OSError:
        return skipped("file system", f"{_MOUNTS} cannot be read")
    return on_file_system(path.resolve(), table)


def on_file_system(path: Path, table: list[mounts.Mount]) -> Diagnosis:
    """Return whether the file system that a resolved path is on suits SQLite."""
    mount = mounts.mount_of(path, table)
    if mount is None:
        return skipped("file system", f"no mount is known for {path}")
    if mounts.is_remote(mount.kind):
        return warning(
            "file system",
            f"{mount.point} is {mount.kind}, on another computer: SQLite's locks are not safe "
            "there, and two runs may damage the database",
            "move the database to a disk of this computer, and set db",
        )
    return ok("file system", f"{mount.kind} at {mount.point}")


def _files(path: Path) -> list[Path]:
    return [path, paths.token_file(path), paths.lock_file(path)]


def _existing(directory: Path) -> Path:
    return next(place for place in (directory, *directory.absolute().parents) if place.exists())


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"
