"""What an idle poll writes: durable commits and bytes, counted by strace."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
from figures import Figure, Scale, size
from installation import UNLIMITED, installation, scan
from spending import killsync, spent_by
from world import Killsync

# what reaches a file of killsync's, and what makes it last
_WRITE = re.compile(r"\bp?writev?(?:64)?\(\d+<(/[^>]*)>.*\) = (\d+)$")
_SYNC = re.compile(r"\bf(?:data)?sync\(\d+<(/[^>]*)>\) = 0$")
_CALLS = "fsync,fdatasync,write,writev,pwrite64,pwritev"


class Written(msgspec.Struct, frozen=True):
    """Durable commits and bytes of one run."""

    commits: int
    size: int


def measure(scale: Scale) -> list[Figure]:
    """Count over many users: without a refresh, with one each, with a new token each."""
    users = scale.of(1000, 20)
    missing = why_not()
    written: list[Written | None] = [None, None, None]
    if missing is None:
        with installation(characters=users, killmails=1, **UNLIMITED) as program:
            scan(program, "--workers", "16")
            written[0] = traced(program)
            for number, rotate in ((1, False), (2, True)):
                program.simulator.options(rotate=rotate)
                program.expire_access()
                written[number] = traced(program)
    names = ("without a refresh", "with a refresh", "with a new refresh token")
    goals = ((0.05, 4_000), (1.0, 16_000), (1.0, 16_000))
    return [
        _row(f"writes of an idle poll {name}, of {users}", taken, users, *goal, missing)
        for name, taken, goal in zip(names, written, goals, strict=True)
    ]


def why_not() -> str | None:
    """Return why nothing can be counted here, None if strace works."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True)
    return None if tried.returncode == 0 else "strace may not trace here"


def traced(program: Killsync) -> Written:
    """Run a scan of everybody, and count what it writes in the directory of the database."""
    program.make_due()
    trace = program.directory / "trace"
    strace = ["strace", "-f", "-y", "--seccomp-bpf", "-e", f"trace={_CALLS}", "-o", str(trace)]
    spent_by([*strace, *killsync("scan", "--quiet")], program.environment)
    return _counted(trace, program.directory)


def _counted(trace: Path, directory: Path) -> Written:
    commits = written = 0
    with trace.open(errors="replace") as lines:
        for line in lines:
            if (found := _WRITE.search(line)) and found[1].startswith(str(directory)):
                written += int(found[2])
            elif (found := _SYNC.search(line)) and found[1].startswith(str(directory)):
                commits += 1
    return Written(commits, written)


def _row(
    what: str,
    written: Written | None,
    users: int,
    most_commits: float,
    most_bytes: int,
    missing: str | None,
) -> Figure:
    goal = f"at most {most_commits:g} and {size(most_bytes)}"
    if written is None:
        return Figure(
            what=what, measured="", peer="", goal=goal, met=None, note=f"not measured: {missing}"
        )
    commits, each = written.commits / users, written.size / users
    return Figure(
        what=what,
        measured=f"{commits:.4g} syncs, {size(each)}",
        peer="",
        ratio=max(commits / most_commits, each / most_bytes),
        goal=goal,
        met=commits <= most_commits and each <= most_bytes,
        note="fsync and fdatasync of every kind, those of a run's start and end included",
    )
