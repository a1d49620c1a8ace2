"""Runs commands within the test's own process: those that only read, and those that are refused.

Starting a process takes longer than what they do. `test_commands` shows that they say the same and
end the same, and a test that uses this runs each of its kinds in a process of its own, too.
"""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from world import Killsync

import killsync.__main__
from killsync.cli.app import main

Done = subprocess.CompletedProcess[str]

# what sends requests, waits, or starts threads runs in a process of its own
OWN_PROCESS = {"scan", "sync", "login"}


def run_here(*arguments: str, environment: Mapping[str, str], given: str = "") -> Done:
    """Run `python -m killsync` within this process, with the streams that a pipe would give it."""
    words = [killsync.__main__.__file__, *arguments]
    stdin, stdout, stderr = (
        io.TextIOWrapper(io.BytesIO(content), "utf-8", write_through=True)
        for content in (given.encode(), b"", b"")
    )
    code = 0
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.multiple(sys, argv=words, stdin=stdin),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    said = (stream.buffer.getvalue().decode() for stream in (stdout, stderr))
    return Done([sys.executable, "-m", "killsync", *arguments], code, *said)


class InProcess(Killsync):
    """A killsync whose commands run in the test's own process, except where that would matter."""

    def run(
        self, *arguments: str, given: str = "", exit_code: int | None = 0, **environment: str
    ) -> Done:
        """Run a command to its end, a forked one where it sends, waits or writes much."""
        if arguments[0] in OWN_PROCESS or arguments[:2] == ("users", "add"):
            return self.run_forked(*arguments, given=given, exit_code=exit_code, **environment)
        done = run_here(*arguments, environment=self.environment | environment, given=given)
        said = f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert exit_code is None or done.returncode == exit_code, said
        assert "Traceback" not in done.stderr, said
        return done

    run_forked = Killsync.run

    def copy_to(self, directory: Path) -> "InProcess":
        """Copy the database and its files; the copy asks the same simulator."""
        for file in self.directory.glob("killsync.db*"):
            shutil.copy2(file, directory)
        return InProcess(directory, self.simulator)
