"""What an idle poll writes: syncs and bytes, counted by strace."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
from figures import Figure, Scale, format_size
from installation import UNLIMITED, installation, scan
from spending import killsync, run_measured
from world import Killsync

# what is written to a file, and what makes it durable
_WRITE = re.compile(r"\bp?writev?(?:64)?\(\d+<(/[^>]*)>.*\) = (\d+)$")
_SYNC = re.compile(r"\bf(?:data)?sync\(\d+<(/[^>]*)>\) = 0$")
# at its start and its end, whatever it syncs
_A_RUNS_OWN = 20
_CALLS = "fsync,fdatasync,write,writev,pwrite64,pwritev"


class Written(msgspec.Struct, frozen=True):
    """The syncs of one run, and the bytes that it wrote."""

    syncs: int
    size: int


def measure(scale: Scale) -> list[Figure]:
    """Count for many users: without a refresh, with one each, with a new refresh token each."""
    users = scale.of(1000, 20)
    missing = strace_problem()
    written: list[Written | None] = [None, None, None]
    if missing is None:
        with installation(characters=users, killmails=1, **UNLIMITED) as program:
            scan(program, "--workers", "16")
            written[0] = trace_scan(program)
            for number, rotate in ((1, False), (2, True)):
                program.simulator.options(rotate=rotate)
                program.expire_access()
                written[number] = trace_scan(program)
    names = ("without a refresh", "with a refresh", "with a new refresh token")
    goals = ((0.05, 4_000), (1.0, 16_000), (1.0, 16_000))
    return [
        _row(f"writes of an idle poll {name}, of {users}", taken, users, *goal, missing)
        for name, taken, goal in zip(names, written, goals, strict=True)
    ]


def strace_problem() -> str | None:
    """Return why nothing can be counted on this machine; None if strace works."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True)
    return None if tried.returncode == 0 else "strace may not trace here"


def trace_scan(program: Killsync) -> Written:
    """Scan every user, and count the writes to the database's directory."""
    program.make_due()
    trace = program.directory / "trace"
    strace = ["strace", "-f", "-y", "--seccomp-bpf", "-e", f"trace={_CALLS}", "-o", str(trace)]
    run_measured([*strace, *killsync("scan", "--quiet")], program.environment)
    return _count_writes(trace, program.directory)


def _count_writes(trace: Path, directory: Path) -> Written:
    syncs = written = 0
    with trace.open(errors="replace") as lines:
        for line in lines:
            if (found := _WRITE.search(line)) and found[1].startswith(str(directory)):
                written += int(found[2])
            elif (found := _SYNC.search(line)) and found[1].startswith(str(directory)):
                syncs += 1
    return Written(syncs, written)


def _row(
    what: str,
    written: Written | None,
    users: int,
    most_syncs: float,
    most_bytes: int,
    missing: str | None,
) -> Figure:
    goal = f"at most {most_syncs:g} and {format_size(most_bytes)}; {_A_RUNS_OWN} syncs a run"
    if written is None:
        return Figure(
            what=what, measured="", peer="", goal=goal, met=None, note=f"not measured: {missing}"
        )
    syncs, size = written.syncs / users, written.size / users
    return Figure(
        what=what,
        measured=f"{syncs:.4g} syncs, {format_size(size)}",
        peer="",
        ratio=max(syncs / most_syncs, size / most_bytes),
        goal=goal,
        met=written.syncs <= most_syncs * users + _A_RUNS_OWN and size <= most_bytes,
        note="every fsync and fdatasync, including those at the start and end of a run",
    )
