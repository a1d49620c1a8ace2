"""The part `month`: a month of archives, imported amid kills, must end as one left in peace.

The archives are the benchmarks', and are kept in the directory `BENCHMARK_ARCHIVES`, if it is set.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

from campaign.score import Score
from campaign.strikes import label_problems

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from daily_archives import CHARACTERS, KILLMAILS, SHARE, make_archives
from made import make_database
from spending import killsync
from start_up import make_environment

PART = "month"
DAYS = 30
SHORT_KILLMAILS = 1_500
KILLS = 3
TIMEOUT = 3600.0
SYNCED_AT = 1_790_000_000.0
# what a database says of when it was told, and in which order
OF_THE_MOMENT = {"stored_at", "stored_seq", "read_at"}


def play(seed: int, *, long: bool) -> Score:
    """Import for a few users, and everything; the long form has archives of their real size."""
    score = Score(PART)
    killmails = KILLMAILS if long else SHORT_KILLMAILS
    with tempfile.TemporaryDirectory(prefix="killsync-campaign-") as directory:
        kept = Path(os.environ.get("BENCHMARK_ARCHIVES", directory))
        archives = make_archives(kept, DAYS, killmails)
        for options in ([], ["--all"]):
            rng = random.Random(f"{PART} {seed} {options}")
            with label_problems(score, " ".join(["everything"] if options else ["five users"])):
                expected = DAYS * (killmails if options else -(-killmails // SHARE))
                Month(score, Path(directory), archives, options).play(rng, expected)
    return score


class Month:
    """Two databases that a month of archives is imported into with certain options."""

    def __init__(
        self, score: Score, directory: Path, archives: list[Path], options: list[str]
    ) -> None:
        self._score = score
        self._options = options
        self._home = archives[0].parents[1]
        self._in_peace = directory / f"in-peace{len(options)}.db"
        self._killed = directory / f"killed{len(options)}.db"
        with make_database(self._in_peace, SYNCED_AT, len(CHARACTERS)):
            pass
        shutil.copy(self._in_peace, self._killed)

    def play(self, rng: random.Random, expected: int) -> None:
        """Import into one database in peace, into the other amid kills, and compare them."""
        self._score.cases += 1
        began = time.monotonic()
        self._finish(self._in_peace)
        lasts = time.monotonic() - began
        self._score.measure("seconds of an import in peace", lasts, str(self._options))
        for number in range(KILLS):
            # each later in what is left, as it goes on with the day it was in
            self._kill(lasts / KILLS * rng.uniform(0.3, 1) if number else lasts / 2)
        self._finish(self._killed)
        with closing(sqlite3.connect(self._killed)) as conn:
            ((stored, last),) = conn.execute("SELECT count(*), max(stored_seq) FROM killmails")
        self._score.lost += expected - stored
        self._score.check(stored == last, f"{stored} are stored, and the last is number {last}")
        for difference in differences(self._in_peace, self._killed):
            self._score.check(False, difference)

    def _start(self, database: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            killsync("import", "everef", str(self._home), *self._options),
            env=dict(make_environment(database)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _kill(self, after: float) -> None:
        with self._start(self._killed) as process:
            try:
                process.communicate(timeout=after)
            except subprocess.TimeoutExpired:
                process.kill()
                self._score.kills += 1

    def _finish(self, database: Path) -> None:
        with self._start(database) as process:
            _, heard = process.communicate(timeout=TIMEOUT)
        problem = f"an import ends with {process.returncode}: {heard.decode()[-500:]}"
        self._score.check(process.returncode == 0, problem)


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yield in which tables two databases differ, with the first row that does in each."""
    with closing(sqlite3.connect(one)) as ours, closing(sqlite3.connect(other)) as theirs:
        for table, select in _selects(ours).items():
            rows = zip_longest(ours.execute(select), theirs.execute(select))
            found = next((pair for pair in rows if pair[0] != pair[1]), None)
            if found is not None:
                yield f"{table} differs: {found[0]} in peace, {found[1]} amid kills"


def _selects(conn: sqlite3.Connection) -> dict[str, str]:
    """Return for each table the statement that reads what is to be the same, in its own order."""
    selects = {}
    for (table,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        columns = conn.execute(f'PRAGMA table_info("{table}")').fetchall()
        names = [f'"{name}"' for _, name, *_ in columns if name not in OF_THE_MOMENT]
        key = [f'"{column[1]}"' for column in sorted(columns, key=lambda c: c[5]) if column[5]]
        order = ", ".join(key or names)
        selects[table] = f'SELECT {", ".join(names)} FROM "{table}" ORDER BY {order}'
    return selects
