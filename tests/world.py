"""What the tests of behaviour work with: a simulator process, and killsync as its user runs it."""

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import commands
from here import run_here
from new_store import new_store

from killsync.simulator.players import CORPORATION_SCOPE, SCOPE
from killsync.store import game_data
from killsync.store.paths import lock_file

TIMEOUT = commands.TIMEOUT


class Simulator:
    """A simulator in a process of its own, and its control API."""

    def __init__(self, process: subprocess.Popen[str], ready: Any) -> None:
        self.pid = process.pid
        self.url: str = ready["base_url"]
        self.everef_url: str = ready["everef_url"]
        self.zkb_url: str = ready["zkb_url"]
        self.client_id: str = ready["client_id"]
        self.logins: list[dict[str, Any]] = ready["logins"]
        self.corporations: list[dict[str, Any]] = ready["corporations"]

    def control(self, path: str, method: str = "GET", **values: Any) -> Any:
        body = json.dumps(values).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.url}/_control/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def add_character(self, **values: Any) -> dict[str, Any]:
        """Add a character; return character_id, name and refresh_token."""
        login: dict[str, Any] = self.control("characters", "POST", **values)
        self.logins.append(login)
        return login

    def add_corporation(self, **values: Any) -> dict[str, Any]:
        """Add a corporation of members, with directors; return corporation_id and name.

        What its members did so far is on its list too: add it before anybody reads killmails.
        """
        corporation: dict[str, Any] = self.control("corporations", "POST", **values)
        corporation["directors"] = values.get("directors", [])
        self.corporations.append(corporation)
        return corporation

    def set_director(self, character_id: int, corporation_id: int, director: bool) -> None:
        """Give a character the role, or take it away."""
        values = {"corporation_id": corporation_id, "director": director}
        self.control("roles", "POST", character_id=character_id, **values)

    def move(self, character_id: int, corporation_id: int) -> None:
        """Put a character into another corporation, for the killmails to come."""
        self.control(
            "affiliation", "POST", character_id=character_id, corporation_id=corporation_id
        )

    def directors(self) -> list[int]:
        """Return the characters that are directors of the corporation they are in."""
        corporations = self.control("truth?bodies=0")["corporations"].values()
        return [i for one in corporations for i in one["directors"] if i in one["members"]]

    def director_token(self, character_id: int, *scopes: str) -> str:
        """Issue a refresh token for both kinds of list, or for some scopes."""
        wanted = list(scopes or (SCOPE, CORPORATION_SCOPE))
        issued = self.control("tokens", "POST", character_id=character_id, scopes=wanted)
        return str(issued["refresh_token"])

    def add_killmails(self, owner_id: int, count: int, **values: Any) -> list[list[Any]]:
        """Add killmails on top of a character's or corporation's list (or late).

        Return [id, hash] of each.
        """
        key = "corporation_id" if self.is_corporation(owner_id) else "character_id"
        values |= {key: owner_id, "count": count}
        listed: list[list[Any]] = self.control("killmails", "POST", **values)
        return listed

    def is_corporation(self, owner_id: int) -> bool:
        """Return whether one of the corporations with a list has this id."""
        return owner_id in (corporation["corporation_id"] for corporation in self.corporations)

    def change_archive(self, day: date, **values: Any) -> None:
        """Change what a day's archive holds, or how it is served."""
        self.control("archives", "POST", day=day.isoformat(), **values)

    def change_zkillboard(self, **values: Any) -> None:
        """Make zKillboard's lists wrong, or right again."""
        self.control("zkb", "POST", **values)

    def old_days(self) -> list[date]:
        """Return the days that are too old for any list, and of which there are archives."""
        return [date.fromisoformat(day) for day in self.control("truth?bodies=0")["old_days"]]

    def old(self, owner_id: int) -> list[int]:
        """Return the ids of what somebody took part in before its list begins, newest first."""
        truth = self.control("truth?bodies=0")
        owners = truth["characters"] | truth["corporations"]
        return [killmail_id for killmail_id, _ in owners[str(owner_id)]["old"]]

    def fault(self, route: str, **values: Any) -> None:
        self.control("faults", "POST", route=route, **values)

    def clear_faults(self) -> None:
        self.control("faults", "DELETE")

    def options(self, **values: Any) -> None:
        self.control("options", "POST", **values)

    def thaw(self) -> None:
        """Make every list show its present state at the next request, as after its cache time."""
        self.control("thaw", "POST")

    def log(self, route: str | None = None) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.control("log")
        return [e for e in entries if route is None or e["route"] == route]

    def clear_log(self) -> None:
        self.control("log", "DELETE")

    def truth(self) -> dict[str, Any]:
        truth: dict[str, Any] = self.control("truth")
        return truth

    def listed(self, owner_id: int) -> list[int]:
        """Return the ids on a character's or corporation's list as of now, newest first."""
        truth = self.control("truth?bodies=0")
        owners = truth["characters"] | truth["corporations"]
        return [killmail_id for killmail_id, _ in owners[str(owner_id)]["list"]]


@contextmanager
def simulator(**options: Any) -> Iterator[Simulator]:
    """Run a simulator with options of killsync.simulator.Options."""
    words = [f"--set={name}={json.dumps(value).strip(chr(34))}" for name, value in options.items()]
    # a campaign's clock is a simulator's too
    inherited = ("PATH", "PYTHONPATH", "CAMPAIGN_CLOCK")
    environment = {name: text for name, text in os.environ.items() if name.startswith(inherited)}
    with commands.start(
        "simulator", "--json", *words, environment=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Simulator(process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()


@cache
def new_database() -> bytes:
    """Return a database as the first command creates it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "killsync.db"
        with closing(new_store(path)) as store:
            game_data.load_if_outdated(store)
        return path.read_bytes()


def copy_new_database(path: Path) -> None:
    """Put a database there as the first command creates it, which takes longer by itself."""
    for file in (path, lock_file(path)):
        file.touch(mode=0o600)
    path.write_bytes(new_database())


class Killsync:
    """The command line against one database and one simulator."""

    def __init__(self, directory: Path, simulator: Simulator) -> None:
        self.simulator = simulator
        self.directory = directory
        self.database = directory / "killsync.db"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "KILLSYNC_DB": str(self.database),
            "KILLSYNC_ESI_URL": simulator.url,
            "KILLSYNC_SSO_URL": simulator.url,
            "KILLSYNC_EVEREF_URL": simulator.everef_url,
            "KILLSYNC_ZKB_URL": simulator.zkb_url,
            "KILLSYNC_CLIENT_ID": simulator.client_id,
            "KILLSYNC_PAGE_DELAY": "0s",
            # what tests count are requests for killmails, unless they say otherwise
            "KILLSYNC_NAMES": "off",
            "KILLSYNC_PRICES": "off",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command; the caller waits for it."""
        return commands.start(
            *arguments,
            environment=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, given: str = "", exit_code: int | None = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; check its exit code unless that is None."""
        done = commands.run(*arguments, environment=self.environment | environment, given=given)
        shown = f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert exit_code is None or done.returncode == exit_code, shown
        assert "Traceback" not in done.stderr, shown
        return done

    def add_users(self, *, corporation: bool = False) -> None:
        """Register every character that the simulator has given a token for.

        With `corporation`, those who are directors bring their corporations, by new tokens.
        """
        if not self.database.exists():
            copy_new_database(self.database)
        directors = self.simulator.directors() if corporation else []
        tokens = [
            login["refresh_token"]
            for login in self.simulator.logins
            if login["character_id"] not in directors
        ]
        if tokens or not directors:
            self.run_aside("users", "add", given="".join(f"{token}\n" for token in tokens))
        if directors:
            tokens = [self.simulator.director_token(director) for director in directors]
            self.run_aside("users", "add", "--corporation", given="\n".join(tokens))

    def run_aside(self, *arguments: str, given: str = "") -> str:
        """Run a command that is a means of a test, not what it is about; return what it printed.

        It runs in the test's own process, unless Python would have to start with its environment.
        """
        if commands.read_at_start(self.environment) or "CAMPAIGN_CLOCK" in self.environment:
            return self.run(*arguments, given=given).stdout
        done = run_here(*arguments, environment=self.environment, given=given)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.run_aside("status", "--json"))
        return status

    def user(self, user_id: int) -> dict[str, Any]:
        """Return one user of `status --json`."""
        return next(user for user in self.status()["users"] if user["user_id"] == user_id)

    def export(self, *arguments: str) -> list[Any]:
        lines = self.run_aside("export", *arguments).removesuffix("\n").split("\n")
        return [json.loads(line) for line in lines if line]

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the killmail database."""
        with closing(sqlite3.connect(self.database, timeout=60)) as conn:
            return conn.execute(sql, parameters).fetchall()

    def execute(self, sql: str, *parameters: Any) -> None:
        """Change the killmail database behind killsync's back."""
        with closing(sqlite3.connect(self.database, timeout=60)) as conn, conn:
            conn.execute(sql, parameters)

    def execute_on_tokens(self, sql: str, *parameters: Any) -> int:
        """Change the token file behind killsync's back; return how many rows."""
        with closing(sqlite3.connect(f"{self.database}.tokens", timeout=60)) as conn, conn:
            return conn.execute(sql, parameters).rowcount

    def expire_access(self, *user_ids: int) -> None:
        """Make these users, or all, need a refresh: their access tokens have expired."""
        users = ",".join(map(str, user_ids)) or "user_id"
        changed = self.execute_on_tokens(
            f"UPDATE tokens SET access_expires_at = 0 WHERE user_id IN ({users})"
        )
        assert changed > 0

    def forget_sso_documents(self) -> None:
        """Make killsync ask again for what SSO publishes about itself."""
        self.execute_on_tokens("DELETE FROM sso_documents")

    def recorded(self, user_id: int) -> list[int]:
        """Return the ids recorded for a user, newest first."""
        rows = self.rows(
            "SELECT killmail_id FROM user_killmails WHERE user_id = ? ORDER BY 1 DESC", user_id
        )
        return [killmail_id for (killmail_id,) in rows]

    def make_login_needed(self) -> None:
        """Scan twice where SSO refuses a token, as if ten minutes lay between."""
        self.run("scan", exit_code=None)
        self.execute(
            """UPDATE users SET refused_at = strftime('%Y-%m-%dT%H:%M:%SZ',
                refused_at, '-10 minutes')"""
        )
        self.run("scan", exit_code=1)

    def make_due(self) -> None:
        """Make every user due: every last sync and cache time lies an hour back."""
        self.execute(
            """UPDATE users SET
                last_killmail_sync_at = strftime('%Y-%m-%dT%H:%M:%SZ',
                    last_killmail_sync_at, '-1 hour'),
                list_cached_until = strftime('%Y-%m-%dT%H:%M:%SZ', list_cached_until, '-1 hour'),
                backfill_cached_until = strftime('%Y-%m-%dT%H:%M:%SZ',
                    backfill_cached_until, '-1 hour')"""
        )

    def assert_equals_truth(self) -> None:
        """Compare the whole database with what the simulator lists and serves."""
        truth = self.simulator.truth()
        for user_id, owner in (truth["characters"] | truth["corporations"]).items():
            if self.rows("SELECT 1 FROM users WHERE user_id = ?", int(user_id)):
                listed = sorted((i for i, _ in owner["list"]), reverse=True)
                assert self.recorded(int(user_id)) == listed
        stored = {body["killmail_id"]: body for body in self.export()}
        ids = {row[0] for row in self.rows("SELECT killmail_id FROM user_killmails")}
        assert stored.keys() == ids
        for killmail_id, body in stored.items():
            assert body == truth["bodies"][str(killmail_id)]
        assert self.rows("SELECT * FROM pending_killmails") == []
        for user_id, listed_count, killmails in self.rows(
            "SELECT user_id, listed, killmails FROM users"
        ):
            assert listed_count == killmails == len(self.recorded(user_id))


def wait_for_exit(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT)
    return process.returncode


@contextmanager
def run_in_progress(program: Killsync) -> Iterator[None]:
    """Hold the lock as a run does that has got stuck."""
    with closing(sqlite3.connect(f"{program.database}.lock", isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read standard error until a line holds these words; return what was read."""
    assert process.stderr is not None
    read = ""
    while words not in read:
        line = process.stderr.readline()
        assert line, f"{words!r} was never printed: {read}"
        read += line
    return read
