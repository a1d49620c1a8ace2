"""The Datasette that serves the killboard, and its own pages for SQL, from one database."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from datasette import hookimpl
from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm
from datasette.utils.asgi import NotFound

from killsync.browse import descriptions, guard, pages
from killsync.store import connection, reading
from killsync.store.connection import snapshot
from killsync.store.sqlite_errors import readable_errors

# with rich at hand it would print every error, a page not found too, with all variables
pm.get_plugin("datasette.handle_exception").rich = None

_HERE = Path(__file__).parent
_SETTINGS = {
    # by this path SQL is asked for; the file itself has hashes, and is large
    "allow_download": False,
    "default_cache_ttl": 0,
    "suggest_facets": False,
    "sql_time_limit_ms": 5_000,
}
NAME = "killsync"

T = TypeVar("T")


class Killboard(Datasette):  # type: ignore[misc]
    """A Datasette with one database, which is only read, and killsync's pages before its own."""

    def __init__(self, database: Path, *, images: bool = False) -> None:
        # pages and guard are asked for while Datasette is made
        self.path = database
        self.images = images
        self._open: set[sqlite3.Connection] = set()
        if not pm.is_registered(_Hooks):
            pm.register(_Hooks, "killsync")
        super().__init__(
            [],
            settings=_SETTINGS,
            metadata=descriptions.metadata(NAME, only_here=True),
            template_dir=str(_HERE / "templates"),
            static_mounts=[("style", str(_HERE / "static"))],
        )
        self.remove_database("_memory")
        self.add_database(_ReadOnly(self, str(database)), name=NAME)

    async def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads of one state of the database, as it is now.

        The file is opened for each page: another one may have been put in its place. Raises
        DatabaseError or DatabaseBusy.
        """
        return await asyncio.to_thread(self._read, ask)

    def _read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        with (
            readable_errors(self.path),
            closing(connection.connect(self.path, read_only=True)) as store,
            self._interruptible(store.conn),
        ):
            with snapshot(store.conn):
                answer = ask(store.conn)
            store.check_unchanged()
            return answer

    def interrupt(self) -> None:
        """Break off whatever is being read: nobody waits for it any more."""
        for conn in list(self._open):
            conn.interrupt()

    @contextmanager
    def _interruptible(self, conn: sqlite3.Connection) -> Iterator[None]:
        self._open.add(conn)
        try:
            yield
        finally:
            self._open.discard(conn)


class _ReadOnly(Database):  # type: ignore[misc]
    """The database as Datasette's pages see it: no SQL leads to another file."""

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """Open the file for one question of Datasette's."""
        assert not write
        return reading.connect_alone(Path(self.path))

    async def execute_fn(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads of the database as it is now.

        Datasette would keep one connection for each thread: it would go on reading a file that
        another one has replaced, and see no change of one that SQLite could not watch.
        """

        def read() -> T:
            with closing(self.connect()) as conn:
                self.ds._prepare_connection(conn, self.name)
                return fn(conn)

        loop = asyncio.get_running_loop()
        answer: T = await loop.run_in_executor(self.ds.executor, read)
        return answer


class _Hooks:
    """What Datasette asks of killsync; a Datasette that is no killboard gets nothing."""

    @staticmethod
    @hookimpl  # type: ignore[untyped-decorator]
    def register_routes(datasette: Any) -> list[tuple[str, Any]]:
        return pages.ROUTES if isinstance(datasette, Killboard) else []

    @staticmethod
    @hookimpl  # type: ignore[untyped-decorator]
    def asgi_wrapper(datasette: Any) -> Callable[[guard.App], guard.App]:
        return guard.guard if isinstance(datasette, Killboard) else (lambda app: app)

    @staticmethod
    @hookimpl  # type: ignore[untyped-decorator]
    def handle_exception(datasette: Any, request: Any, exception: Exception) -> Any:
        own = isinstance(datasette, Killboard) and not request.path.startswith(f"/{NAME}")
        if own and isinstance(exception, NotFound):
            return pages.show_nothing(datasette, request)
        return None

    @staticmethod
    @hookimpl  # type: ignore[untyped-decorator]
    def extra_css_urls(datasette: Any) -> list[str]:
        return ["/style/datasette.css"] if isinstance(datasette, Killboard) else []
