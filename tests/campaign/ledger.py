"""What killsync had committed when it was struck down, and which requests that explains."""

import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from campaign.case import Case
from campaign.score import Score
from killsync.sync.bodies import BATCH
from killsync.sync.worker import REFRESHES
from killsync.times import iso

CONNECTIONS = 8
# what waits to be stored, what came back with the last of it, and what was sent meanwhile
MOST_BODIES = BATCH + 2 * CONNECTIONS
LIST_ANSWERS = (200, 304)


@dataclass
class Launch:
    """One killsync process; `struck` says that it did not end by itself."""

    number: int
    process: Popen[bytes]
    words: tuple[str, ...]
    workers: int = 1
    struck: bool = False


@dataclass
class Snapshot:
    """What a database holds: each user's row, recorded list and refresh token, the stored ids."""

    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    recorded: set[tuple[int, int]] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)
    tokens: dict[int, str] = field(default_factory=dict)


class Ledger:
    """Follows one case from strike to strike, and notes what no strike explains."""

    def __init__(self, program: Case, score: Score) -> None:
        self._program = program
        self._score = score
        self.launches: dict[int, Launch] = {}
        self.entries: list[dict[str, Any]] = []
        self.last = Snapshot()
        # the users whose rotated token is lost now, and how often each has lost one
        self.lost: set[int] = set()
        self.losses: Counter[int] = Counter()
        self._stored_at: dict[int, float] = {}
        self._pages: dict[tuple[int, int], dict[str, Any]] = {}
        self._pages_done: set[tuple[int, int]] = set()
        self._asked_full: Counter[int] = Counter()
        self._bodies: dict[int, dict[str, Any]] = {}

    def launched(self, launch: Launch) -> None:
        """Take note of a new process."""
        self.launches[launch.number] = launch
        if "--full" in launch.words:
            self._asked_full.update(int(word) for word in launch.words if word.isdecimal())

    @property
    def mark(self) -> int:
        """The number of the last request that was taken in."""
        return int(self.entries[-1]["n"]) if self.entries else 0

    def begin(self) -> None:
        """Follow the case from here on: the users are registered."""
        self.entries = self._program.simulator.log()
        self.look()

    def look(self) -> Snapshot:
        """Compare what is there now, with nobody at work, with what was seen before."""
        return self.compare(read(self._program.database, alive=False))

    def time_passes(self) -> None:
        """Begin anew with the lists: each may be asked for again."""
        self.take_requests()
        self._pages.clear()
        self._pages_done.clear()
        self._asked_full.clear()

    def take_requests(self, *, lists: bool = True) -> list[dict[str, Any]]:
        """Take in what was asked since the last time, and check it; nobody may be at work."""
        # a first call, so that what a killed process has sent is read before the second
        self._program.simulator.control("log?count")
        new: list[dict[str, Any]] = self._program.simulator.control(f"log?after={self.mark}")
        for entry in new:
            if entry["route"] == "body" and entry["status"] == 200:
                self._take_body(entry)
            elif lists and entry["route"] == "list" and entry["status"] in LIST_ANSWERS:
                self._take_page(entry)
            elif entry["route"] == "token":
                self._take_refresh(entry)
            self.entries.append(entry)
        return new

    def struck(self, launches: list[Launch]) -> Snapshot:
        """Check what is left after a strike, with no process alive any more."""
        new = self.take_requests()
        after = self.look()
        self._check_tokens(after, launches)
        self._check_unstored(after, new)
        self._check_pages(after, new)
        return after

    def compare(self, after: Snapshot) -> Snapshot:
        """Note what was seen before and is gone; what is left is what is seen now."""
        before, self.last = self.last, after
        now = time.time()
        must = self._score.must
        gone = before.stored - after.stored
        must(not gone, f"{len(gone)} killmails that were stored are gone")
        gone_rows = before.recorded - after.recorded
        must(not gone_rows, f"{len(gone_rows)} list rows that were recorded are gone")
        for user_id, row in before.users.items():
            then = after.users.get(user_id)
            must(then is not None, f"user {user_id} is gone")
            older = then is not None and (then["last_killmail_id"] or 0) < (
                row["last_killmail_id"] or 0
            )
            must(not older, f"the stored id of user {user_id} has gone back")
        for killmail_id in after.stored:
            self._stored_at.setdefault(killmail_id, now)
        return after

    def logins_renewed(self) -> None:
        """Forget the losses that a new login has mended: the next one is another."""
        mended = self._program.renewed
        self.lost = {user for user in self.lost if mended[user] < self.losses[user]}

    def logins_are_explained(self) -> None:
        """Check at the end that exactly those who lost a token have been given a new one."""
        renewed = self._program.renewed
        self._score.must(
            renewed == self.losses, f"new logins for {dict(renewed)}, lost: {dict(self.losses)}"
        )
        self._score.new_logins += renewed.total()

    def _launch(self, entry: dict[str, Any]) -> Launch | None:
        number = (entry["user_agent"] or "").partition("launch-")[2].rstrip(")")
        return self.launches.get(int(number)) if number else None

    def _was_struck(self, entry: dict[str, Any]) -> bool:
        launch = self._launch(entry)
        return launch is not None and launch.struck

    def _take_body(self, entry: dict[str, Any]) -> None:
        killmail_id = entry["killmail_id"]
        needed = entry["start"] <= self._stored_at.get(killmail_id, entry["start"])
        must = self._score.must
        must(needed, f"body {killmail_id} was asked for although it was stored")
        before = self._bodies.get(killmail_id)
        explained = before is None or self._was_struck(before)
        must(explained, f"body {killmail_id} was asked for twice and no strike explains it")
        self._bodies[killmail_id] = entry

    def _take_page(self, entry: dict[str, Any]) -> None:
        key = user_id, page = entry["character_id"], entry["page"]
        before = self._pages.get(key)
        self._pages[key] = entry
        if before is None or (self._was_struck(before) and key not in self._pages_done):
            return
        # --full may come when page 1 is done: then all others are read again
        if page > 1 and self._asked_full[user_id]:
            return
        done = "is recorded" if key in self._pages_done else "was read by a run that went on"
        self._score.must(False, f"page {page} of {user_id} was asked for again: it {done}")

    def _take_refresh(self, entry: dict[str, Any]) -> None:
        if entry["status"] != 400:
            return
        user_id = entry["character_id"]
        given = [e for e in self._of(user_id, "token") if e["status"] == 200]
        # who goes on beside a process that was struck meets its loss before it is noted here
        explained = user_id in self.lost or (bool(given) and self._was_struck(given[-1]))
        self._score.must(explained, f"a token of {user_id} was used after its rotation")

    def _check_tokens(self, after: Snapshot, launches: list[Launch]) -> None:
        """A token that SSO gave and that is not stored must have been on its way just now."""
        characters = self._program.simulator.control("truth?bodies=0")["characters"]
        valid = {int(user): c["refresh_token"] for user, c in characters.items()}
        lost = {user for user, token in after.tokens.items() if token != valid[user]} - self.lost
        for user_id in lost:
            self._check_loss(user_id)
        by_now = len(lost)
        most = sum(REFRESHES for launch in launches if launch.struck)
        self._score.must(by_now <= most, f"{by_now} tokens were lost by {len(launches)} strikes")
        self.lost = (self.lost | lost) - {
            user for user, token in after.tokens.items() if token == valid[user]
        }
        self.losses.update(lost)
        for user_id, row in after.users.items():
            wrong = row["state"] == "needs_login" and user_id not in self.lost
            self._score.must(not wrong, f"user {user_id} needs a login although no token is lost")

    def _check_loss(self, user_id: int) -> None:
        given = [e for e in self._of(user_id, "token") if e["status"] == 200]
        must = self._score.must
        explained = bool(given) and self._was_struck(given[-1])
        must(explained, f"no strike explains that the token of {user_id} is lost")
        used = [e for e in self._of(user_id, "list") if given and e["n"] > given[-1]["n"]]
        must(not used, f"a token of {user_id} was used before it was stored")

    def _of(self, user_id: int, route: str) -> list[dict[str, Any]]:
        return [e for e in self.entries if (e["character_id"], e["route"]) == (user_id, route)]

    def _check_unstored(self, after: Snapshot, new: list[dict[str, Any]]) -> None:
        asked = Counter(
            e["user_agent"]
            for e in new
            if e["route"] == "body" and e["status"] == 200 and e["killmail_id"] not in after.stored
        )
        most = max(asked.values(), default=0)
        self._score.must(most <= MOST_BODIES, f"{most} bodies had not been stored")

    def _check_pages(self, after: Snapshot, new: list[dict[str, Any]]) -> None:
        """Of each user at most the page in flight is not recorded, and of few users at all."""
        now = iso(time.time())
        for user_id, page in self._pages:
            row = after.users.get(user_id)
            if row is not None and is_recorded(row, page, now):
                self._pages_done.add((user_id, page))
        read_in_vain = {
            (e["character_id"], e["page"], e["user_agent"])
            for e in new
            if e["route"] == "list"
            and e["status"] == 200
            and (e["character_id"], e["page"]) not in self._pages_done
            and self._pages.get((e["character_id"], e["page"])) is e
        }
        by_user = Counter(user for user, _, _ in read_in_vain)
        self._score.must(
            max(by_user.values(), default=0) <= 1, f"pages not recorded, by user: {dict(by_user)}"
        )
        for agent, count in Counter(agent for _, _, agent in read_in_vain).items():
            launch = self._launch({"user_agent": agent})
            most = launch.workers if launch else 0
            self._score.must(count <= most, f"{count} pages not recorded with {most} workers")


def is_recorded(row: dict[str, Any], page: int, now: str) -> bool:
    """Tell whether a page that was asked for is in the database, by the user's cursor."""
    if page == 1:
        return bool(row["list_cached_until"] and row["list_cached_until"] > now)
    return row["backfill_page"] is None or page < row["backfill_page"]


def read(database: Path, *, alive: bool) -> Snapshot:
    """Read a database beside processes that are `alive`, else a copy of what they have left.

    Nothing of it is changed: SQLite's recovery is left to killsync.
    """
    if alive:
        return _read(database, "?mode=ro")
    with tempfile.TemporaryDirectory() as scratch:
        for file in database.parent.glob(f"{database.name}*"):
            if file.is_file() and not file.name.endswith("-shm"):
                shutil.copy2(file, scratch)
        return _read(Path(scratch) / database.name, "?mode=rw")


def _read(database: Path, mode: str) -> Snapshot:
    found = Snapshot()
    if not database.exists():
        return found
    with closing(_connect(database, mode)) as conn:
        tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master")}
        if "pending_killmails" in tables:
            # one transaction: the three belong together
            conn.execute("BEGIN")
            conn.row_factory = sqlite3.Row
            found.users = {row["user_id"]: dict(row) for row in conn.execute("SELECT * FROM users")}
            conn.row_factory = None
            found.recorded = set(conn.execute("SELECT user_id, killmail_id FROM user_killmails"))
            found.stored = {i for (i,) in conn.execute("SELECT killmail_id FROM killmails")}
    tokens = database.with_name(f"{database.name}.tokens")
    if tokens.exists():
        with closing(_connect(tokens, mode)) as conn:
            if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").fetchone():
                found.tokens = dict(conn.execute("SELECT user_id, refresh_token FROM tokens"))
    return found


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(path.as_uri() + mode, uri=True, timeout=60, isolation_level=None)
