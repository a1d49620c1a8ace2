"""Channels that tests tell by: a command that keeps what it is given, or fails."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from world import Killsync

_SCRIPT = """#!{python}
import os, pathlib, sys, time
here = pathlib.Path(__file__).parent
given = sys.stdin.read()
if (here / "hangs").exists():
    (here / "hanging").write_text(str(os.getpid()))
    time.sleep(float((here / "hangs").read_text()))
if (here / "fails").exists():
    (here / "refused").open("a").write("x")
    sys.exit("no such room")
(here / "told").open("a").write(given)
(here / "calls").open("a").write(f"{{given.count(chr(10))}} ")
"""


class Teller:
    """A command that keeps the lines that it is given, and a configuration that names it."""

    def __init__(self, program: Killsync, name: str = "corp") -> None:
        self.name = name
        self._here = program.directory / f"teller-{name}"
        self._here.mkdir()
        self.script = self._here / "teller"
        self.script.write_text(_SCRIPT.format(python=sys.executable))
        self.script.chmod(0o700)

    def table(self, **keys: Any) -> str:
        """Return its `[[tell]]` table; killmails of any age are new enough."""
        values = {"name": self.name, "command": [str(self.script)], "max_age": "3000d"} | keys
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items()]
        return f"[[tell]]\n{''.join(lines)}"

    def fail(self, *, fails: bool = True) -> None:
        """Make it fail, or work again."""
        if fails:
            (self._here / "fails").touch()
        else:
            (self._here / "fails").unlink(missing_ok=True)

    def hang(self, seconds: float) -> None:
        """Make it take so long."""
        (self._here / "hangs").write_text(str(seconds))

    @property
    def is_hanging(self) -> bool:
        return self._hanging_as() is not None

    @property
    def is_running(self) -> bool:
        """Whether the one that hangs is still there."""
        pid = self._hanging_as()
        return pid is not None and Path(f"/proc/{pid}").exists()

    def end(self) -> None:
        """End the one that hangs."""
        pid = self._hanging_as()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _hanging_as(self) -> int | None:
        file = self._here / "hanging"
        words = file.read_text() if file.exists() else ""
        return int(words) if words else None

    @property
    def refusals(self) -> int:
        """How often it has failed."""
        refused = self._here / "refused"
        return len(refused.read_text()) if refused.exists() else 0

    @property
    def calls(self) -> list[int]:
        """How many lines each call was given that did not fail."""
        calls = self._here / "calls"
        return [int(word) for word in calls.read_text().split()] if calls.exists() else []

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it was told."""
        told = self._here / "told"
        return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []

    @property
    def killmails(self) -> list[int]:
        """The killmails that it was told of, in that order."""
        return [line["killmail_id"] for line in self.lines if line["event"] == "killmail"]

    @property
    def troubles(self) -> list[tuple[str, bool]]:
        """The troubles that it was told of, and whether each was the end of one."""
        found = [line for line in self.lines if line["event"] == "trouble"]
        return [(line["what"], line["over"]) for line in found]


def configure(program: Killsync, *tables: str) -> None:
    """Write a configuration file with these tables."""
    file = program.directory / "telling.toml"
    file.write_text("".join(tables))
    file.chmod(0o600)
    program.environment["KILLSYNC_CONFIG"] = str(file)


def states(program: Killsync) -> dict[str, int]:
    """Return how many rows of the outbox are in each state."""
    return dict(program.rows("SELECT state, count(*) FROM outbox GROUP BY state"))
