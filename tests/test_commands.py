"""What `commands` forks is the killsync that Python starts: it says the same, and ends the same."""

import subprocess
import sys
from collections.abc import Callable

import commands
import pytest
from world import TIMEOUT, Killsync

Make = Callable[..., Killsync]

# commands that do their work, show help, are used wrongly, or meet an error
WORDS = [
    "--version",
    "users --help",
    "users add",
    "scan --quiet",
    "export",
    "check --json",
    "sync Nobody",
    "status --db nowhere.db",
    "no-such-command",
]


def start_python(
    program: Killsync, *arguments: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run killsync in an interpreter of its own, from its start to its end."""
    return subprocess.run(
        [sys.executable, "-m", "killsync", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=program.environment,
        check=False,
    )


@pytest.mark.parametrize("words", WORDS)
def test_a_forked_command_does_what_one_does_that_python_starts(killsync: Make, words: str) -> None:
    program = killsync(characters=1, killmails=3)
    program.run("scan")
    forked = commands.run(*words.split(), environment=program.environment)
    started = start_python(program, *words.split())
    assert forked.args == started.args
    assert forked.returncode == started.returncode
    assert (forked.stdout, forked.stderr) == (started.stdout, started.stderr)


def test_a_cycle_that_python_starts_and_ends_says_nothing_that_a_forked_one_would_not(
    killsync: Make,
) -> None:
    program = killsync(characters=2, killmails=30, page_size=10, users=False)
    tokens = "".join(f"{login['refresh_token']}\n" for login in program.simulator.logins)
    user = str(program.simulator.logins[0]["character_id"])
    for words in ("users add", "scan -q", f"sync {user} --full -q", "status", "export", "check"):
        done = start_python(program, *words.split(), given=tokens if words == "users add" else "")
        assert (done.returncode, done.stderr) == (0, ""), words
    program.assert_equals_truth()
