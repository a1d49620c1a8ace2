"""The part `feed`: PostgreSQL is fed while feeds, connections and PostgreSQL itself are killed.

Two databases feed one schema, change between the strikes, and must be there exactly once at the
end, each row as the database has it that brought it.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import commands
import psycopg
from fed import ask, fed, stored
from new_store import new_store
from postgres_server import Server, own_server, programs
from stored import attacker, body, pilot, put

from campaign.score import Score, two_at_a_time
from campaign.strikes import label_problems
from killsync.model import TypePrice
from killsync.store import connection, killmails, prices, revaluing, users
from killsync.store.connection import Store

PART = "feed"
CASES, STRIKES = 2, 8
LONG_CASES, LONG_STRIKES = 10, 12
KINDS = ("feeder", "feeder", "feeder", "server", "connection", "signal", "two feeders")
SOURCES = {"main": 90000001, "other": 90000002}
# each database has killmails of its own, and some that the other has too
_FIRST = {"main": 0, "other": 200}
_MADE, _COPIES, _APART = 300, 8, 10_000
_ITEMS = 6
_NOW = 1_800_000_000.0
_OF_KILLMAILS = ("killmails", "attackers", "items", "killmail_values")
_NUMBERS = """
SELECT stored_seq FROM killmails WHERE source = %s
UNION ALL SELECT stored_seq FROM also_stored WHERE source = %s
UNION ALL SELECT stored_seq FROM removed_killmails WHERE source = %s
"""
_HALF = """
SELECT count(*) FROM killmails AS k
WHERE attacker_count <> (SELECT count(*) FROM attackers AS a WHERE a.killmail_id = k.killmail_id)
    OR item_count <> (SELECT count(*) FROM items AS i WHERE i.killmail_id = k.killmail_id)
"""


def play(seed: int, *, long: bool) -> Score:
    """Play the cases of the short or long form; return their combined score."""
    if programs() is None:
        return Score(PART, problems=[f"{PART}: no PostgreSQL is installed"] if long else [])
    cases, strikes = (LONG_CASES, LONG_STRIKES) if long else (CASES, STRIKES)
    return two_at_a_time(PART, partial(play_case, seed, KINDS, strikes), range(cases))


def play_case(seed: int, kinds: tuple[str, ...], strikes: int, number: int) -> Score:
    """Strike so often, each time at a random moment of a feed; then compare everything."""
    score = Score(PART, cases=1)
    rng = random.Random(f"{PART} {seed} {number}")
    with label_problems(score, f"case {number}"), own_server() as server, _directory() as directory:
        case = Case(server, directory, rng, score)
        for strike in range(strikes):
            case.change()
            case.strike(kinds[strike % len(kinds)])
            case.check_whole()
        case.finish()
    return score


class Case:
    """Two databases and a PostgreSQL, which is started again whenever it was killed."""

    def __init__(self, server: Server, directory: Path, rng: random.Random, score: Score) -> None:
        self._server = server
        self._url = server.create_database("feed")
        self._directory = directory
        self._rng = rng
        self._score = score
        self._next = 1_000_000
        for source, user in SOURCES.items():
            with closing(new_store(self._path(source))) as store:
                users.add(store.conn, user, source, _NOW)
                first = _FIRST[source]
                put(store, [_body(n) for n in range(first, first + _MADE)])
            _multiply(self._path(source))
        started = time.monotonic()
        self._feed("main")
        # of a whole feed, on this machine
        self._lasts = time.monotonic() - started

    def change(self) -> None:
        """Store more, delete some, let some come back, compute values again."""
        source = self._rng.choice(list(SOURCES))
        with closing(connection.connect(self._path(source))) as store:
            ids = [i for (i,) in store.conn.execute("SELECT killmail_id FROM killmails")]
            gone = self._rng.sample(ids, self._rng.randrange(1, 300))
            with store.transaction() as conn:
                killmails.remove(conn, gone)
            fresh = range(self._next, self._next + self._rng.randrange(1, 150))
            self._next = fresh.stop
            put(store, [_body(n) for n in (*gone[:30], *fresh)])
            if self._rng.random() < 0.5:
                _reprice(store, self._rng)

    def strike(self, kind: str) -> None:
        """Feed one of the databases, and strike at a random moment of that."""
        self._score.kills += 1
        self._score.moments[kind] += 1
        source = self._rng.choice(list(SOURCES))
        with ExitStack() as stack:
            feeder = stack.enter_context(self._begun(source))
            if kind == "two feeders":
                stack.enter_context(self._begun(source))
            time.sleep(self._rng.uniform(0, self._lasts))
            if kind == "server":
                self._server.kill()
                feeder.wait(commands.TIMEOUT)
                self._server.start()
            elif kind == "connection":
                self._end_connections()
            elif kind == "signal":
                feeder.send_signal(self._rng.choice((signal.SIGTERM, signal.SIGINT)))
            else:
                feeder.kill()
            code = feeder.wait(commands.TIMEOUT)
            self._score.check(
                code in (0, 75, 130, 143, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM),
                f"a feed that was struck by {kind} ended with {code}",
            )

    def check_whole(self) -> None:
        """See that nothing is there twice, and no killmail without its rows."""
        for source in SOURCES:
            with suppress(psycopg.errors.UndefinedTable):
                numbers = Counter(self._numbers(source))
                self._score.duplicated += sum(count - 1 for count in numbers.values())
                ((half,),) = ask(self._url, _HALF)
                self._score.check(not half, f"{half} killmails lack rows")

    def finish(self) -> None:
        """Feed both to the end, and compare every row."""
        for source in (*SOURCES, *SOURCES):
            self._feed(source)
        there = fed(self._url)
        owners = dict(ask(self._url, "SELECT killmail_id, source FROM killmails"))
        wanted = {source: stored(self._path(source)) for source in SOURCES}
        for table, found in there.items():
            true = [
                row
                for source, rows in wanted.items()
                for row in rows[table]
                if owners.get(row["killmail_id"]) == source
            ]
            true.sort(key=lambda row: (row["killmail_id"], row.get("ordinal", 0)))
            self._score.check(found == true, f"{table} differs from the databases'")
        everything = {row["killmail_id"] for rows in wanted.values() for row in rows["killmails"]}
        self._score.lost += len(everything - owners.keys())
        self._score.check(owners.keys() <= everything, "what was deleted is still there")
        for source in SOURCES:
            self._compare_numbers(source)

    def _compare_numbers(self, source: str) -> None:
        with closing(sqlite3.connect(self._path(source))) as conn:
            numbers = conn.execute(
                """SELECT stored_seq FROM killmails
                UNION ALL SELECT stored_seq FROM removed_killmails"""
            ).fetchall()
        true = Counter(number for (number,) in numbers)
        found = Counter(self._numbers(source))
        self._score.lost += sum((true - found).values())
        self._score.duplicated += sum((found - true).values())

    def _numbers(self, source: str) -> list[int]:
        return [number for (number,) in ask(self._url, _NUMBERS, source, source, source)]

    def _feed(self, source: str) -> None:
        with self._begun(source) as feeder:
            _, said = feeder.communicate(timeout=commands.TIMEOUT)
        self._score.check(feeder.returncode == 0, f"a feed in peace failed: {said}")

    @contextmanager
    def _begun(self, source: str) -> Iterator[subprocess.Popen[str]]:
        words = ("--db", str(self._path(source)), "feed", "postgres", self._url, "--source", source)
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = {"HOME": str(self._directory), "PATH": os.environ["PATH"]}
        with commands.start(*words, environment=environment, text=True, **pipes) as process:
            try:
                yield process
                process.wait(commands.TIMEOUT)
            finally:
                process.kill()

    def _end_connections(self) -> None:
        ask(
            self._url,
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'killsync' AND datname = current_database()""",
        )

    def _path(self, source: str) -> Path:
        return self._directory / f"{source}.db"


def _body(number: int) -> dict[str, object]:
    # a killmail is the same in every database, and as those that were multiplied
    kind = number % _APART
    rng = random.Random(kind)
    item = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 2}
    shot = [attacker(90000001 + n, security_status=rng.uniform(-10, 5)) for n in range(4)]
    victim = pilot(90000002, position={"x": rng.uniform(-1e13, 1e13), "y": 0.1, "z": 1})
    return body(number, victim, shot, items=[item] * (kind % _ITEMS))


def _multiply(path: Path) -> None:
    """Make many killmails of the few: later ids, with numbers of their own."""
    with closing(sqlite3.connect(path)) as conn, conn:
        for copy in range(1, _COPIES):
            shift = {
                "killmail_id": f"killmail_id + {copy * _APART}",
                "stored_seq": f"stored_seq + {copy * _MADE}",
            }
            for table in _OF_KILLMAILS:
                names = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
                values = ", ".join(shift.get(name, name) for name in names)
                of_first = f"WHERE killmail_id < {_APART}"
                conn.execute(f"INSERT INTO {table} SELECT {values} FROM {table} {of_first}")
        conn.execute(f"UPDATE facts SET value = {_COPIES * _MADE} WHERE name = 'stored_seq'")


def _reprice(store: Store, rng: random.Random) -> None:
    day = f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    with store.transaction() as conn:
        prices.record(conn, day, [TypePrice(34, average=rng.uniform(1, 9))], _NOW)
    below: int | None = None
    while True:
        with store.transaction() as conn:
            below = revaluing.reprice(conn, _NOW, below).lowest
        if below is None:
            return


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="killsync-campaign-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
