"""The part `outputs`: output that cannot be written, and a holder of the lock that stands still."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from world import wait_until

from campaign.case import Case, case
from campaign.clock import Clock, shared_clock
from campaign.moments import WAL_WRITER, lock_holder
from campaign.running import Running
from campaign.score import Score, chosen, two_at_a_time
from campaign.strikes import label_problems

PART = "outputs"
USERS, KILLMAILS = 25, 2
# a pipe of the smallest size is full after some lines
SMALLEST_PIPE = 4096
# seconds that a run may take which only has some dozens of requests to send
PATIENCE = 60.0
# seconds in which a run must have ended that was told to
TOLD_TO_END = 30.0
MINUTE = 60.0
# how long the lock is held before each quiet scan, and whether that scan says so
PAUSES = (
    (5 * MINUTE, False),
    (15 * MINUTE, True),
    (0, False),
    (8 * 60 * MINUTE, False),
    (17 * 60 * MINUTE, True),
)
SHORT_CASES = 12


@dataclass(frozen=True)
class Output:
    """A command, and what becomes of what it writes to which of its streams."""

    command: str
    state: str
    streams: str
    work: str

    @property
    def name(self) -> str:
        return f"{self.command}, {self.streams} {self.state}, {self.work}"


@dataclass(frozen=True)
class Holder:
    """A command that holds the lock and stands still, perhaps with the database locked too."""

    command: str
    in_transaction: bool

    @property
    def name(self) -> str:
        where = "amid" if self.in_transaction else "outside of"
        return f"a {self.command} that was stopped {where} a transaction holds the lock"


COMMANDS = {
    "scan": ("scan",),
    "scan in JSON": ("--log-format", "json", "scan"),
    "sync": ("sync",),
}
BLOCKED, FULL, GONE, HEAD, CLOSED = STATES = (
    "is a pipe that nobody reads",
    "is a full disk",
    "is a pipe without a reader",
    "goes to head -1",
    "is closed",
)
STREAMS = {"standard output": (1,), "standard error": (2,), "all output": (1, 2)}
DONE, OUTAGE, OUT_OF_TIME, TERMINATED = (
    "and it can be done",
    "and ESI is down",
    "until --max-runtime",
    "until SIGTERM",
)

CASES: list[Output | Holder] = [
    Output(command, state, streams, work)
    for command in COMMANDS
    for state in STATES
    for streams in STREAMS
    for work in (DONE, OUTAGE, OUT_OF_TIME, TERMINATED)
    # what ends a run matters most where its output holds it up
    if work == DONE or (streams == "all output" and (state == BLOCKED or work == OUTAGE))
]
HOLDERS = [Holder(command, amid) for command in ("scan", "sync") for amid in (False, True)]
CASES += HOLDERS


def play(seed: int, *, long: bool, only: str = "") -> Score:
    """Play all cases, those whose name contains `only`, or a sample."""
    rng = random.Random(f"{PART} {seed}")
    cases = chosen(CASES, only)
    if not long and not only:
        outputs = [case for case in CASES if isinstance(case, Output)]
        cases = [*rng.sample(outputs, SHORT_CASES), *rng.choice([HOLDERS[:2], HOLDERS[2:]])]
    rng.shuffle(cases)
    series = [cases[start::4] for start in range(min(4, len(cases)))]
    return two_at_a_time(PART, partial(play_series, seed, series), range(len(series)))


def play_series(seed: int, series: list[list[Output | Holder]], number: int) -> Score:
    """Play cases on one database, and the stopped holders each on its own."""
    score = Score(PART)
    rng = random.Random(f"{PART} {seed} {number}")
    encrypted = number % 2 == 1
    outputs = [case for case in series[number] if isinstance(case, Output)]
    options: dict[str, Any] = {
        "characters": USERS,
        "killmails": KILLMAILS,
        "shared": 0,
        "list_tokens": 0,
        "list_max_age": 1,
        "encrypted": encrypted,
    }
    if outputs:
        with label_problems(score, f"series {number}"), case(rng, **options) as program:
            program.run("scan")
            for output in outputs:
                play_output(score, program, output)
            program.heal()
            program.judge(score)
    for holder in series[number]:
        if isinstance(holder, Holder):
            played = Score(PART)
            with label_problems(played, f"series {number}"), shared_clock() as clock:
                play_holder(played, rng, clock, holder, encrypted=encrypted)
            score.add(played)
    return score


def play_output(score: Score, program: Case, output: Output) -> None:
    """Run a command whose output cannot be written: it must do its work, and end as it would."""
    score.cases += 1
    score.faults += 1
    esi = program.simulator
    users = [str(login["character_id"]) for login in esi.logins]
    cut_short = output.work in (OUT_OF_TIME, TERMINATED)
    for user in users:
        esi.add_killmails(int(user), 12 if cut_short else 2)
    program.let_all_be_tried()
    esi.thaw()
    esi.clear_log()
    if output.work == OUTAGE:
        esi.fault("list", status=503)
    esi.options(latency_body=2 if cut_short else 0)
    words = [*COMMANDS[output.command], *(users if output.command == "sync" else [])]
    if output.work == OUT_OF_TIME:
        words += ["--timeout" if output.command == "sync" else "--max-runtime", "3s"]
    code = _run(score, program, output, words)
    score.requests += len(esi.log())
    esi.clear_faults()
    esi.options(latency_body=0)
    wanted = {
        DONE: {0},
        OUTAGE: {75},
        # a sync that has waited too long
        OUT_OF_TIME: {75} if output.command == "sync" else {0},
        TERMINATED: {128 + signal.SIGTERM},
    }[output.work]
    score.check(code in wanted, f"{output.name}: exit {code}")
    if output.work == DONE:
        unfinished = _unfinished(program)
        score.check(not unfinished, f"{output.name}: {unfinished}")
    else:
        # the next case starts from nothing pending
        program.let_all_be_tried()
        esi.thaw()
        program.call("scan")


def _run(score: Score, program: Case, output: Output, words: list[str]) -> int:
    """Run a command with bad streams to its end; return its exit code, or -1 if it did not end."""
    with ExitStack() as stack:
        process = _start(program, output, words, stack)
        if output.work == TERMINATED:
            wait_until(lambda: program.simulator.log("body") or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(PATIENCE if output.work in (DONE, OUTAGE) else TOLD_TO_END)
        except subprocess.TimeoutExpired:
            score.check(False, f"{output.name}: it did not end")
            process.kill()
            process.wait()
            return -1


def _start(
    program: Case, output: Output, words: list[str], stack: ExitStack
) -> "subprocess.Popen[bytes]":
    bad = STREAMS[output.streams]
    command = [sys.executable, "-m", "killsync", *words]
    streams: dict[int, Any] = dict.fromkeys((1, 2), subprocess.DEVNULL)
    if output.state == CLOSED:
        closing = " ".join(f"{number}>&-" for number in bad)
        command = ["sh", "-c", f'exec "$@" {closing}', "sh", *command]
    else:
        streams |= dict.fromkeys(bad, stack.enter_context(_TARGETS[output.state]()))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=streams[1],
        stderr=streams[2],
        env=program.environment | {"KILLSYNC_CONTACT": "tests@example.com"},
    )


@contextmanager
def _full_pipe() -> Iterator[int]:
    """Yield the writing end of a pipe that is full, and that nobody reads."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 512)
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def _read_by(*command: str) -> Iterator[Any]:
    """Yield a pipe to a command, which may leave before all is written."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        if command == ("true",):
            reader.wait()
        yield reader.stdin


_TARGETS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    BLOCKED: _full_pipe,
    FULL: partial(open, "/dev/full", "wb"),
    GONE: partial(_read_by, "true"),
    HEAD: partial(_read_by, "head", "-1"),
}


def _unfinished(program: Case) -> str:
    """Return what is missing; empty if every listed killmail is stored."""
    users = [login["character_id"] for login in program.simulator.logins]
    listed = {user: program.simulator.listed(user) for user in users}
    missing = sum(program.recorded(user) != listed[user] for user in users)
    pending = program.count_unfinished()
    return f"{missing} lists not recorded, {pending} unfinished" if missing or pending else ""


def play_holder(
    score: Score, rng: random.Random, clock: Clock, holder: Holder, *, encrypted: bool
) -> None:
    """Stop a run that holds the lock: quiet scans must say so, once a day, until it goes on."""
    score.cases += 1
    score.faults += 1
    options: dict[str, Any] = {"characters": 2, "killmails": 200, "shared": 0, "latency_body": 0.1}
    with case(rng, users=False, encrypted=encrypted, **options) as program:
        program.environment |= clock.environment
        program.add_users()
        users = [str(login["character_id"]) for login in program.simulator.logins]
        words = ["scan"] if holder.command == "scan" else ["sync", *users]
        stopped = program.launch(*words)
        wait_until(lambda: program.simulator.log("body"))
        if not _catch(program, stopped, holder):
            # it was never met at that place: nothing was tried
            score.cases, score.faults = score.cases - 1, score.faults - 1
            return
        try:
            _judge_alerts(score, program, clock, holder, stopped.pid)
        finally:
            program.simulator.options(latency_body=0)
            stopped.send_signal(signal.SIGCONT)
        code = Running(stopped).wait()
        score.check(code in (0, 1, 75), f"{holder.name}: it ended with {code}")
        program.heal()
        program.judge(score)


def _catch(program: Case, process: "subprocess.Popen[bytes]", holder: Holder) -> bool:
    """Stop a run where it is wanted; return whether that was met before it ended."""
    while process.poll() is None:
        if _stop(program, process, holder):
            return True
        # a transaction lasts some milliseconds
        time.sleep(0.001)
    return False


def _stop(program: Case, process: "subprocess.Popen[bytes]", holder: Holder) -> bool:
    """Stop a run; let it go on, and return False, if it is at another place than is wanted."""
    shm = program.directory / f"{program.database.name}-shm"
    if (lock_holder(shm, WAL_WRITER) == process.pid) != holder.in_transaction:
        return False
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if (lock_holder(shm, WAL_WRITER) == process.pid) == holder.in_transaction:
        return True
    process.send_signal(signal.SIGCONT)
    return False


def _judge_alerts(score: Score, program: Case, clock: Clock, holder: Holder, pid: int) -> None:
    for pause, speaks in PAUSES:
        clock.forward_to(clock.now() + pause)
        code = program.call("scan", "--quiet")
        said = program.heard() + program.printed()
        problem = f"{holder.name}, after {pause / MINUTE:.0f} minutes more: exit {code}, {said!r}"
        if speaks:
            score.check(code == 75 and said.count("\n") == 1 and str(pid) in said, problem)
        else:
            score.check(not said, problem)
