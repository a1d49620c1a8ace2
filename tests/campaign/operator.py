"""The part `operator`: cron keeps PostgreSQL current while users are removed with what was theirs.

A real cron calls a scan and a feed each minute, in a mount namespace of its own, which needs root.
After each tick PostgreSQL's tables and views have the rows of SQLite's.
"""

import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from both import ask_postgres_all, ask_sqlite, assert_same_views
from postgres_server import own_server, programs
from world import wait_until

from campaign.case import Case, case
from campaign.score import Score
from campaign.strikes import label_problems
from killsync.lake.tables import ATTACKERS, HASH, ITEMS, KILLMAILS, VALUES
from killsync.store import connection, lock

PART = "operator"
TICKS, LONG_TICKS = 4, 10
MINUTE = 60.0
CHARACTERS, LISTED = 5, 60
SETTINGS = {"KILLSYNC_MIN_AGE": "10s", "KILLSYNC_NAMES": "on", "KILLSYNC_PRICES": "on"}
# what cron hides behind in a namespace of its own: it has one table, and meets no other cron
HIDDEN = """
mount --bind {0}/crontabs /var/spool/cron/crontabs && mount --bind {0}/empty /etc/cron.d &&
mount --bind {0}/none /etc/crontab && mount -t tmpfs none /run && exec cron -f
"""
_KILLMAIL = [column.name for column in KILLMAILS if column.name not in (HASH, "extra")]
_EXTRA = "CAST({}.extra AS text) AS extra"
_KILLMAILS = f"SELECT {', '.join(f'k.{name}' for name in _KILLMAIL)}, {_EXTRA.format('k')}"
_VALUED = ", ".join(f"v.{column.name}" for column in VALUES)
_CHILDREN = {
    table: ", ".join(c.name for c in columns if c.name not in ("extra", "stored_seq"))
    for table, columns in (("attackers", ATTACKERS), ("items", ITEMS))
}
# the same rows in both; PostgreSQL has what SQLite has of each killmail in two tables in one
SAME = [
    f"{_KILLMAILS} FROM killmails AS k ORDER BY 1",
    f"SELECT k.killmail_id, {_VALUED} FROM killmails AS k JOIN killmail_values AS v "
    "ON v.killmail_id = k.killmail_id ORDER BY 1",
    *(
        f"SELECT {columns}, {_EXTRA.format(table)} FROM {table} ORDER BY killmail_id, ordinal"
        for table, columns in _CHILDREN.items()
    ),
    "SELECT user_id, kind, name FROM users ORDER BY 1",
    "SELECT id, category, name, named_at FROM names ORDER BY 1",
    "SELECT type_id, day, average, adjusted FROM prices ORDER BY 1, 2",
    "SELECT removed_seq, killmail_id, stored_seq, removed_at FROM removed_killmails ORDER BY 1",
]


def play(seed: int, *, long: bool) -> Score:
    """Play ticks, of which two come while a user is removed and one while a scan is killed."""
    score = Score(PART)
    rng = random.Random(f"{PART} {seed}")
    with label_problems(score, "cron"):
        if programs() is None:
            raise AssertionError("no PostgreSQL is installed: there is no initdb")
        if shutil.which("cron") is None:
            raise AssertionError("no cron is installed")
        options: dict[str, Any] = {"characters": CHARACTERS, "killmails": LISTED}
        with own_server() as server, case(rng, list_max_age=1, shared=0.3, **options) as program:
            url = server.create_database("operator")
            Operator(program, url, score).play(LONG_TICKS if long else TICKS)
            program.count(score)
    return score


class Operator:
    """An installation with the line of docs/postgres.md in its crontab."""

    def __init__(self, program: Case, url: str, score: Score) -> None:
        self.program = program
        self.url = url
        self.score = score
        self.removed: list[int] = []
        self.ended = program.directory / "ended"
        self.ended.touch()
        killsync = f"{shlex.quote(sys.executable)} -m killsync"
        self.line = (
            f"{killsync} scan --quiet; {killsync} feed postgres --quiet {url}; "
            f"echo $? >> {self.ended}"
        )

    def play(self, ticks: int) -> None:
        """Play ticks, and compare after each of them."""
        removals = {ticks // 2, ticks - 2}
        with self._cron():
            for tick in range(1, ticks + 1):
                self._change(tick)
                self._await_minute()
                began = time.monotonic()
                if tick in removals:
                    self._remove_a_user()
                wait_until(partial(self._has_ended, tick))
                took = time.monotonic() - began
                self.score.cases += 1
                self.score.measure("slowest tick, in ms", 1000 * took, f"tick {tick}")
                # what was removed behind the feed's back leaves with the next
                if tick not in removals:
                    self._compare(f"tick {tick}")
        self.score.check(set(self._codes()) == {"0"}, f"the ticks ended with {self._codes()}")

    def _change(self, tick: int) -> None:
        """Let the characters fly, and log one in again that was removed two ticks before."""
        for login in self.program.simulator.logins:
            count = self.program.rng.randint(1, 4)
            self.program.simulator.add_killmails(login["character_id"], count)
        if len(self.removed) == 1 and tick > LONG_TICKS // 2 + 1:
            user = self.removed[0]
            login = self.program.simulator.control("tokens", "POST", character_id=user)
            self.program.run("users", "add", given=f"{login['refresh_token']}\n")
            self.removed.append(0)

    def _remove_a_user(self) -> None:
        """Remove a user with its killmails, while the scan of the tick goes on."""
        wait_until(lambda: lock.is_held(self.program.database))
        user = int(self.program.active_users()[-1])
        before = self._stored()
        # as a person does who is told that a scan is at work
        while (code := self.program.call("users", "remove", "--purge", "--yes", str(user))) == 75:
            time.sleep(0.1)
        self.score.check(code == 0, f"users remove ended with {code}: {self.program.heard()}")
        self.score.check(self._stored() < before, "no killmail was purged")
        self.removed.append(user)

    def _stored(self) -> int:
        return int(self.program.rows("SELECT count(*) FROM killmails")[0][0])

    def _has_ended(self, tick: int) -> bool:
        return len(self._codes()) >= tick

    def _codes(self) -> list[str]:
        """Return how the ticks so far have ended."""
        return self.ended.read_text().split()

    def _await_minute(self) -> None:
        time.sleep(MINUTE - time.time() % MINUTE)

    def _compare(self, when: str) -> None:
        with closing(connection.connect(self.program.database, read_only=True)) as store:
            ours = [ask_sqlite(store, query) for query in SAME]
            theirs = ask_postgres_all(self.url, SAME)
            for query, here, there in zip(SAME, ours, theirs, strict=True):
                self.score.lost += sum(row not in there for row in here)
                self.score.duplicated += len(there) - len(here)
                self.score.check(here == there, f"{when}: PostgreSQL has other rows: {query}")
            assert_same_views(store, self.url)
        self.score.check(len(ours[0]) > 0, f"{when}: nothing was stored")

    @contextmanager
    def _cron(self) -> Iterator[None]:
        """Have the line called each minute."""
        directory = self.program.directory / "cron"
        for name in ("crontabs", "empty"):
            (directory / name).mkdir(parents=True)
        (directory / "none").touch()
        table = directory / "crontabs" / "root"
        settings = self.program.environment | {"MAILTO": ""} | SETTINGS
        lines = [f'{name}="{value}"' for name, value in settings.items()]
        table.write_text("\n".join([*lines, f"* * * * * {self.line}", ""]))
        table.chmod(0o600)
        script = HIDDEN.format(directory)
        with subprocess.Popen(["unshare", "--mount", "sh", "-c", script]) as process:
            try:
                yield
            finally:
                process.terminate()
