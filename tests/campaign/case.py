"""One case: a simulator and a database of its own, judged after all faults are over."""

import base64
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import commands
from world import TIMEOUT, Killsync, Simulator, simulator

from campaign import secrets
from campaign.score import Score
from killsync.store import lock
from killsync.tokens.sealing import KEY_BYTES, Keyring

MOST_SCANS = 40
PROGRAM = ("-m", "killsync")
# a field that a fault has added to bodies
ADDED = "added_by_a_fault"


class Case(Killsync):
    """The command line, with all its output kept in files, even if it is killed."""

    # whether commands are forked: cheaper, but their command lines are another's
    forks = False

    def __init__(
        self, directory: Path, simulator: Simulator, rng: random.Random, *, encrypted: bool = False
    ) -> None:
        super().__init__(directory, simulator)
        self.rng = rng
        self.encrypted = encrypted
        if encrypted:
            self.environment["KILLSYNC_TOKEN_KEY"] = _make_key(rng)
        self.said = directory / "said"
        self.said.mkdir()
        self.calls = 0
        self.renewed: Counter[int] = Counter()
        self.processes = secrets.ProcessList()
        scratch = directory / "tmp"
        scratch.mkdir()
        self.environment["TMPDIR"] = str(scratch)

    def launch(
        self,
        *arguments: str,
        given: str = "",
        program: Sequence[str] = PROGRAM,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a command whose output goes to files in `said`; the caller waits for it.

        Its requests carry `launch-<calls>` in the User-Agent, which identifies them in the log.
        """
        self.calls += 1
        environment = {"KILLSYNC_CONTACT": f"launch-{self.calls}"} | environment
        stem = self.said / f"{self.calls:04}-{arguments[0]}"
        with stem.with_suffix(".out").open("wb") as out, stem.with_suffix(".err").open("wb") as err:
            streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": out, "stderr": err}
            environment = self.environment | environment
            process = (
                commands.start(*arguments, environment=environment, **streams)
                if self.forks and program == PROGRAM
                else subprocess.Popen(
                    [sys.executable, *program, *arguments], env=environment, **streams
                )
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(given.encode())
        return process

    def call(self, *arguments: str, **environment: str) -> int:
        """Run a command to its end; return its exit code."""
        return self.launch(*arguments, **environment).wait(TIMEOUT)

    def recorded(self, user_id: int) -> list[int]:
        """Return the ids that ESI's list of a user has shown, newest first."""
        rows = self.rows(
            "SELECT killmail_id FROM user_killmails WHERE user_id = ? AND listed ORDER BY 1 DESC",
            user_id,
        )
        return [killmail_id for (killmail_id,) in rows]

    def heard(self) -> str:
        """Return the standard error of the command launched last."""
        (file,) = self.said.glob(f"{self.calls:04}-*.err")
        return file.read_text(errors="backslashreplace")

    def printed(self) -> str:
        """Return the standard output of the command launched last."""
        (file,) = self.said.glob(f"{self.calls:04}-*.out")
        return file.read_text(errors="backslashreplace")

    def let_all_be_tried(self) -> None:
        """Make everything due, as an hour later: no list, job, body or limit has to wait."""
        self.make_due()
        for table in ("users", "directors", "jobs", "pending_killmails"):
            self.execute(f"UPDATE {table} SET not_before = NULL")
        self.execute("UPDATE rate_limits SET spent = '[]', retry_at = NULL")

    def heal(self) -> None:
        """End all faults and limits, renew the logins that need it, and read every list."""
        self.simulator.clear_faults()
        self.simulator.options(latency_list=0, latency_body=0, latency_sso=0)
        self.simulator.options(list_tokens=0, corp_list_tokens=0, body_tokens=0)
        self.simulator.control("error_limit", "POST", seconds=0)
        self.simulator.thaw()
        incomplete = True
        for _ in range(MOST_SCANS):
            # that a token is lost may only show at the first attempt
            incomplete = self.renew_logins() > 0 or incomplete
            self.let_all_be_tried()
            self.simulator.thaw()
            self.call("sync", "--full", *self.active_users()) if incomplete else self.call("scan")
            if not self.without_login() and not self.count_unfinished():
                return
            incomplete = False

    def count(self, score: Score) -> None:
        """Count the form in which this case's tokens are stored."""
        score.encrypted += self.encrypted
        score.plain += not self.encrypted

    def active_users(self) -> list[str]:
        """Return the ids of the users who can be synced, as text."""
        return [str(u) for (u,) in self.rows("SELECT user_id FROM users WHERE state = 'active'")]

    def count_unfinished(self) -> int:
        """Return how many jobs, backfills, bodies and corporations wait for something."""
        return int(
            self.rows(
                """SELECT (SELECT count(*) FROM jobs WHERE state IN ('queued', 'running'))
                + (SELECT count(*) FROM users WHERE backfill_page IS NOT NULL)
                + (SELECT count(*) FROM pending_killmails WHERE set_aside_at IS NULL)
                + (SELECT count(*) FROM users
                    WHERE kind = 'corporation' AND state = 'needs_login')"""
            )[0][0]
        )

    def renew_logins(self) -> int:
        """Log in every user again whose token is lost; return how many did."""
        waiting = self.without_login()
        tokens = [
            self.simulator.control("tokens", "POST", character_id=user)["refresh_token"]
            for user in waiting
        ]
        if tokens:
            self.run("users", "add", given="".join(f"{token}\n" for token in tokens))
        self.renewed.update(waiting)
        return len(waiting)

    def without_login(self) -> list[int]:
        """Return the characters whose refresh token is no longer valid, or who need a login."""
        characters = self.simulator.control("truth?bodies=0")["characters"]
        states = dict(self.rows("SELECT user_id, state FROM users WHERE kind = 'character'"))
        tokens = self.stored_tokens()
        return [
            user
            for user, state in states.items()
            if state == "needs_login" or tokens[user] != characters[str(user)]["refresh_token"]
        ]

    def stored_tokens(self) -> dict[int, str]:
        """Return the refresh tokens in the token file, decrypted."""
        with closing(sqlite3.connect(f"{self.database}.tokens", timeout=60)) as conn:
            return self.read_tokens(conn)

    def read_tokens(self, conn: sqlite3.Connection) -> dict[int, str]:
        """Return the refresh tokens in a copy of the token file, decrypted."""
        key = Keyring(self.environment.get("KILLSYNC_TOKEN_KEY", "").split).first()
        stored = dict(conn.execute("SELECT user_id, refresh_token FROM tokens"))
        return {u: text if key is None else key.open(text) for u, text in stored.items()}

    def judge(self, score: Score) -> None:
        """Compare the database with the simulator's truth, after `heal`."""
        self.count(score)
        truth = self.simulator.truth()
        stored = [json.loads(line) for line in self.run("export").stdout.splitlines()]
        for body in stored:
            body.pop(ADDED, None)
        bodies = {body["killmail_id"]: body for body in stored}
        true = truth["bodies"]
        known = {str(user) for (user,) in self.rows("SELECT user_id FROM users")}
        owners = truth["characters"] | truth["corporations"]
        listed = {u: {i for i, _ in owner["list"]} for u, owner in owners.items() if u in known}
        for user, ids in listed.items():
            score.lost += len(ids - set(self.recorded(int(user))))
        wanted = set().union(*listed.values())
        score.lost += sum(bodies.get(i) != true[str(i)] for i in wanted)
        score.check(all(bodies[i] == true[str(i)] for i in bodies), "a stored body is not ESI's")
        score.duplicated += len(stored) - len(bodies)
        sequence = [seq for (seq,) in self.rows("SELECT stored_seq FROM killmails ORDER BY 1")]
        score.check(sequence == list(range(1, len(stored) + 1)), "stored_seq has gaps")
        stuck = self.count_unfinished()
        score.check(stuck == 0, f"{stuck} jobs, backfills or bodies are stuck")
        score.check(not lock.is_held(self.database), "the lock is still held")
        for user, count, killmails in self.rows("SELECT user_id, listed, killmails FROM users"):
            rows = len(self.recorded(user))
            score.check(
                rows == count == killmails,
                f"user {user} has {rows} killmails, but counts {count} and {killmails}",
            )
        checked = self.run("check", exit_code=None)
        score.check(checked.returncode == 0, f"check says: {checked.stdout}{checked.stderr}")
        for finding in secrets.hunt(self, self.processes):
            score.check(False, finding)
        log = self.simulator.log()
        score.requests += len(log)
        fetched = Counter(
            e["killmail_id"]
            for e in log
            if e["route"] == "body" and e["status"] == 200 and not e["fault"]
        )
        score.refetched += sum(count - 1 for count in fetched.values())


def _make_key(rng: random.Random) -> str:
    return base64.b64encode(rng.randbytes(KEY_BYTES)).decode()


@contextmanager
def case(
    rng: random.Random, *, users: bool = True, encrypted: bool = False, **options: Any
) -> Iterator[Case]:
    """Run a case with a simulator with these options; register all its characters if `users`.

    Its tokens are stored `encrypted`, or plain.
    """
    directory = Path(tempfile.mkdtemp(prefix="killsync-campaign-"))
    try:
        with (
            simulator(**({"seed": rng.randrange(1 << 30)} | options)) as esi,
            secrets.watch_processes() as processes,
        ):
            program = Case(directory, esi, rng, encrypted=encrypted)
            program.processes = processes
            if users and esi.logins:
                program.add_users()
            yield program
    finally:
        shutil.rmtree(directory)
