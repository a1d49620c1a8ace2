"""A killsync whose commands run in the test's own process: those that only read, or are refused.

Starting a process takes longer than what they do. `test_commands` shows that they say the same and
end the same, and a test that uses this runs each of its kinds in a process of its own, too.
"""

import shutil
from pathlib import Path

from here import Done, run_here
from world import Killsync

# what sends requests, waits, or starts threads runs in a process of its own
OWN_PROCESS = {"scan", "sync", "login"}


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
