"""Opens new databases, of which only the first is made by migrations: they take much longer."""

import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from killsync.store import connection
from killsync.store.connection import Store


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "killsync.db"
        with closing(connection.connect(path, create=True)) as store:
            connection.upgrade(store)
        return path.read_bytes()


def new_store(path: Path) -> Store:
    """Open a new database there, as `connect` and `upgrade` make one, without the game's data."""
    path.touch(mode=0o600)
    path.write_bytes(_migrated())
    return connection.connect(path, create=True)
