"""PostgreSQL fed with a database's killmails, compared with COPY of the same rows from files."""

import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import LiteralString

import psycopg
from figures import Figure, Scale, at_most, format_seconds, measure_pairs
from made import list_all, make_database, make_raws, multiply, name_all, store_all
from psycopg import sql
from spending import killsync, run_measured
from start_up import make_environment, wall_time

from killsync.lake.postgres_rows import TABLES

_COPIES = 10
_APART = 60.0
_AT_ONCE = 1 << 17
# all that a feed of killmails writes rows to, and which columns PostgreSQL does not fill itself
_TABLES = TABLES | {"user_killmails": ("killmail_id", "user_id", "role", "killmail_time")}
# what docs/postgres.md says of the views
_QUESTIONS: dict[str, LiteralString] = {
    "the newest 20 of kills": "SELECT * FROM kills ORDER BY time DESC LIMIT 20",
    "one killmail of kills": """SELECT * FROM kills
        WHERE killmail_id = (SELECT max(killmail_id) FROM user_killmails)""",
    "losses_by_ship": "SELECT * FROM losses_by_ship",
    "activity_by_day": "SELECT * FROM activity_by_day",
}
# what a server of its own has, but for fsync, whose time is the disk's
_SETTINGS = {
    "shared_buffers": "'256MB'",
    "max_wal_size": "'4GB'",
    "fsync": "off",
}
_EMPTY = """
TRUNCATE killmails, attackers, items, user_killmails, killmail_attackers, also_stored;
DELETE FROM places;
"""


def measure(scale: Scale) -> list[Figure]:
    """Measure a first feed of everything, and one with nothing new."""
    # the tests' own PostgreSQL; its module is found only once `run` has said where
    from postgres_server import own_server, programs

    if programs() is None:
        return []
    made = make_raws(scale.of(20_000, 200), apart=_APART)
    now = time.time()
    with (
        tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory,
        own_server(_SETTINGS) as server,
    ):
        path, template = Path(directory) / "killsync.db", Path(directory) / "template.db"
        with make_database(template, now) as store:
            list_all(store, made)
            store_all(store, made, now)
            name_all(store, now)
        with make_database(path, now):
            pass
        multiply(template, path, _COPIES, len(made) * _APART)
        url = server.create_database("feed")
        # with names and game data, which are no part of what is compared
        _feed(path, url)
        files = _written(url, Path(directory))
        pairs = measure_pairs(
            scale.of(3, 1), partial(_feed_all, path, url), partial(_copy_all, files, url)
        )
        nothing_new = [
            wall_time(_words(url), make_environment(path)) for _ in range(scale.of(5, 1))
        ]
        asked = _asked(url)
    total = f"{_COPIES * len(made):,}"
    return [
        at_most(
            f"feed postgres of {total} killmails",
            pairs,
            1.5,
            format_seconds,
            note="whole process, wall time; peer: COPY of the same rows from files into the same "
            "tables with the same indexes",
        ),
        Figure(
            what=f"feed postgres, nothing new, {total} killmails there",
            measured=format_seconds(sorted(nothing_new)[len(nothing_new) // 2]),
            peer="",
            goal="",
            met=None,
        ),
        *(
            Figure(
                what=f"PostgreSQL, {what}, of {total} killmails",
                measured=format_seconds(seconds),
                peer="",
                goal="",
                met=None,
            )
            for what, seconds in asked.items()
        ),
    ]


def _asked(url: str) -> dict[str, float]:
    """Return how long each question takes that was asked before."""
    took = {}
    with closing(_connect(url)) as conn:
        # as autovacuum does
        conn.execute("VACUUM ANALYZE")
        for what, question in _QUESTIONS.items():
            for _ in range(2):
                started = time.monotonic()
                conn.execute(question).fetchall()
                took[what] = time.monotonic() - started
    return took


def _words(url: str) -> list[str]:
    return ["feed", "postgres", url]


def _feed(database: Path, url: str) -> None:
    run_measured(killsync(*_words(url)), make_environment(database))


def _feed_all(database: Path, url: str) -> float:
    _empty(url)
    started = time.monotonic()
    _feed(database, url)
    return time.monotonic() - started


def _copy_all(files: dict[str, Path], url: str) -> float:
    _empty(url)
    started = time.monotonic()
    with closing(_connect(url)) as conn, conn.transaction():
        for table, file in files.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, _TABLES[table]))
            )
            with (
                file.open("rb") as source,
                conn.cursor() as cursor,
                cursor.copy(statement) as copy,
            ):
                while some := source.read(_AT_ONCE):
                    copy.write(some)
    return time.monotonic() - started


def _written(url: str, directory: Path) -> dict[str, Path]:
    """Write the rows of each table into a file, in the order in which they were stored."""
    files = {}
    with closing(_connect(url)) as conn:
        for table, columns in _TABLES.items():
            files[table] = directory / table
            statement = sql.SQL("COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
            )
            with (
                files[table].open("wb") as target,
                conn.cursor() as cursor,
                cursor.copy(statement) as copy,
            ):
                for some in copy:
                    target.write(some)
    return files


def _empty(url: str) -> None:
    with closing(_connect(url)) as conn:
        conn.execute(_EMPTY)
        conn.execute("CHECKPOINT")


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url, autocommit=True, options="-c search_path=killsync")
