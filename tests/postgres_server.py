"""A real PostgreSQL of the tests: one for all of a session's processes, or one of a test's own.

It is started by whoever needs it first, as a process that watches a lock which everybody who uses
it holds: it ends with the last of them, however that ends, and leaves nothing behind. Run as a
program, this module is that process.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest
from psycopg import sql

TIMEOUT = 60.0
OWNER = "postgres"
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "60",
    "shared_buffers": "'32MB'",
    "autovacuum": "off",
}
# what a crash of the machine would cost is no matter of most tests
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
# roles with a password need it, the others do not
_ACCESS = """
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


@cache
def programs() -> Path | None:
    """Return where PostgreSQL's programs are, None if they are not installed."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/local").glob("pgsql*/bin")]
    found = [place for place in places if (place / "initdb").exists()]
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb).parent]
    return max(
        found, key=lambda place: [int(n) for n in place.parts if n.isdecimal()], default=None
    )


def skip_without() -> None:
    """Skip a test where there is no PostgreSQL."""
    if programs() is None:
        pytest.skip("no PostgreSQL here: no initdb in /usr/lib/postgresql/*/bin or in the PATH")


def _somebody() -> dict[str, Any]:
    """Return as whom PostgreSQL runs, which refuses to as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


class Server:
    """A PostgreSQL that runs on a port of its own; its owner needs no password."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def url(self, database: str = "postgres", user: str = OWNER) -> str:
        """Return the address of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the owner; each statement is a transaction of its own."""
        return psycopg.connect(self.url(database), autocommit=True)

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database; return its address."""
        with closing(self.connect()) as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        with closing(self.connect()) as conn:
            conn.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Yield the address of an empty database, which is dropped in the end."""
        name = f"test_{uuid.uuid4().hex}"
        yield self.create_database(name)
        self.drop_database(name)

    @property
    def small_disk(self) -> Path:
        """A directory that is a disk of its own, for PostgreSQL alone, if it was started so."""
        return self.directory / "small"

    def start(self, *, small_disk: str | None = None) -> None:
        """Start it; what it had to recover is recovered then. The size is as mount has it."""
        words = ("start", "-w", "-t", str(int(TIMEOUT)), "-l", str(self.directory / "log"))
        if small_disk is None:
            self._control(*words)
            return
        self.small_disk.mkdir()
        script = f"""mount -t tmpfs -o size={small_disk},uid=$(id -u postgres) tmpfs "$1" || exit 99
            shift; exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@" """
        # seen by nobody else, and gone with the last process of PostgreSQL's
        alone = ("unshare", "-m", "sh", "-c", script, "sh", self.small_disk)
        try:
            self._control(*words, through=alone)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            pytest.skip(f"this machine may not mount a small disk: {error}")

    def stop(self) -> None:
        """End it at once, as if it had crashed, in good order otherwise."""
        with suppress(subprocess.CalledProcessError):
            self._control("stop", "-w", "-m", "immediate")

    @property
    def pid(self) -> int:
        """The process that all of its others belong to."""
        return int((self.directory / "data" / "postmaster.pid").read_text().splitlines()[0])

    def kill(self) -> None:
        """Kill all of it; it may be started again."""
        pid = self.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        all_of_it = [pid, *map(int, children)]
        for one in all_of_it:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT
        while any(map(_is_there, all_of_it)):
            assert time.monotonic() < deadline, "PostgreSQL outlived SIGKILL"
            time.sleep(0.02)

    def _control(self, *words: str, through: tuple[str | Path, ...] = ()) -> None:
        _run("pg_ctl", "-D", str(self.directory / "data"), *words, through=through)


@contextmanager
def own_server(
    settings: Mapping[str, str] = MappingProxyType({}), *, small_disk: str | None = None
) -> Iterator[Server]:
    """Start a PostgreSQL that keeps what it has committed, and end it.

    It has a role `guarded`, whose password is `sesame`.
    """
    with _directory() as directory:
        server = _create(directory, settings)
        server.start(small_disk=small_disk)
        try:
            with closing(server.connect()) as conn:
                conn.execute("CREATE ROLE guarded LOGIN PASSWORD 'sesame'")
            yield server
        finally:
            server.stop()


@contextmanager
def _directory() -> Iterator[Path]:
    # not below pytest's own, which only root may enter where root runs the tests
    directory = Path(tempfile.mkdtemp(prefix="killsync-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _create(directory: Path, settings: Mapping[str, str]) -> Server:
    data = directory / "data"
    _run(
        *("initdb", "-D", str(data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C"),
        *("--no-sync", "--no-instructions"),
    )
    port = _free_port()
    lines = [f"{name} = {value}" for name, value in {**_SETTINGS, **settings}.items()]
    with (data / "postgresql.conf").open("a") as file:
        file.write("\n".join([*lines, f"port = {port}", ""]))
    (data / "pg_hba.conf").write_text(_ACCESS)
    return Server(directory, port)


def _is_there(pid: int) -> bool:
    # whose parent is dead may be a child of this process, which then has to take its end
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _run(program: str, *words: str, through: tuple[str | Path, ...] = ()) -> None:
    found = programs()
    assert found is not None
    # what a daemon inherits is kept open: no pipe of the tests
    subprocess.run(
        [*through, found / program, *words],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        timeout=2 * TIMEOUT,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        **({} if through else _somebody()),
    )


@contextmanager
def shared_server(directory: Path) -> Iterator[Server]:
    """Use the PostgreSQL of a directory, which is started if nobody uses it yet."""
    directory.mkdir(exist_ok=True)
    with (directory / "users").open("a") as users:
        with (directory / "mutex").open("a") as mutex:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            # while the last one is being ended, nobody gets it
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _running(directory) or _start_for(directory)
        yield server


def _running(directory: Path) -> Server | None:
    with suppress(FileNotFoundError):
        ready = json.loads((directory / "ready").read_text())
        return Server(Path(ready["directory"]), ready["port"])
    return None


def _start_for(directory: Path) -> Server:
    with (directory / "errors").open("w") as errors_file:
        subprocess.run(
            [sys.executable, __file__, directory],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors_file,
            # Ctrl-C at the tests is not meant for it: they end first
            start_new_session=True,
        )
    deadline = time.monotonic() + TIMEOUT
    while (server := _running(directory)) is None:
        errors = (directory / "errors").read_text()
        assert "Error" not in errors, errors
        assert time.monotonic() < deadline, "PostgreSQL did not start"
        time.sleep(0.05)
    return server


def _serve(directory: Path) -> None:
    """Run a PostgreSQL until nobody uses it any more."""
    with own_server(_FAST) as server, (directory / "users").open("a") as users:
        ready = directory / "ready"
        draft = ready.with_suffix(".draft")
        draft.write_text(json.dumps({"directory": str(server.directory), "port": server.port}))
        draft.rename(ready)
        try:
            fcntl.flock(users, fcntl.LOCK_EX)
        finally:
            ready.unlink()
            # before whoever waits for the lock starts another
            server.stop()


if __name__ == "__main__" and os.fork() == 0:
    _serve(Path(sys.argv[1]))
