"""The part `cluster`: a month of archives becomes a lake on Spark, whoever is killed meanwhile.

It has to equal an import of the same into SQLite and an export of that, and Spark SQL, on the same
cluster, and DuckDB have to answer the manual's ten questions alike from it. The archives are the
benchmarks', and are kept in the directory `BENCHMARK_ARCHIVES`, if it is set.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any

import engines
from played import MOMENT
from spark_cluster import Cluster, cluster

from campaign.score import Score
from campaign.strikes import label_problems

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from daily_archives import FIRST_DAY, KILLMAILS, make_archives
from spending import killsync

from killsync.simulator.names import CORPORATION_BASE

PART = "cluster"
DAYS = 30
SHORT_KILLMAILS = 300
TIMEOUT = 3600.0
STOPPED = 130
TABLES = ("killmails", "attackers", "items")
# the lake numbers what it has read, and a database what it has stored
OF_THE_LAKE = {"stored_seq", "stored_at"}
# who asks: corporations whose pilots are on both sides, alone and together
MINE = {CORPORATION_BASE + number: f"Corporation {number}" for number in range(5)}


def play(seed: int, *, long: bool) -> Score:
    """Make the same lake again and again; the long form has archives of their real size."""
    score = Score(PART)
    killmails = KILLMAILS if long else SHORT_KILLMAILS
    with tempfile.TemporaryDirectory(prefix="killsync-campaign-") as name:
        directory = Path(name)
        kept = Path(os.environ.get("BENCHMARK_ARCHIVES", directory))
        archives = make_archives(kept, DAYS, killmails)[0].parents[1]
        expected = _exported(directory, archives)
        with cluster(directory / "cluster") as running:
            lakes = Lakes(score, directory, archives, running, random.Random(f"{PART} {seed}"))
            for played in (lakes.in_peace, lakes.amid_kills_of_the_workers, lakes.amid_its_own):
                with label_problems(score, played.__name__.replace("_", " ")):
                    _compare(score, played(), expected, DAYS * killmails)
            with label_problems(score, "ten questions"):
                _ask(score, directory, running)
    return score


class Lakes:
    """Lakes that are made of the same archives on one cluster."""

    def __init__(
        self,
        score: Score,
        directory: Path,
        archives: Path,
        running: Cluster,
        rng: random.Random,
    ) -> None:
        self._score = score
        self._directory = directory
        self._archives = archives
        self._cluster = running
        self._rng = rng
        self._lasts = 0.0

    def in_peace(self) -> Path:
        """Make one that nobody disturbs."""
        began = time.monotonic()
        lake = self._finish("lake")
        self._lasts = time.monotonic() - began
        self._score.measure("seconds of a lake in peace", self._lasts, "two workers")
        return lake

    def amid_kills_of_the_workers(self) -> Path:
        """Make one while processes that do the work are killed: of Python's, and of Java's."""
        process = self._start("workers-killed")
        for find in (self._cluster.pythons, self._cluster.executors, self._cluster.pythons):
            self._kill_one(process, find)
            self._pause(process, self._lasts / 8)
        self._expect(process, 0)
        return self._directory / "workers-killed"

    def amid_its_own(self) -> Path:
        """Make one by calls that are killed or stopped at any moment, until one is left alone."""
        for number in (SIGKILL, SIGINT, SIGKILL):
            process = self._start("itself-killed")
            self._pause(process, self._rng.uniform(0.2, 1) * self._lasts)
            if process.poll() is None:
                self._score.kills += 1
                process.send_signal(number)
            with process:
                process.communicate(timeout=TIMEOUT)
            ends = (0, -SIGKILL, STOPPED)
            self._score.check(process.returncode in ends, f"it ended with {process.returncode}")
        return self._finish("itself-killed")

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        self._score.cases += 1
        words = (str(self._archives), "-o", str(self._directory / name))
        return subprocess.Popen(
            killsync("lake", *words, "--master", self._cluster.master),
            env=self._cluster.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _finish(self, name: str) -> Path:
        self._expect(self._start(name), 0)
        return self._directory / name

    def _expect(self, process: subprocess.Popen[bytes], code: int) -> None:
        with process:
            _, heard = process.communicate(timeout=TIMEOUT)
        problem = f"a lake ends with {process.returncode}: {heard.decode()[-500:]}"
        self._score.check(process.returncode == code, problem)

    def _pause(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    def _kill_one(self, process: subprocess.Popen[bytes], find: Callable[[], list[int]]) -> None:
        while process.poll() is None and not (found := find()):
            time.sleep(0.05)
        if process.poll() is None:
            self._score.kills += 1
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(found), SIGKILL)


def _exported(directory: Path, archives: Path) -> Path:
    """Return what an import of everything and an export give."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "KILLSYNC_DB": str(directory / "imported.db"),
        "KILLSYNC_NAMES": "off",
    }
    exported = directory / "exported"
    for words in (
        ("import", "everef", str(archives), "--all"),
        ("export", "--format", "parquet", "-o", str(exported)),
    ):
        subprocess.run(killsync(*words), env=environment, check=True, capture_output=True)
    return exported


def _compare(score: Score, lake: Path, expected: Path, count: int) -> None:
    """Record what is lost, what is there twice, and in which columns two lakes differ."""
    for table in TABLES:
        ours, theirs = _sorted(lake, table), _sorted(expected, table)
        score.lost += max(0, theirs.num_rows - ours.num_rows)
        score.duplicated += max(0, ours.num_rows - theirs.num_rows)
        for problem in _differences(ours, theirs):
            score.check(False, f"{table}: {problem}")
        if table == "killmails":
            score.check(ours.num_rows == count, f"{ours.num_rows} killmails, not {count}")


def _differences(ours: Any, theirs: Any) -> Iterator[str]:
    if ours.column_names != theirs.column_names:
        yield f"the columns are {ours.column_names}, not {theirs.column_names}"
        return
    for name in ours.column_names:
        # chunks, which may be others, do not count
        if not ours[name].equals(theirs[name]):
            yield f"{name} differs"


def _ask(score: Score, directory: Path, running: Cluster) -> None:
    """Ask the same of `lake` by Spark SQL on the cluster, and by DuckDB; compare the answers."""
    figure = "answers of Spark SQL and DuckDB that are the same"
    if not engines.is_installed("DuckDB"):
        score.measure(figure, 0, "not asked, as DuckDB is not installed")
        return
    engines.write_views(directory, MINE)
    asked = {
        question: _in_the_month(sql) for question, sql in engines.queries(engines.PAGE).items()
    }
    counted = "SELECT count(*), count(DISTINCT stored_seq), sum(stored_seq) FROM {}"
    asked |= {f"How many {table}?": counted.format(table) for table in TABLES}
    on_it = running.environment | {
        "PYSPARK_SUBMIT_ARGS": f"--master {running.master} pyspark-shell"
    }
    theirs = engines.ask("Spark", directory, [*asked.values()], **on_it)
    ours = engines.ask("DuckDB", directory, [*asked.values()])
    alike = 0
    for question, one, other in zip(asked, theirs, ours, strict=True):
        score.check(len(one) > 0, f"Spark SQL has no answer: {question}")
        score.check(engines.same(one, other), f"{question} Spark SQL: {one}, DuckDB: {other}")
        alike += len(one) > 0 and engines.same(one, other)
    score.measure(figure, alike, f"of {len(asked)}, {sum(map(len, theirs))} rows")


def _in_the_month(sql: str) -> str:
    """Move the days that a question of the manual names: its moment is the end of the archives."""
    later = FIRST_DAY + timedelta(DAYS) - date.fromisoformat(MOMENT[:10])
    return re.sub(
        r"'(\d{4}-\d\d-\d\d)'", lambda day: f"'{date.fromisoformat(day[1]) + later}'", sql
    )


def _sorted(lake: Path, table: str) -> Any:
    """Return the rows of a table, in an order that does not depend on who has written them."""
    import pyarrow.dataset as ds

    found = ds.dataset(lake / table, partitioning=None).to_table()
    columns = [name for name in found.column_names if name not in OF_THE_LAKE]
    key = ["killmail_id", *(["ordinal"] if "ordinal" in columns else [])]
    return found.select(columns).sort_by([(name, "ascending") for name in key])
