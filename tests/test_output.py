"""Output is never in the way: whatever becomes of it, the work goes on and ends as it would."""

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from terminal import Terminal
from world import TIMEOUT, Killsync, wait_until

from killsync.cli.output import MOST_HELD, NeverBlocking

pytestmark = pytest.mark.long

Start = Callable[..., Killsync]

LINE = re.compile(rb"\d{7} y{50}\n")


def numbered(number: int) -> bytes:
    return b"%07d %s\n" % (number, b"y" * 50)


# ---- commands whose output goes where it cannot be written


def in_shell(
    program: Killsync, *arguments: str, redirected: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run killsync with redirections as a shell makes them; the exit code is killsync's own."""
    command, pipe, reader = redirected.partition("|")
    code = program.directory / "exit_code"
    script = f'{{ "$@" {command}; echo $? >{code}; }} {pipe}{reader}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words(*arguments)],
        input=given,
        capture_output=True,
        text=True,
        env=program.environment,
        timeout=TIMEOUT,
    )
    done.returncode = int(code.read_text())
    return done


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "killsync", *arguments]


@contextmanager
def unread_pipe() -> Iterator[tuple[int, int]]:
    """Yield a pipe that takes nothing more: its end to read from, and the one to write to."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        while True:
            try:
                os.write(writer, b"x" * 1024)
            except BlockingIOError:
                break
        os.set_blocking(writer, True)
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def started(
    program: Killsync, *arguments: str, output: int, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start killsync with one place for both of its outputs; it ends with the block."""
    with subprocess.Popen(
        words(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=program.environment | environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "redirected",
    [
        "2>/dev/full",
        ">/dev/full 2>&1",
        "2>&1 | true",
        "2>&1 | head -1",
        "2>&1 >&-",
        "2>&- >&-",
    ],
)
def test_a_scan_whose_output_cannot_be_written_stores_everything(
    killsync: Start, redirected: str
) -> None:
    program = killsync(characters=2, killmails=8, page_size=3)
    done = in_shell(program, "scan", redirected=redirected)
    assert done.returncode == 0, done.stderr
    program.assert_equals_truth()


@pytest.mark.parametrize("redirected", ["2>/dev/full", ">/dev/full 2>&1", "2>&1 | true"])
def test_the_exit_code_stays_that_of_the_work(killsync: Start, redirected: str) -> None:
    program = killsync(characters=1, killmails=1)
    program.simulator.fault("body", status=400)
    assert in_shell(program, "scan", redirected=redirected).returncode == 1
    assert in_shell(program, "sync", "nobody", redirected=redirected).returncode == 2


def test_a_scan_into_a_pipe_that_nobody_reads_stores_everything(killsync: Start) -> None:
    program = killsync(characters=2, killmails=8, page_size=3)
    with unread_pipe() as (_, writer), started(program, "scan", output=writer) as scan:
        assert scan.wait(TIMEOUT) == 0
    program.assert_equals_truth()


def test_a_scan_at_a_terminal_stopped_by_ctrl_s_stores_everything(killsync: Start) -> None:
    program = killsync(characters=1, killmails=30, page_size=10, latency_body=0.1)
    scan = Terminal(program, "scan", KILLSYNC_CONNECTIONS="2")
    scan.wait_for("full sync")
    scan.type("\x13")
    assert scan.process.wait(TIMEOUT) == 0
    program.assert_equals_truth()


def test_max_runtime_ends_a_run_that_nobody_reads(killsync: Start) -> None:
    program = killsync(characters=3, killmails=60, page_size=1, latency_list=0.1)
    arguments = ("scan", "--max-runtime", "1s")
    with unread_pipe() as (_, writer), started(program, *arguments, output=writer) as scan:
        assert scan.wait(TIMEOUT) == 0
    ((finished, left),) = program.rows(
        "SELECT finished_at IS NOT NULL, (SELECT count(*) FROM jobs WHERE state = 'queued')"
        " FROM runs"
    )
    assert finished
    assert left > 0


@pytest.mark.parametrize(("command", "number"), [("scan", signal.SIGTERM), ("sync", signal.SIGINT)])
def test_a_signal_ends_a_run_that_nobody_reads(killsync: Start, command: str, number: int) -> None:
    program = killsync(characters=1, killmails=60, page_size=1, latency_list=0.1)
    arguments = ("scan",) if command == "scan" else ("sync", program.simulator.logins[0]["name"])
    with unread_pipe() as (_, writer), started(program, *arguments, output=writer) as run:
        wait_until(lambda: len(program.simulator.log("list")) >= 3)
        run.send_signal(number)
        assert run.wait(TIMEOUT) == 128 + number
    assert program.rows("SELECT exit_code FROM runs") == [(128 + number,)]


def test_a_reader_who_comes_late_gets_every_line_whole(killsync: Start) -> None:
    program = killsync(characters=1, killmails=12, page_size=2, latency_body=0.3)
    arguments = ("scan", "--log-format", "json")
    with unread_pipe() as (reader, writer):
        with started(program, *arguments, output=writer, KILLSYNC_CONNECTIONS="1") as scan:
            wait_until(lambda: program.simulator.log("body"))
            os.set_blocking(reader, False)
            read = b""
            while scan.poll() is None:
                read += drained(reader)
        read += drained(reader)
    events = [json.loads(line)["event"] for line in read.lstrip(b"x").splitlines()]
    assert events.count("PageListed") == 6
    assert (events[0], events[-1]) == ("UserDue", "Ended")


def drained(reader: int) -> bytes:
    """Return what a pipe holds now."""
    try:
        return os.read(reader, 1 << 20)
    except BlockingIOError:
        return b""


# ---- commands whose standard output only describes what they do


def test_what_is_done_to_users_is_done_whoever_reads_of_it(killsync: Start) -> None:
    program = killsync(characters=1, killmails=1, users=False)
    login = program.simulator.logins[0]
    name, token = login["name"], f"{login['refresh_token']}\n"
    for redirected in (">/dev/full", "| true"):

        def work(*arguments: str, redirected: str = redirected, given: str = "") -> None:
            done = in_shell(program, *arguments, redirected=redirected, given=given)
            assert done.returncode == 0, (arguments, done.stderr)

        work("users", "add", given=token)
        work("users", "disable", name)
        assert program.user(login["character_id"])["state"] == "disabled"
        work("users", "enable", name)
        assert program.user(login["character_id"])["state"] == "active"
        work("check", "--repair")
        work("users", "remove", "--no-revoke", name)
        assert program.status()["users"] == []


def test_a_sync_whose_output_is_full_is_done(killsync: Start) -> None:
    program = killsync(characters=1, killmails=3)
    name = program.simulator.logins[0]["name"]
    assert in_shell(program, "sync", name, redirected=">/dev/full").returncode == 0
    program.assert_equals_truth()


@pytest.mark.parametrize("redirected", [">/dev/full", "| true"])
def test_tokens_are_backed_up_and_restored_whoever_reads_of_it(
    killsync: Start, tmp_path: Path, redirected: str
) -> None:
    program = killsync(characters=1, killmails=1)
    file = tmp_path / "copy.db"
    stored = "SELECT user_id, refresh_token FROM tokens"
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        tokens = conn.execute(stored).fetchall()
    done = in_shell(program, "backup", "--with-tokens", str(file), redirected=redirected)
    assert done.returncode == 0
    program.execute_on_tokens("DELETE FROM tokens")
    restore = ("restore", "--yes", "--with-tokens", str(file))
    assert in_shell(program, *restore, redirected=redirected).returncode == 0
    with closing(sqlite3.connect(f"{program.database}.tokens")) as conn:
        assert conn.execute(stored).fetchall() == tokens != []


def test_a_configuration_is_written_whoever_reads_of_it(killsync: Start, tmp_path: Path) -> None:
    program = killsync()
    file = tmp_path / "config.toml"
    init = ("--config", str(file), "init", "--no-input")
    assert in_shell(program, *init, redirected=">/dev/full").returncode == 0
    assert "client_id" in file.read_text()


# ---- commands whose standard output is the result

RESULTS = [
    ("status",),
    ("status", "--json"),
    ("users",),
    ("users", "--json"),
    ("check",),
    ("doctor",),
    ("kills",),
    ("kills", "--json"),
    ("export",),
    ("--help",),
    ("--version",),
    ("scan", "--help"),
]


@pytest.mark.parametrize("arguments", RESULTS, ids=" ".join)
def test_a_result_that_nobody_reads_ends_with_141_and_no_word(
    killsync: Start, arguments: tuple[str, ...]
) -> None:
    program = killsync(characters=1, killmails=1)
    program.run("scan")
    reader, writer = os.pipe()
    os.close(reader)
    with closing(os.fdopen(writer, "w")) as closed_pipe:
        done = subprocess.run(
            words(*arguments),
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
            env=program.environment,
            timeout=TIMEOUT,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("arguments", RESULTS, ids=" ".join)
def test_a_result_that_does_not_fit_on_the_disk_is_an_error(
    killsync: Start, arguments: tuple[str, ...]
) -> None:
    program = killsync(characters=1, killmails=1)
    program.run("scan")
    done = in_shell(program, *arguments, redirected=">/dev/full")
    assert done.returncode == 2
    assert re.fullmatch(r"killsync: .*No space left on device\n", done.stderr)


# ---- the stream itself


def test_while_too_much_waits_whole_lines_are_dropped() -> None:
    with unread_pipe() as (reader, writer):
        stream = NeverBlocking(writer, "<pipe>")
        written = 2 * MOST_HELD // len(numbered(0))
        for number in range(written):
            stream.write(numbered(number))
        os.set_blocking(reader, False)
        read = b""
        while piece := drained(reader):
            read += piece
            stream.flush()
    lines = read.lstrip(b"x")
    assert len(lines) <= MOST_HELD
    assert lines == b"".join(map(numbered, range(len(lines) // len(numbered(0)))))


def test_after_a_reader_has_come_back_later_lines_are_written() -> None:
    with unread_pipe() as (reader, writer):
        stream = NeverBlocking(writer, "<pipe>")
        stream.write(b"early\n")
        os.set_blocking(reader, False)
        drained(reader)
        stream.write(b"late\n")
        assert drained(reader) == b"early\nlate\n"


def test_a_write_larger_than_what_may_wait_is_written_whole(tmp_path: Path) -> None:
    large = b"z" * (3 * MOST_HELD) + b"\n"
    with (tmp_path / "log").open("wb", buffering=0) as file:
        NeverBlocking(file.fileno(), "<file>").write(large)
    assert (tmp_path / "log").read_bytes() == large


def test_threads_that_write_at_the_same_time_write_whole_lines() -> None:
    reader, writer = os.pipe()
    stream = io.TextIOWrapper(NeverBlocking(writer, "<pipe>"), write_through=True)

    def write_half(first: int) -> None:
        for number in range(first, 2000, 2):
            stream.write(numbered(number).decode())

    threads = [threading.Thread(target=write_half, args=(first,)) for first in (0, 1)]
    with os.fdopen(reader, "rb") as read:
        for thread in threads:
            thread.start()
        lines = [read.readline() for _ in range(1000)]
        for thread in threads:
            thread.join()
        os.set_blocking(reader, False)
        stream.flush()
        lines += read.readlines()
        while len(lines) < 2000:
            stream.flush()
            lines += read.readlines()
    os.close(writer)
    assert all(LINE.fullmatch(line) for line in lines)
    assert sorted(lines) == [numbered(number) for number in range(2000)]


def test_a_terminal_that_nobody_reads_keeps_nobody_waiting() -> None:
    ours, theirs = os.openpty()
    stream = NeverBlocking(theirs, "<terminal>")

    def write() -> None:
        for number in range(4000):
            stream.write(numbered(number))

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(TIMEOUT)
    assert not writing.is_alive()
    os.close(ours)
    os.close(theirs)
