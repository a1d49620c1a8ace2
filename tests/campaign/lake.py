"""The part `lake`: `kill -9` of exports to Parquet while scans store and users are purged.

At the end each killmail that was ever stored under a number is in the lake once, or was deleted
before any export saw it; and what was deleted is told once. Whichever engines are installed have to
count the same as SQLite, and to answer the manual's ten questions alike.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import engines
import pyarrow.parquet as pq
from played import MOMENT
from world import TIMEOUT

from campaign.case import Case, case
from campaign.score import Score, two_at_a_time
from campaign.strikes import label_problems

PART = "lake"
CASES, KILLS = 2, 5
LONG_CASES, LONG_KILLS = 4, 25
TABLES = ("killmails", "attackers", "items")
MOMENTS = ("any time", "parts", "moves")
# three tables of some months; an export with fewer parts is not killed
MOST_MOVES = 12
SHIM = Path(__file__).with_name("kill_at_move")
# what a killed export leaves, by the mark that is there
LEFT = {"complete": "left to be finished", "begun": "left to be cleared"}
WORLD: dict[str, Any] = {
    "characters": 4,
    "killmails": 40,
    "shared": 0.3,
    "page_size": 25,
    "list_max_age": 3000,
}
# seconds; longer than what comes between two steps of an export, on a busy machine
SOON = 0.03
LASTS = 1.5


def play(seed: int, *, long: bool) -> Score:
    """Play the cases of the short or long form; return their combined score."""
    cases, kills = (LONG_CASES, LONG_KILLS) if long else (CASES, KILLS)
    score = two_at_a_time(PART, partial(play_case, seed, kills, asks=True), range(cases))
    for moment in (*MOMENTS, *LEFT.values()) if long else ():
        score.check(score.moments[moment] > 0, f"no export was struck at: {moment}")
    return score


def play_case(seed: int, kills: int, number: int, *, asks: bool = False) -> Score:
    """Play one case, seeded by the seed of the campaign and the number of the case.

    In the end it `asks` other engines.
    """
    score = Score(PART, cases=1)
    rng = random.Random(f"{PART} {seed} {number}")
    with label_problems(score, f"case {number}"), case(rng, **WORLD) as program:
        exporting = Exporting(program, score)
        while score.kills < kills:
            exporting.strike()
        exporting.end()
        if asks:
            exporting.ask_engines()
    return score


class Exporting:
    """Exports of one database into one lake, most of which are killed."""

    def __init__(self, program: Case, score: Score) -> None:
        self.program = program
        self.score = score
        self.rng = program.rng
        self.esi = program.simulator
        # with what a path may have in it
        self.lake = program.directory / "my lake"
        self.purged = 0

    def strike(self) -> None:
        """Let something happen to the database, and meanwhile kill an export in some moment."""
        others = list(self._happen())
        moment = self.rng.choice(MOMENTS)
        if moment == "moves":
            number = str(self.rng.randint(1, MOST_MOVES))
            export = self._export(KILL_AT_MOVE=number, PYTHONPATH=str(SHIM))
        else:
            export = self._export()
            if self._wait_for(moment, export) and export.poll() is None:
                export.kill()
        if export.wait(TIMEOUT) == -signal.SIGKILL:
            self.score.kills += 1
            self.score.moments[moment] += 1
        else:
            self._check_end(export)
        left = next((kind for mark, kind in LEFT.items() if self._is_marked(mark)), "")
        self.score.moments.update(filter(None, [left]))
        for other in others:
            other.wait(TIMEOUT)
        self._look()

    def _happen(self) -> Iterator[Popen[bytes]]:
        """Start what changes the database: a scan that finds something new, or a purge."""
        users = [int(user) for user in self.program.active_users()]
        for user in users:
            if self.rng.random() < 0.7:
                late = {"late": True} if self.rng.random() < 0.3 else {}
                self.esi.add_killmails(user, self.rng.randint(1, 8), **late)
        self.program.let_all_be_tried()
        self.esi.thaw()
        if self.rng.random() < 0.8:
            yield self.program.launch("scan", KILLSYNC_MIN_AGE="0s")
        if len(users) > 1 and self.rng.random() < 0.15:
            self.purged += 1
            gone = str(self.rng.choice(users))
            yield self.program.launch("users", "remove", gone, "--purge", "--yes")
            self._add_user()

    def _add_user(self) -> None:
        """Register somebody else, so that there is always something new."""
        login = self.esi.add_character(killmails=self.rng.randint(5, 30))
        self.program.launch("users", "add", given=f"{login['refresh_token']}\n").wait(TIMEOUT)

    def _export(self, **environment: str) -> Popen[bytes]:
        words = ("export", "--format", "parquet", "-o", str(self.lake))
        return self.program.launch(*words, **environment)

    def _wait_for(self, moment: str, export: Popen[bytes]) -> bool:
        """Wait for a moment of an export; return whether it came."""
        if moment == "any time":
            time.sleep(self.rng.uniform(0, LASTS))
            return True
        while export.poll() is None:
            if self._is_marked("begun"):
                time.sleep(self.rng.choice([0, self.rng.uniform(0, SOON)]))
                return True
        return False

    def _is_marked(self, mark: str) -> bool:
        return any(self.lake.glob(f"_unfinished/*/{mark}"))

    def _look(self) -> None:
        """Nothing may be there twice, whatever was killed; all that is there is readable."""
        if self.lake.exists():
            self._count_doubles(self._numbers("killmails"), "killmails")

    def _numbers(self, table: str, column: str = "stored_seq") -> Counter[int]:
        return Counter(row[column] for row in read(self.lake, table, column))

    def _count_doubles(self, found: Counter[int], table: str) -> None:
        doubles = {number: count for number, count in found.items() if count > 1}
        self.score.duplicated += len(doubles)
        self.score.check(not doubles, f"{table}: {len(doubles)} numbers are there twice")

    def end(self) -> None:
        """Export to the end; then compare the lake with the database."""
        self._finish()
        found = self._numbers("killmails")
        self._count_doubles(found, "killmails")
        rows, check = self.program.rows, self.score.check
        stored = {seq for (seq,) in rows("SELECT stored_seq FROM killmails")}
        removed = dict(rows("SELECT removed_seq, stored_seq FROM removed_killmails"))
        self.score.lost += len(stored - found.keys())
        strange = found.keys() - stored - set(removed.values())
        check(not strange, f"{len(strange)} are in the lake that were never stored")
        told = list(read(self.lake, "removed", "removed_seq", "stored_seq"))
        numbers = Counter(row["removed_seq"] for row in told)
        self._count_doubles(numbers, "removed")
        gone = {row["stored_seq"] for row in told}
        # what no export has seen may be told, but need not be
        self.score.lost += len((found.keys() - stored) - gone)
        check(not gone & stored, "something is told as deleted that is stored")
        check(all(removed[row["removed_seq"]] == row["stored_seq"] for row in told), "wrong number")
        check(self.purged == 0 or len(removed) > 0, "no purge has deleted anything")
        for table in TABLES[1:]:
            self._compare_lines(table, stored)
        check(not (self.lake / "_unfinished").exists(), "something unfinished is left")

    def ask_engines(self) -> None:
        """Let every engine that is here read the lake, which must be to it what SQLite says."""
        directory, rows = self.program.directory, self.program.rows
        self.lake.rename(directory / "lake")
        engines.write_views(directory, dict(rows("SELECT user_id, name FROM users")))
        expected = [[list(row) for row in rows(sql)] for sql in engines.asked_of_sqlite(MOMENT)]
        asked = engines.asked()
        present = [engine for engine in engines.NAMES if engines.is_installed(engine)]
        for engine in present:
            found = engines.ask(engine, directory, [*asked.values()])
            for question, answer, wanted in zip(asked, found, expected, strict=True):
                alike = engines.same(answer, wanted)
                self.score.check(alike, f"{engine}: {question} {answer}, not {wanted}")
        named = ", ".join(present) or "none is installed"
        self.score.measure("engines that were asked", len(present), named)

    def _finish(self) -> None:
        """Export twice in peace: the second call must have nothing to add."""
        for _ in range(2):
            before = sorted(self.lake.rglob("*"))
            self._check_end(self._export())
        self.score.check(before == sorted(self.lake.rglob("*")), "nothing new, but a new part")

    def _check_end(self, export: Popen[bytes]) -> None:
        code = export.wait(TIMEOUT)
        # that of the newest
        said = max(self.program.said.glob("*-export.err")).read_text(errors="backslashreplace")
        self.score.check(code == 0, f"export ends with {code}: {said[-800:]}")

    def _compare_lines(self, table: str, stored: set[int]) -> None:
        """Compare which attackers or items there are, of what is stored."""
        lines = self.program.rows(
            f"SELECT stored_seq, ordinal FROM {table} JOIN killmails USING (killmail_id)"
        )
        found = Counter(
            (row["stored_seq"], row["ordinal"])
            for row in read(self.lake, table, "stored_seq", "ordinal")
        )
        doubles = [line for line, count in found.items() if count > 1]
        self.score.duplicated += len(doubles)
        self.score.lost += len(set(lines) - found.keys())
        strange = {line for line in found.keys() - set(lines) if line[0] in stored}
        self.score.check(not strange, f"{table}: {len(strange)} lines that are not stored")


def read(lake: Path, table: str, *columns: str) -> Iterator[dict[str, Any]]:
    """Yield some columns of a table, row by row, as they stand in its parts."""
    for file in sorted(lake.glob(f"{table}/**/*.parquet")):
        with file.open("rb") as stream:
            yield from pq.ParquetFile(stream).read(list(columns)).to_pylist()
