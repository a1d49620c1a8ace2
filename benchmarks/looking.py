"""Looking at a million killmails, and what it costs to store them so that they can be looked at."""

import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from figures import (
    Figure,
    Scale,
    at_most,
    format_seconds,
    format_size,
    measure_pairs,
    within,
)
from made import (
    FIRST_USER,
    SECOND_USER,
    Insert,
    Raw,
    list_all,
    make_database,
    make_raws,
    name_all,
    store_all,
)
from million import APART, COPIES, make_big
from start_up import PROGRAM, make_environment, wall_time

from killsync.store import connection, killmails, storing
from killsync.store.killmails import FetchedKillmail

_BARE_APP = [sys.executable, str(Path(__file__).with_name("bare_app.py"))]
_COLUMNS = "120"
_LISTED = 20
_NOW = 1_790_000_000.0


def measure(scale: Scale) -> list[Figure]:
    """Measure the commands that a person looks with, and storing with and without their tables."""
    return _looking(scale) + _storing(scale)


def _looking(scale: Scale) -> list[Figure]:
    now = time.time()
    made = make_raws(scale.of(20_000, 400), now, APART)
    total = f"{COPIES * len(made):,}"
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        path = Path(directory) / "killsync.db"
        make_big(path, made, now)
        environment = make_environment(path)
        one = _one_killmail(path)
        shown = len(_printed(["kills", one], environment).splitlines())
        beside_a_table = (
            ("kills of a user", ["--user", str(FIRST_USER)], _LISTED),
            ("kills --losses --since 30d", ["--losses", "--since", "30d"], _LISTED),
            ("kills ID", [one], shown),
        )
        figures = [
            at_most(
                f"{what}, {total} stored",
                measure_pairs(
                    scale.of(15, 1),
                    partial(_at_a_terminal, [*PROGRAM, "kills", *arguments], environment),
                    partial(_at_a_terminal, [*_BARE_APP, str(rows)], environment),
                ),
                1.5,
                format_seconds,
                note=f"whole process, wall time, at a terminal of {_COLUMNS} columns; peer: a bare "
                f"Typer app that prints a rich table of {rows} rows",
            )
            for what, arguments, rows in beside_a_table
        ]
        in_all: tuple[tuple[str, list[str], float], ...] = (
            (f"stats --by ship of a user of {_count(path):,}", ["--user", str(SECOND_USER)], 1.0),
            (f"stats --by ship of {total}", [], 3.0),
        )
        figures += [
            within(
                what,
                [
                    wall_time(["stats", "--by", "ship", *arguments], environment)
                    for _ in range(scale.runs)
                ],
                limit,
                format_seconds,
                note="whole process, wall time",
            )
            for what, arguments, limit in in_all
        ]
    return figures


def _storing(scale: Scale) -> list[Figure]:
    made = make_raws(scale.of(20_000, 300))
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        job = _Storing(Path(directory), made)
        stored, bare = storing.store, _store_bodies_only
        cpu = measure_pairs(scale.runs, partial(job.cpu, stored), partial(job.cpu, bare))
        disk = measure_pairs(1, partial(job.disk, stored), partial(job.disk, bare))
    return [
        at_most(
            "CPU time of a killmail stored with its value, roles and names to ask for",
            cpu,
            1.3,
            format_seconds,
            note="newest first, in batches of 100, decoded and checked; peer: its body only",
        ),
        at_most(
            "bytes on disk of a killmail with its value, roles and names",
            disk,
            1.15,
            format_size,
            note="what a first sync adds to the file, all ids named; peer: its body only",
        ),
    ]


class _Storing:
    """Killmails that a database lists, and stores with or without what follows from them."""

    def __init__(self, directory: Path, made: Sequence[Raw]) -> None:
        self._made = made
        self._listed, self._copy = directory / "listed.db", directory / "copy.db"
        with make_database(self._listed, _NOW) as store:
            self._empty = self._size(store.conn)
            list_all(store, made)

    def cpu(self, insert: Insert) -> float:
        """Return the CPU seconds that a killmail takes."""
        shutil.copy(self._listed, self._copy)
        with closing(connection.connect(self._copy)) as store:
            started = time.process_time()
            store_all(store, self._made, _NOW, insert)
            return (time.process_time() - started) / len(self._made)

    def disk(self, insert: Insert) -> float:
        """Return the bytes that a killmail takes, that of the list and of its names too."""
        shutil.copy(self._listed, self._copy)
        with closing(connection.connect(self._copy)) as store:
            store_all(store, self._made, _NOW, insert)
            name_all(store, _NOW)
            return (self._size(store.conn) - self._empty) / len(self._made)

    def _size(self, conn: sqlite3.Connection) -> int:
        pages, free, size = (
            int(conn.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


def _store_bodies_only(
    conn: sqlite3.Connection, batch: Sequence[FetchedKillmail], now_iso: str
) -> list[int]:
    return [killmail.killmail_id for killmail, _ in killmails.insert(conn, batch, now_iso)]


def _at_a_terminal(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the wall time of a command that writes to a terminal."""
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    with subprocess.Popen(
        command, env={**environment, "COLUMNS": _COLUMNS, "TERM": "xterm-256color"}, stdout=theirs
    ) as process:
        os.close(theirs)
        # Linux ends the reading with an error once nobody writes any more
        with suppress(OSError):
            while os.read(ours, 65_536):
                pass
        os.close(ours)
        process.wait()
    took = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}")
    return took


def _printed(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    command = [*PROGRAM, *arguments]
    return subprocess.run(
        command, env=dict(environment), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _one_killmail(path: Path) -> str:
    """Return the id of the newest killmail of ten attackers and about eighteen items."""
    with closing(sqlite3.connect(path)) as conn:
        return str(
            conn.execute(
                """SELECT killmail_id FROM killmails
                WHERE attacker_count BETWEEN 9 AND 11 AND item_count BETWEEN 16 AND 20
                ORDER BY killmail_time DESC LIMIT 1"""
            ).fetchone()[0]
        )


def _count(path: Path) -> int:
    """Return how many killmails the second user is on."""
    with closing(sqlite3.connect(path)) as conn:
        sql = "SELECT count(*) FROM user_killmails WHERE user_id = ? AND role IS NOT NULL"
        return int(conn.execute(sql, [SECOND_USER]).fetchone()[0])
