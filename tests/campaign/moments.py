"""Moments at which to strike a run: random ones, and those worth aiming at."""

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
from campaign.ledger import LISTS, Launch

MOMENT_TIMEOUT = 60
# the bytes that SQLite locks: for a WAL writer in the -shm file, otherwise in the database file
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
    """Waits until a run reaches a moment of some kind; `seen` is whether it did."""

    def __init__(self, program: Case, launches: list[Launch], since: int) -> None:
        self._program = program
        self._launches = launches
        self._since = since
        self._database = program.database
        self._held = ExitStack()
        self.seen = False

    def wait_for(self, kind: str) -> None:
        """Wait until the moment comes, all processes have ended, or time is up."""
        waits: dict[str, Callable[[], bool]] = {
            "any time": self._any_time,
            "at work": self._at_work,
            "lock taken": lambda: self._wait_until(self._is_locked),
            "token answered": lambda: self._wait_until(lambda: self._answered("token")),
            "page answered": lambda: self._wait_until(lambda: self._answered("list")),
            "body answered": lambda: self._wait_until(lambda: self._answered("body")),
            "token not stored": self._token_not_stored,
            "page's transaction": lambda: self._in_transaction("list"),
            "batch's transaction": lambda: self._in_transaction("body"),
        }
        self.seen = waits[kind]()

    def release(self) -> None:
        """Release the locks that blocked the processes, which must have been killed before."""
        self._held.close()

    def _any_time(self) -> bool:
        time.sleep(self._program.rng.uniform(0, 1.5))
        return self._any_alive()

    def _at_work(self) -> bool:
        pause = self._program.rng.uniform(0, 0.7)
        started = self._wait_until(lambda: self._entries())
        time.sleep(pause)
        return started and self._any_alive()

    def _token_not_stored(self) -> bool:
        """Block the token file's writer between SSO's answer and the write that must follow."""
        if not self._wait_until(lambda: self._in_flight("token")):
            return False
        numbers = {e["n"] for e in self._in_flight("token")}
        shm = self._database.with_name(f"{self._database.name}.tokens-shm")
        if not self._wait_until(lambda: self._block_writer(shm)):
            return False
        # a token that was already lost is refused
        self._wait_until(lambda: numbers <= {e["n"] for e in self._answered("token")})
        return any(e["n"] in numbers and e["status"] == 200 for e in self._answered("token"))

    def _in_transaction(self, route: str) -> bool:
        """Stop a process that holds the write lock, once a request of this route is answered."""
        if not self._wait_until(lambda: self._answered(route)):
            return False
        shm = self._database.with_name(f"{self._database.name}-shm")
        return self._wait_until(lambda: self._stopped_as_writer(shm), pause=0.0005)

    def _stopped_as_writer(self, shm: Path) -> bool:
        pid = lock_holder(shm, WAL_WRITER)
        if pid not in {launch.process.pid for launch in self._launches}:
            return False
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if lock_holder(shm, WAL_WRITER) == pid:
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    def _block_writer(self, shm: Path) -> bool:
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
        lock_file = self._database.with_name(f"{self._database.name}.lock")
        return lock_holder(lock_file, RESERVED) is not None

    def _entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._program.simulator.control(f"log?after={self._since}")
        return found

    def _answered(self, route: str) -> list[dict[str, Any]]:
        routes = LISTS if route == "list" else (route,)
        return [e for e in self._entries() if e["route"] in routes and e["end"] is not None]

    def _in_flight(self, route: str) -> list[dict[str, Any]]:
        return [e for e in self._entries() if e["route"] == route and e["end"] is None]

    def _any_alive(self) -> bool:
        return any(launch.process.poll() is None for launch in self._launches)

    def _wait_until(self, condition: Callable[[], object], *, pause: float = 0.002) -> bool:
        deadline = time.monotonic() + MOMENT_TIMEOUT
        while self._any_alive() and time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(pause)
        return False


def lock_holder(file: Path, byte: int) -> int | None:
    """Return the id of the process that has this byte of a file locked; locks nothing itself."""
    with open_if_exists(file) as descriptor:
        if descriptor is None:
            return None
        query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, query))
        return None if answer[0] == fcntl.F_UNLCK else int(answer[4])


@contextmanager
def open_if_exists(file: Path) -> Iterator[int | None]:
    """Yield a descriptor to examine a file's locks, or None if there is no such file."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
