"""Importing EVE Ref's daily archives, for a few users and whole, and an export."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import msgspec
from daily_archives import CHARACTERS, KILLMAILS, SHARE, make_archives
from figures import Figure, Scale, at_most, format_seconds, format_size, measure_pairs
from made import make_database
from spending import Spent, killsync, peak_memory, run_measured
from start_up import make_environment

_SYNCED_AT = 1_790_000_000.0
_MOST_MEMORY = 120e6
# all that EVE Ref's totals.json counts
_IN_ALL = 95_600_000
_HOUR = 3600.0
# where archives are kept from call to call, if it is set: a month of them takes minutes to make
_KEPT_IN = "BENCHMARK_ARCHIVES"
_PEER = Path(__file__).with_name("peer_importing.py")


def measure(scale: Scale) -> list[Figure]:
    """Measure imports of a day, and of a month for their memory and for an estimate of all."""
    killmails = scale.of(KILLMAILS, 600)
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        kept = Path(os.environ.get(_KEPT_IN, directory))
        archives = make_archives(kept, scale.of(30, 2), killmails)
        world = _World(Path(directory), archives, killmails)
        return [
            _beside_bzcat(world, scale.runs),
            _beside_hand_written(world, scale.runs),
            *_month(world, everything=False),
            *_month(world, everything=True),
            _of_an_export(world, scale.of(3, 1)),
        ]


class _Month(msgspec.Struct, frozen=True):
    """What an import took: seconds, and bytes of memory and of disk."""

    wall: float
    memory: float
    disk: int


class _World:
    """Archives of so many `killmails` each, and a database of five users, new for each import."""

    def __init__(self, directory: Path, archives: Sequence[Path], killmails: int) -> None:
        self.archives = archives
        self.killmails = killmails
        self.database = directory / "killsync.db"
        self.environment = make_environment(self.database)
        self._empty = directory / "empty.db"
        with make_database(self._empty, _SYNCED_AT, len(CHARACTERS)):
            pass

    def wanted(self, days: int, *, everything: bool) -> int:
        """Return how many killmails of the first days are to be stored."""
        # the first of each share is one of the users'
        return days * (self.killmails if everything else -(-self.killmails // SHARE))

    def start_anew(self) -> None:
        """Make the database what it is before an import."""
        for left in self.database.parent.glob(f"{self.database.name}*"):
            left.unlink()
        shutil.copy(self._empty, self.database)

    def command(self, days: int, *, everything: bool) -> list[str]:
        """Return the command that imports the archives of the first days."""
        paths = map(str, self.archives[:days])
        return killsync("import", "everef", *paths, *["--all"] * everything)

    def import_day(self, *, everything: bool) -> Spent:
        """Import the first day."""
        self.start_anew()
        spent = run_measured(self.command(1, everything=everything), self.environment)
        self.check(1, everything=everything)
        return spent

    def import_watched(self, days: int, *, everything: bool) -> _Month:
        """Import the first days, and watch the memory of all processes."""
        self.start_anew()
        before, started = self.database.stat().st_size, time.perf_counter()
        with subprocess.Popen(
            self.command(days, everything=everything),
            env=dict(self.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            memory = peak_memory(process)
        wall = time.perf_counter() - started
        self.check(days, everything=everything)
        return _Month(wall, memory, self.database.stat().st_size - before)

    def check(self, days: int, *, everything: bool) -> None:
        """Raise RuntimeError unless the killmails of the first days are stored."""
        with closing(sqlite3.connect(self.database)) as conn:
            ((stored,),) = conn.execute("SELECT count(*) FROM killmails")
        expected = self.wanted(days, everything=everything)
        if stored != expected:
            raise RuntimeError(f"{stored} killmails were stored, {expected} expected")


def _beside_bzcat(world: _World, runs: int) -> Figure:
    """Measure the wall time of a day, beside that of finding out what is in its archive."""
    archive = world.archives[0]
    listing = ["sh", "-c", f"bzcat {shlex.quote(str(archive))} | tar -t"]
    environment = {"PATH": os.environ["PATH"]}
    return at_most(
        f"import everef of a day of {world.killmails:,}, 5 users",
        measure_pairs(
            runs,
            lambda: world.import_day(everything=False).wall,
            lambda: run_measured(listing, environment).wall,
        ),
        1.3,
        format_seconds,
        note=f"whole process, wall time, two processors; {world.wanted(1, everything=False)} "
        f"stored of an archive of {format_size(archive.stat().st_size)}; peer: bzcat | tar -t",
    )


def _beside_hand_written(world: _World, runs: int) -> Figure:
    """Measure the CPU time of a whole day, beside that of the shortest code that stores it."""
    pairs = measure_pairs(
        runs,
        lambda: world.import_day(everything=True).cpu,
        lambda: _store_by_hand(world),
    )
    return at_most(
        f"CPU time of import everef --all of a day of {world.killmails:,}",
        pairs,
        1.3,
        format_seconds,
        note="whole processes; peer: bz2, json.loads and executemany into killmails, attackers "
        "and items; without checks, hashes, values, roles and names to ask for",
    )


def _store_by_hand(world: _World) -> float:
    world.start_anew()
    command = [sys.executable, str(_PEER), str(world.database), str(world.archives[0])]
    spent = run_measured(command, world.environment)
    world.check(1, everything=True)
    return spent.cpu


def _month(world: _World, *, everything: bool) -> list[Figure]:
    """Measure the memory of all archives, beside that of one, and estimate a whole import."""
    days = len(world.archives)
    killmails = days * world.killmails
    one = world.import_watched(1, everything=everything)
    whole = world.import_watched(days, everything=everything)
    ratio, share = whole.memory / one.memory, _IN_ALL / killmails
    which = "--all" if everything else "5 users"
    return [
        Figure(
            what=f"peak memory of importing {days} days of {world.killmails:,}, {which}",
            measured=format_size(whole.memory),
            peer=format_size(one.memory),
            ratio=ratio,
            goal="at most 1.1, and 120 MB",
            met=ratio <= 1.1 and whole.memory <= _MOST_MEMORY,
            note="resident memory of the largest process; peer: one day",
        ),
        Figure(
            what=f"import of {_IN_ALL:,} killmails, estimated, {which}",
            measured=f"{share * whole.wall / _HOUR:.1f} h, {format_size(share * whole.disk)}",
            peer="",
            goal="none: an estimate",
            met=None,
            note=f"from {format_seconds(whole.wall)} and {format_size(whole.disk)} on disk for "
            f"{killmails:,}",
        ),
    ]


def _of_an_export(world: _World, runs: int) -> Figure:
    """Measure the CPU time of importing what `export` writes of a day."""
    world.import_day(everything=True)
    exported = world.database.with_name("exported.jsonl")
    run_measured(killsync("export", "-o", str(exported)), world.environment)
    command = killsync("import", "json", str(exported), "--all")
    spent = []
    for _ in range(runs):
        world.start_anew()
        spent.append(run_measured(command, world.environment).cpu)
        world.check(1, everything=True)
    return Figure(
        what=f"CPU time of import json --all of {world.killmails:,}",
        measured=format_seconds(median(spent)),
        peer="",
        goal="none",
        met=None,
        note=f"whole process, from {format_size(exported.stat().st_size)} of lines",
    )
