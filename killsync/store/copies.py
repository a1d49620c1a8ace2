"""Whole copies of an SQLite file: making one while others write, and putting one back."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from killsync import files
from killsync.errors import DatabaseBusy, DatabaseError
from killsync.store import reading, wal
from killsync.store.connection import snapshot
from killsync.store.paths import beside_in_use, with_sqlite_files
from killsync.store.sqlite_errors import foreign_wal, readable_errors

BEFORE = "before-restore"
_KEPT_TOGETHER = ("", "-wal")
_PAGES_AT_A_TIME = 4096
_PATIENCE = 60.0

_IN_THE_WAY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# of these nothing is learnt about the file
_NOT_DAMAGED = {*_IN_THE_WAY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

Check = Callable[[sqlite3.Connection], None]
# returns where what was there is kept, None if nothing was there
PutBack = Callable[[], Path | None]


def _leave(_: sqlite3.Connection) -> None:
    pass


def open_whole(file: Path, check: Check) -> sqlite3.Connection:
    """Open a copy for reading, its own WAL included; `check` raises unless it is what is wanted.

    Raises DatabaseError too if it is not there, or not whole.
    """
    if not file.is_file():
        raise DatabaseError(f"{file}: there is no such file")
    if wal.is_foreign(file):
        raise DatabaseError(f"{file}: {foreign_wal(file)}")
    with readable_errors(file):
        alone = not any(one.exists() for one in beside_in_use(file.resolve()))
        conn = reading.connect_unchanging(file) if alone else reading.connect(file)[0]
        try:
            check(conn)
            _require_whole(file, conn)
        except BaseException:
            conn.close()
            raise
    return conn


@contextmanager
def written(conn: sqlite3.Connection, target: Path, *, check: bool = True) -> Iterator[None]:
    """Write what a connection sees now to a file, which appears at the end if no error is raised.

    What SQLite kept beside an earlier file of that name is deleted: it would be played into this
    one. Raises OSError, and DatabaseError, with the earlier file as it was, if the copy is damaged.
    """
    with files.draft_of(target) as draft:
        with readable_errors(target):
            _copy(conn, draft)
            if check:
                with closing(reading.connect_unchanging(draft)) as copy:
                    _require_copied_whole(target, copy)
        yield
        _settle(target)
        _remove(beside_in_use(target))


def _settle(earlier: Path) -> None:
    """Make a file whole without its WAL: a kill may come between its removal and the new file."""
    if not (earlier.exists() and wal.has_commits(earlier)) or wal.is_foreign(earlier):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(earlier)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def to_put_back(
    conn: sqlite3.Connection, target: Path, check: Check, adapt: Check = _leave
) -> Iterator[PutBack]:
    """Yield what puts that which a connection sees in place of `target`.

    Nothing is changed before it is called. `check` raises if what is there is not to be replaced,
    unless it is damaged; `adapt` may change the copy. Killed at any point, `target` is as it was
    or as it shall be. Raises OSError, DatabaseError and, if another program is in the way,
    DatabaseBusy.
    """
    target = target.resolve()
    with files.draft_beside(target) as draft, ExitStack() as opened:
        with readable_errors(target):
            _copy(conn, draft)
            with closing(sqlite3.connect(draft, isolation_level=None)) as copy:
                adapt(copy)
                _require_whole(draft, copy)
                page_size = _page_size(copy)
            there = _open_sound(target, check)
            if there is not None:
                opened.enter_context(closing(there))
        yield lambda: _put_back(target, there, draft, page_size)


def _put_back(
    target: Path, there: sqlite3.Connection | None, draft: Path, page_size: int
) -> Path | None:
    with readable_errors(target):
        if there is not None:
            if _page_size(there) == page_size:
                return _overwrite(target, there, draft)
            # its commits must not stand in a WAL that is deleted
            _empty_wal(target, there)
            there.close()
        return _replace(target, draft)


def _copy(conn: sqlite3.Connection, draft: Path) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as copy, snapshot(conn):
        # nobody else sees it, and it is synced as a whole
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        conn.backup(copy, pages=_PAGES_AT_A_TIME, progress=_patience(draft), sleep=0.1)


def _patience(path: Path) -> Callable[[int, int, int], None]:
    """Return what lets a signal end a copy, and ends it if another program is long in the way."""
    deadline = time.monotonic() + _PATIENCE

    def go_on(status: int, _: int, __: int) -> None:
        if status in _IN_THE_WAY and time.monotonic() > deadline:
            raise DatabaseBusy(f"{path}: another program keeps it locked; try again later")

    return go_on


def _page_size(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA page_size").fetchone()[0])


def _require_whole(file: Path, conn: sqlite3.Connection) -> None:
    if not _is_whole(conn):
        raise DatabaseError(f"{file}: is damaged; name another backup")


def _require_copied_whole(target: Path, copy: sqlite3.Connection) -> None:
    if not _is_whole(copy):
        raise DatabaseError(
            f"{target}: was not written, as what it would be a copy of is damaged: put an earlier "
            "backup back with `killsync restore`"
        )


def _is_whole(conn: sqlite3.Connection) -> bool:
    return bool(conn.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))


def _open_sound(target: Path, check: Check) -> sqlite3.Connection | None:
    """Open what is to be replaced, None if it is not there or damaged."""
    if not (target.exists() and target.stat().st_size) or not _is_sound(target, check):
        return None
    uri = f"{target.as_uri()}?mode=rw"
    conn = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
    conn.execute("PRAGMA synchronous = FULL")
    return conn


def _is_sound(target: Path, check: Check) -> bool:
    """Look at a file for reading only: its WAL is not to be played into it if it is foreign."""
    alone = wal.is_foreign(target)
    try:
        with closing(_open_to_look(target, alone=alone)) as conn:
            check(conn)
            whole = conn.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            return whole and not alone
    except sqlite3.DatabaseError as error:
        # it has no code if Python cannot read what SQLite says, as that quotes the file
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_DAMAGED:
            raise
        return False


def _open_to_look(target: Path, *, alone: bool) -> sqlite3.Connection:
    if alone:
        return reading.connect_unchanging(target)
    return reading.connect(target, timeout=_PATIENCE)[0]


def _overwrite(target: Path, there: sqlite3.Connection, draft: Path) -> Path:
    """Write the draft into a sound file, in one transaction; whoever has it open sees that."""
    kept = files.first_free_name(target, BEFORE, _KEPT_TOGETHER)
    with written(there, kept, check=False):
        pass
    with closing(sqlite3.connect(draft)) as copy:
        copy.backup(there, progress=_patience(target), sleep=0.1)
    there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return kept


def _empty_wal(target: Path, there: sqlite3.Connection) -> None:
    if there.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise DatabaseBusy(f"{target}: another program has it open; try again when it has ended")


def _replace(target: Path, draft: Path) -> Path | None:
    """Put the draft in the place of a file that is damaged, or of none.

    What is there is kept under another name first, and only then its WAL deleted, which must not
    be played into the draft.
    """
    name = files.first_free_name(target, BEFORE, _KEPT_TOGETHER)
    kept = []
    for file, copy in zip(_with_wal(target), _with_wal(name), strict=True):
        if file.exists() and (file == target or file.stat().st_size):
            _keep(file, copy)
            kept.append(copy)
    files.sync(draft)
    files.sync(target.parent)
    _remove(beside_in_use(target))
    draft.replace(target)
    files.sync(target.parent)
    return kept[0] if kept else None


def _with_wal(file: Path) -> list[Path]:
    return with_sqlite_files(file)[:2]


def _keep(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)  # a file system without links
    name.chmod(files.PRIVATE)
    files.sync(name)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
