"""What `commands` forks, and what `in_process` runs, is the killsync that Python starts.

Each says the same, and ends the same.
"""

import subprocess
import sys
from collections.abc import Callable

import commands
from here import run_here
from terminal import at_terminal
from world import TIMEOUT, Killsync

Make = Callable[..., Killsync]
Done = subprocess.CompletedProcess[str]


def start_python(program: Killsync, words: str, given: str = "") -> Done:
    """Run killsync in an interpreter of its own, from its start to its end."""
    return subprocess.run(
        [sys.executable, "-m", "killsync", *words.split()],
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=program.environment,
        check=False,
    )


def test_a_command_ends_as_it_does_when_python_starts_it(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    # shows help and ends at once, reads standard input, is wrong, is refused, writes bytes
    for words in ("--version", "users add", "no-such-command", "sync Nobody", "export"):
        started = start_python(program, words)
        for run in (commands.run, run_here):
            done = run(*words.split(), environment=program.environment)
            assert done.args == started.args
            assert done.returncode == started.returncode, words
            assert (done.stdout, done.stderr) == (started.stdout, started.stderr), words


def test_a_whole_cycle_of_commands_that_python_starts(killsync: Make) -> None:
    program = killsync(characters=2, killmails=15, page_size=10, users=False)
    tokens = "".join(f"{login['refresh_token']}\n" for login in program.simulator.logins)
    user = str(program.simulator.logins[0]["character_id"])
    for words in ("users add", "scan -q", f"sync {user} --full -q", "status"):
        done = start_python(program, words, tokens if words == "users add" else "")
        assert (done.returncode, done.stderr) == (0, ""), words
    for words in ("check --json", "scan --quiet"):
        started = start_python(program, words)
        forked = commands.run(*words.split(), environment=program.environment)
        assert (started.returncode, started.stderr) == (0, ""), words
        assert (forked.stdout, forked.stderr) == (started.stdout, started.stderr), words
    program.assert_equals_truth()


def test_at_a_terminal_it_shows_what_it_shows_when_python_starts_it(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    for words in (("kills",), ("scan", "--help"), ("sync", "Nobody")):
        # a variable that Python reads at its start: no fork can have it
        started = at_terminal(program, *words, exit_code=None, PYTHONUNBUFFERED="1")
        assert started
        assert at_terminal(program, *words, exit_code=None) == started, words
