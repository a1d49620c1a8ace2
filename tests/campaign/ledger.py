"""What killsync had committed when it was struck, and which repeated requests that explains."""

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
from killsync.sync import refreshes
from killsync.sync.bodies import BATCH
from killsync.times import iso

CONNECTIONS = 8
# a batch waiting to be stored, the answers that arrived with its last body, and the requests in
# flight meanwhile
MOST_BODIES = BATCH + 2 * CONNECTIONS
LIST_ANSWERS = (200, 304)
# of characters and of corporations
LISTS = ("list", "corp_list")


@dataclass
class Launch:
    """One killsync process; `struck` is set if it did not end by itself."""

    number: int
    process: Popen[bytes]
    arguments: tuple[str, ...]
    workers: int = 1
    struck: bool = False


@dataclass
class Snapshot:
    """What a database holds: users, recorded lists, stored ids, tokens, and who is a director."""

    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    recorded: set[tuple[int, int]] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)
    tokens: dict[int, str] = field(default_factory=dict)
    directors: set[int] = field(default_factory=set)


class Ledger:
    """Follows one case from strike to strike, and reports whatever no strike explains."""

    def __init__(self, program: Case, score: Score) -> None:
        self._program = program
        self._score = score
        self.launches: dict[int, Launch] = {}
        self.entries: list[dict[str, Any]] = []
        self.last = Snapshot()
        # the users whose rotated token is lost at present, and how often each has lost one
        self.lost: set[int] = set()
        self.losses: Counter[int] = Counter()
        self._stored_at: dict[int, float] = {}
        self._pages: dict[tuple[int, int], dict[str, Any]] = {}
        self._pages_done: set[tuple[int, int]] = set()
        self._full_requests: Counter[int] = Counter()
        self._bodies: dict[int, dict[str, Any]] = {}

    def launched(self, launch: Launch) -> None:
        """Register a new process."""
        self.launches[launch.number] = launch
        if "--full" in launch.arguments:
            self._full_requests.update(int(word) for word in launch.arguments if word.isdecimal())

    @property
    def mark(self) -> int:
        """The number of the last request that was read from the log."""
        return int(self.entries[-1]["n"]) if self.entries else 0

    def start(self) -> None:
        """Follow the case from here on, with all users registered."""
        self.entries = self._program.simulator.log()
        self.look()

    def look(self) -> Snapshot:
        """Compare the present state, with no process alive, with the last one; return it."""
        return self.compare(read(self._program, alive=False))

    def reset_lists(self) -> None:
        """Start over with the lists, as each may be requested again."""
        self.read_requests()
        self._pages.clear()
        self._pages_done.clear()
        self._full_requests.clear()

    def read_requests(self, *, lists: bool = True) -> list[dict[str, Any]]:
        """Read and check the requests since the last time; no process may be alive."""
        # a first call, so that the simulator has read what a killed process sent before the second
        self._program.simulator.control("log?count")
        new: list[dict[str, Any]] = self._program.simulator.control(f"log?after={self.mark}")
        for entry in new:
            if entry["route"] == "body" and entry["status"] == 200:
                self._on_body(entry)
            elif lists and entry["route"] in LISTS and entry["status"] in LIST_ANSWERS:
                self._on_page(entry)
            elif entry["route"] == "token":
                self._on_refresh(entry)
            self.entries.append(entry)
        return new

    def after_strike(self, launches: list[Launch]) -> Snapshot:
        """Check the state after a strike, with no process alive; return it."""
        new = self.read_requests()
        after = self.look()
        self._check_tokens(after, launches)
        self._check_unstored(after, new)
        self._check_pages(after, new)
        return after

    def compare(self, after: Snapshot) -> Snapshot:
        """Report what was seen before and is gone; `after` becomes the last state."""
        before, self.last = self.last, after
        now = time.time()
        check = self._score.check
        gone = before.stored - after.stored
        check(not gone, f"{len(gone)} killmails that were stored are gone")
        gone_rows = before.recorded - after.recorded
        check(not gone_rows, f"{len(gone_rows)} list rows that were recorded are gone")
        for user_id, row in before.users.items():
            then = after.users.get(user_id)
            check(then is not None, f"user {user_id} is gone")
            older = then is not None and (then["last_killmail_id"] or 0) < (
                row["last_killmail_id"] or 0
            )
            check(not older, f"the stored id of user {user_id} has decreased")
        for killmail_id in after.stored:
            self._stored_at.setdefault(killmail_id, now)
        return after

    def forget_renewed_losses(self) -> None:
        """Forget lost tokens that a new login has replaced."""
        renewed = self._program.renewed
        self.lost = {user for user in self.lost if renewed[user] < self.losses[user]}

    def check_new_logins(self) -> None:
        """Check at the end that exactly the users who lost a token got a new login."""
        renewed = self._program.renewed
        self._score.check(
            renewed == self.losses, f"new logins for {dict(renewed)}, lost: {dict(self.losses)}"
        )
        self._score.new_logins += renewed.total()

    def _find_launch(self, entry: dict[str, Any]) -> Launch | None:
        number = (entry["user_agent"] or "").partition("launch-")[2].rstrip(")")
        return self.launches.get(int(number)) if number else None

    def _was_struck(self, entry: dict[str, Any]) -> bool:
        launch = self._find_launch(entry)
        return launch is not None and launch.struck

    def _on_body(self, entry: dict[str, Any]) -> None:
        killmail_id = entry["killmail_id"]
        needed = entry["start"] <= self._stored_at.get(killmail_id, entry["start"])
        check = self._score.check
        check(needed, f"body {killmail_id} was requested although it was stored")
        before = self._bodies.get(killmail_id)
        explained = before is None or self._was_struck(before)
        check(explained, f"body {killmail_id} was requested twice and no strike explains it")
        self._bodies[killmail_id] = entry

    def _on_page(self, entry: dict[str, Any]) -> None:
        key = user_id, page = list_owner(entry), entry["page"]
        before = self._pages.get(key)
        self._pages[key] = entry
        if before is None or (self._was_struck(before) and key not in self._pages_done):
            return
        # --full may be requested after page 1 is done: then all other pages are read again
        if page > 1 and self._full_requests[user_id]:
            return
        reason = "is recorded" if key in self._pages_done else "was read by a run not struck"
        self._score.check(False, f"page {page} of {user_id} was requested again, but it {reason}")

    def _on_refresh(self, entry: dict[str, Any]) -> None:
        if entry["status"] != 400:
            return
        user_id = entry["character_id"]
        granted = [e for e in self._requests(user_id, "token") if e["status"] == 200]
        # a process running beside the struck one runs into the loss before it is recorded here
        explained = user_id in self.lost or (bool(granted) and self._was_struck(granted[-1]))
        self._score.check(explained, f"a token of {user_id} was used after its rotation")

    def _check_tokens(self, after: Snapshot, launches: list[Launch]) -> None:
        """Check that a token not stored was lost by a process struck just after SSO issued it."""
        truth = self._program.simulator.control("truth?bodies=0")
        valid = {int(user): c["refresh_token"] for user, c in truth["characters"].items()}
        lost = {user for user, token in after.tokens.items() if token != valid[user]} - self.lost
        for user_id in lost:
            self._check_loss(user_id)
        newly_lost = len(lost)
        # those in the background, and as many that a person waits for
        most = sum(refreshes.BORNE for launch in launches if launch.struck)
        self._score.check(
            newly_lost <= most, f"{newly_lost} tokens were lost by {len(launches)} strikes"
        )
        self.lost = (self.lost | lost) - {
            user for user, token in after.tokens.items() if token == valid[user]
        }
        self.losses.update(lost)
        for user_id, row in after.users.items():
            of_a_corporation = truth["corporations"].get(str(user_id), {})
            # a corporation needs a login once no director is left
            tokens = set(of_a_corporation.get("directors", [user_id]))
            wrong = row["state"] == "needs_login" and not tokens <= self.lost
            self._score.check(not wrong, f"user {user_id} needs a login, but no token is lost")

    def _check_loss(self, user_id: int) -> None:
        granted = [e for e in self._requests(user_id, "token") if e["status"] == 200]
        check = self._score.check
        explained = bool(granted) and self._was_struck(granted[-1])
        check(explained, f"no strike explains why the token of {user_id} is lost")
        lists = [e for route in LISTS for e in self._requests(user_id, route)]
        used = [e for e in lists if granted and e["n"] > granted[-1]["n"]]
        check(not used, f"a token of {user_id} was used before it was stored")

    def _requests(self, user_id: int, route: str) -> list[dict[str, Any]]:
        return [e for e in self.entries if (e["character_id"], e["route"]) == (user_id, route)]

    def _check_unstored(self, after: Snapshot, new: list[dict[str, Any]]) -> None:
        answered = Counter(
            e["user_agent"]
            for e in new
            if e["route"] == "body" and e["status"] == 200 and e["killmail_id"] not in after.stored
        )
        most = max(answered.values(), default=0)
        self._score.check(most <= MOST_BODIES, f"{most} bodies had not been stored")

    def _check_pages(self, after: Snapshot, new: list[dict[str, Any]]) -> None:
        """Check the pages read but not recorded: one per user, as many users as workers."""
        now = iso(time.time())
        for user_id, page in self._pages:
            row = after.users.get(user_id)
            if row is not None and is_recorded(row, page, now):
                self._pages_done.add((user_id, page))
        unrecorded = {
            (list_owner(e), e["page"], e["user_agent"])
            for e in new
            if e["route"] in LISTS
            and e["status"] == 200
            and (list_owner(e), e["page"]) not in self._pages_done
            and self._pages.get((list_owner(e), e["page"])) is e
        }
        by_user = Counter(user for user, _, _ in unrecorded)
        self._score.check(
            max(by_user.values(), default=0) <= 1, f"pages not recorded, by user: {dict(by_user)}"
        )
        for agent, count in Counter(agent for _, _, agent in unrecorded).items():
            launch = self._find_launch({"user_agent": agent})
            most = launch.workers if launch else 0
            self._score.check(count <= most, f"{count} pages not recorded with {most} workers")


def list_owner(entry: dict[str, Any]) -> int:
    """Return whose list a request in the log has asked for: a corporation's, or a character's."""
    owner: int = entry["corporation_id"] or entry["character_id"]
    return owner


def is_recorded(row: dict[str, Any], page: int, now: str) -> bool:
    """Return whether the database has a page that was read, by the user's cursor."""
    if page == 1:
        return bool(row["list_cached_until"] and row["list_cached_until"] > now)
    return row["backfill_page"] is None or page < row["backfill_page"]


def read(program: Case, *, alive: bool) -> Snapshot:
    """Read a database in place if processes are `alive`, otherwise a copy of what they left.

    The database itself is not changed, so that SQLite's recovery is left to killsync.
    """
    database = program.database
    if alive:
        return _read(program, database, "?mode=ro")
    with tempfile.TemporaryDirectory() as scratch:
        for file in database.parent.glob(f"{database.name}*"):
            if file.is_file() and not file.name.endswith("-shm"):
                shutil.copy2(file, scratch)
        return _read(program, Path(scratch) / database.name, "?mode=rw")


def _read(program: Case, database: Path, mode: str) -> Snapshot:
    found = Snapshot()
    if not database.exists():
        return found
    with closing(_connect(database, mode)) as conn:
        tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master")}
        if "directors" in tables:
            # in one transaction, so that the three are consistent
            conn.execute("BEGIN")
            conn.row_factory = sqlite3.Row
            found.users = {row["user_id"]: dict(row) for row in conn.execute("SELECT * FROM users")}
            conn.row_factory = None
            found.recorded = set(conn.execute("SELECT user_id, killmail_id FROM user_killmails"))
            found.stored = {i for (i,) in conn.execute("SELECT killmail_id FROM killmails")}
            found.directors = {i for (i,) in conn.execute("SELECT character_id FROM directors")}
    tokens = database.with_name(f"{database.name}.tokens")
    if tokens.exists():
        with closing(_connect(tokens, mode)) as conn:
            if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").fetchone():
                found.tokens = program.read_tokens(conn)
    return found


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(path.as_uri() + mode, uri=True, timeout=60, isolation_level=None)
