"""Moments at which a run is struck down: any time, and those that are worth aiming at."""

import fcntl
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from campaign.case import Case
from campaign.ledger import Launch

PATIENCE = 60
# where SQLite locks: the writer of a WAL in its -shm file, that of a rollback journal in the file
WAL_WRITER, RESERVED = 120, 0x40000001
_FLOCK = "@hhqqi4x"

AIMED = (
    "token answered",
    "token not stored",
    "page answered",
    "page's transaction",
    "body answered",
    "batch's transaction",
    "lock taken",
)
KINDS = (*AIMED, "any time", "at work")


class Moment:
    """Waits until a run has come to a moment of some kind; `seen` says whether it did."""

    def __init__(self, program: Case, launches: list[Launch], since: int) -> None:
        self._program = program
        self._launches = launches
        self._since = since
        self._database = program.database
        self._held = ExitStack()
        self.seen = False

    def wait_for(self, kind: str) -> None:
        """Return when the moment has come, all processes have ended, or in vain after long."""
        waits: dict[str, Callable[[], bool]] = {
            "any time": self._any_time,
            "at work": self._at_work,
            "lock taken": lambda: self._until(self._is_locked),
            "token answered": lambda: self._until(lambda: self._asked("token", over=True)),
            "page answered": lambda: self._until(lambda: self._asked("list", over=True)),
            "body answered": lambda: self._until(lambda: self._asked("body", over=True)),
            "token not stored": self._token_not_stored,
            "page's transaction": lambda: self._in_transaction("list"),
            "batch's transaction": lambda: self._in_transaction("body"),
        }
        self.seen = waits[kind]()

    def release(self) -> None:
        """Let go of what held the processes up; they must have been killed before."""
        self._held.close()

    def _any_time(self) -> bool:
        time.sleep(self._program.rng.uniform(0, 1.5))
        return self._alive()

    def _at_work(self) -> bool:
        pause = self._program.rng.uniform(0, 0.7)
        begun = self._until(lambda: self._entries())
        time.sleep(pause)
        return begun and self._alive()

    def _token_not_stored(self) -> bool:
        """Hold the token file's writer up between SSO's answer and what must follow it."""
        if not self._until(lambda: self._asked("token", over=False)):
            return False
        numbers = {e["n"] for e in self._entries() if e["route"] == "token" and e["end"] is None}
        shm = self._database.with_name(f"{self._database.name}.tokens-shm")
        if not self._until(lambda: self._hold(shm)):
            return False
        # a token that was lost before is refused
        self._until(lambda: numbers <= {e["n"] for e in self._ended("token")})
        return any(e["n"] in numbers and e["status"] == 200 for e in self._ended("token"))

    def _in_transaction(self, route: str) -> bool:
        """Stop a process that holds the write lock once something of this route is answered."""
        if not self._until(lambda: self._asked(route, over=True)):
            return False
        shm = self._database.with_name(f"{self._database.name}-shm")
        return self._until(lambda: self._stopped_as_writer(shm), pause=0.0005)

    def _stopped_as_writer(self, shm: Path) -> bool:
        pid = holder(shm, WAL_WRITER)
        if pid not in {launch.process.pid for launch in self._launches}:
            return False
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if holder(shm, WAL_WRITER) == pid:
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    def _hold(self, shm: Path) -> bool:
        if not shm.exists():
            return False
        descriptor = os.open(shm, os.O_RDWR)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, WAL_WRITER)
        except OSError:
            os.close(descriptor)
            return False
        self._held.callback(os.close, descriptor)
        return True

    def _is_locked(self) -> bool:
        return holder(self._database.with_name(f"{self._database.name}.lock"), RESERVED) is not None

    def _entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._program.simulator.control(f"log?after={self._since}")
        return found

    def _ended(self, route: str) -> list[dict[str, Any]]:
        return [e for e in self._entries() if e["route"] == route and e["end"] is not None]

    def _asked(self, route: str, *, over: bool) -> bool:
        if over:
            return bool(self._ended(route))
        return any(e["route"] == route and e["end"] is None for e in self._entries())

    def _alive(self) -> bool:
        return any(launch.process.poll() is None for launch in self._launches)

    def _until(self, condition: Callable[[], object], *, pause: float = 0.002) -> bool:
        deadline = time.monotonic() + PATIENCE
        while self._alive() and time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(pause)
        return False


def holder(file: Path, byte: int) -> int | None:
    """Return the process that holds a lock on this byte of a file; nothing is locked by asking."""
    with opened(file) as descriptor:
        if descriptor is None:
            return None
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
        return None if answer[0] == fcntl.F_UNLCK else int(answer[4])


@contextmanager
def opened(file: Path) -> Iterator[int | None]:
    """Open a file to look at its locks; None if there is none."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
