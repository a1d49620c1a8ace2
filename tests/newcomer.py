"""A user with an empty home, who runs `killsync init`."""

import os
import subprocess
from pathlib import Path

from here import run_here
from terminal import Terminal

from killsync.settings import config
from killsync.settings.config import Settings

Done = subprocess.CompletedProcess[str]
GIVEN = ("--client-id", "abc", "--contact", "me@example.com")


class Newcomer:
    """A user with an empty home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / ".config/killsync/config.toml"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def init(self, *arguments: str, exit_code: int = 0, **environment: str) -> Done:
        """Run `killsync init` without a terminal."""
        done = run_here("init", *arguments, environment=self.environment | environment)
        assert done.returncode == exit_code, done.stderr
        return done

    def at_terminal(self, *arguments: str, **environment: str) -> Terminal:
        return Terminal(self, "init", *arguments, **environment)  # type: ignore[arg-type]

    def settings(self) -> Settings:
        """Return what cron would read."""
        return config.load(self.file, {}, {})

    def files(self) -> list[str]:
        return sorted(str(p.relative_to(self.home)) for p in self.home.rglob("*") if p.is_file())


def assert_refused(newcomer: Newcomer, done: Done, *parts: str) -> None:
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for part in parts:
        assert part in done.stderr
