"""`killsync demo`: the whole cycle on the bundled simulator, with no account and no network."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import typer

from killsync.cli import invocation
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import exit_with, print_result
from killsync.errors import KillsyncError, UsageError
from killsync.killmail.body import Item
from killsync.killmail.sides import Side
from killsync.settings.places import expanded
from killsync.store import connection, killmails, kills, pending
from killsync.store.kills import Filters, Kill
from killsync.terminal.text import wrapped

_CACHE_SECONDS = 2
_SIMULATOR = [
    "--characters=3",
    "--killmails=120",
    "--page-size=50",
    f"--cache={_CACHE_SECONDS}s",
    "--latency=25ms",
    # strangers only: characters that shoot each other would be their own opponents
    "--set=shared=0",
    "--corporations=1",
    # a whole month of them, whatever day it is today
    "--archive-days=61",
    "--set=archive_killmails=12",
    "--json",
]

_SHIP_LOSSES = Filters(side=Side.LOSS, no_pods=True)
_LOSSES_LOOKED_AT = 100
_FEW_ATTACKERS = 5
_LINES_OF_A_FIT = 24


HELP = {
    "demo": HelpText(
        {
            "killsync demo": "in a directory of its own",
            "killsync demo --db ~/demo.db": "in a database that you can look at later",
        },
        exits("shown", _2="the database is there already"),
    ),
}


def demo(context: typer.Context) -> None:
    """Show syncs, an import, and what the killmails tell, all on this machine."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        database = _database(call.db)
        with _simulator() as ready:
            code = _Demo(ready, database, call.program.name).play()
        exit_with(code)


def _database(named: str | None) -> Path:
    if named is None:
        return Path(tempfile.mkdtemp(prefix="killsync-demo-")) / "killsync.db"
    database = expanded(named)
    if database.exists():
        raise UsageError(f"{database}: exists already; the demo creates a database of its own")
    return database


@contextmanager
def _simulator() -> Iterator[dict[str, Any]]:
    with subprocess.Popen(
        [sys.executable, "-m", "killsync", "simulator", *_SIMULATOR],
        stdout=subprocess.PIPE,
        text=True,
        env=_bare_environment(),
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise KillsyncError("the simulator did not start; try `killsync simulator`")
            yield json.loads(line)
        finally:
            process.terminate()


class _Demo:
    def __init__(self, ready: dict[str, Any], database: Path, program: str) -> None:
        self._url = ready["base_url"]
        self._logins = ready["logins"]
        self._corporation = ready["corporations"][0]
        self._last_old_day = date.fromisoformat(ready["old_days"][-1])
        self._database = database
        self._program = program
        self._environment = _bare_environment() | {
            "KILLSYNC_DB": str(database),
            "KILLSYNC_ESI_URL": self._url,
            "KILLSYNC_SSO_URL": self._url,
            "KILLSYNC_EVEREF_URL": ready["everef_url"],
            "KILLSYNC_CLIENT_ID": ready["client_id"],
        }

    def play(self) -> int:
        """Play all scenes; return the exit code of the first command that failed."""
        for scene in (
            *(self._register, self._first_sync, self._news, self._overtake),
            *(self._register_corporation, self._import_a_month),
            *(self._status, self._kills, self._loss, self._statistics),
        ):
            code = scene()
            if code:
                return code
        self._farewell()
        return 0

    def _register(self) -> int:
        self._scene("Three characters give killsync their refresh tokens:")
        tokens = "".join(login["refresh_token"] + "\n" for login in self._logins)
        return self._run("users", "add", given=tokens)

    def _first_sync(self) -> int:
        self._scene(
            "Cron runs `killsync scan`. Nobody was ever synced, so each list is read whole:"
        )
        return self._run("scan")

    def _news(self) -> int:
        self._scene("Later: each has two new killmails. Now one page each is enough:")
        for login in self._logins:
            self._control_simulator("killmails", character_id=login["character_id"], count=2)
        time.sleep(_CACHE_SECONDS + 1)
        return self._run("scan", "--force")

    def _overtake(self) -> int:
        hurried = self._logins[0]
        self._scene(
            f"A fourth character brings a long history; while the scan works on it, "
            f"{hurried['name']} is in a hurry:"
        )
        newcomer = self._control_simulator("characters", killmails=550)
        self._control_simulator("killmails", character_id=hurried["character_id"], count=3)
        code = self._run("users", "add", given=newcomer["refresh_token"] + "\n")
        time.sleep(_CACHE_SECONDS + 1)
        self._control_simulator("options", list_max_age=300)
        print_result("$ killsync scan &")
        # two programs write to one terminal here: no bar
        quiet_terminal = self._environment | {"TERM": "dumb"}
        with subprocess.Popen(_command("scan"), env=quiet_terminal) as scan:
            self._wait_for_backlog()
            code = code or self._run("sync", hurried["name"])
            print_result(f">>> {hurried['name']} is done; the scan goes on with the history:")
            return code or scan.wait()

    def _register_corporation(self) -> int:
        director = self._logins[0]
        self._scene(
            f"{director['name']} directs {self._corporation['name']}, whose list is read too. What "
            "members' lists have shown is not fetched again:"
        )
        corporation_id = self._corporation["corporation_id"]
        self._control_simulator("killmails", corporation_id=corporation_id, count=40, late=True)
        code = self._run("users", "add", "--corporation", given=director["refresh_token"] + "\n")
        return code or self._run("scan")

    def _import_a_month(self) -> int:
        self._scene(
            "No list goes back more than 90 days, but EVE Ref's archives do. One old month:"
        )
        return self._run(
            "import", "everef", "--days", f"{last_whole_month(self._last_old_day):%Y-%m}"
        )

    def _status(self) -> int:
        self._scene("Where everything stands:")
        return self._run("status")

    def _kills(self) -> int:
        self._scene("What happened lately, to all of them (+ kills, - losses):")
        return self._run("kills", "--limit", "10")

    def _loss(self) -> int:
        with closing(connection.connect(self._database, read_only=True)) as store:
            losses = kills.page(store.conn, _SHIP_LOSSES, _LOSSES_LOOKED_AT)
            carried = killmails.carried(store.conn, [loss.killmail_id for loss in losses])
        loss = telling_loss(losses, carried)
        if loss is None:
            return 0
        self._scene("One of the losses, with its fit and who shot:")
        return self._run("kills", str(loss))

    def _statistics(self) -> int:
        self._scene("And all of it in numbers:")
        return self._run("stats")

    def _wait_for_backlog(self) -> None:
        """Wait until the scan has listed more than it has fetched."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with closing(connection.connect(self._database, read_only=True)) as store:
                if pending.total(store.conn) > 100:
                    return
            time.sleep(0.05)

    def _run(self, *arguments: str, given: str = "") -> int:
        print_result(f"$ killsync {shlex.join(arguments)}")
        done = subprocess.run(
            _command(*arguments), input=given, text=True, env=self._environment, check=False
        )
        return done.returncode

    def _scene(self, title: str) -> None:
        print_result(wrapped(f"\n=== {title}", sys.stdout))

    def _control_simulator(self, what: str, **values: Any) -> Any:
        from killsync.http import Http

        path = f"{self._url}/_control/{what}"
        return json.loads(Http("killsync-demo").send("POST", path, {}, json.dumps(values)).body)

    def _farewell(self) -> None:
        # short lines, which no terminal breaks amid a command
        program = self._program
        print_result(
            f"\nThe database is {self._database}.\nTo look around in it:\n"
            f"  export KILLSYNC_DB={shlex.quote(str(self._database))}\n"
            f"  {program} kills --losses --since 7d\n"
            f"  {program} stats --by opponent --sort losses\n"
            f"  {program} export --since 7d\n"
            f"  {program} browse"
        )


def telling_loss(losses: Sequence[Kill], carried: Mapping[int, Sequence[Item]]) -> int | None:
    """Return the id of a loss that fills a screen and no more: a whole fit, a few attackers.

    None if nothing was lost.
    """
    by_few = [loss for loss in losses if loss.final_blow and loss.attackers <= _FEW_ATTACKERS]

    def away(loss: Kill) -> int:
        lines = sum(1 + len(item.items or ()) for item in carried.get(loss.killmail_id, ()))
        return abs(lines - _LINES_OF_A_FIT)

    chosen = min(by_few or losses, key=away, default=None)
    return None if chosen is None else chosen.killmail_id


def last_whole_month(last: date) -> date:
    """Return the last day of the last month that ends on this day or before it."""
    return (last + timedelta(1)).replace(day=1) - timedelta(1)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "killsync", *arguments]


def _bare_environment() -> dict[str, str]:
    """Return the environment without the user's own killsync."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("KILLSYNC_")}
    return kept | {"KILLSYNC_CONFIG": os.devnull}
