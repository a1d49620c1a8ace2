"""`killsync demo` and `killsync simulator` as they are tried right after an installation."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import commands
import pytest
from here import run_here
from world import TIMEOUT

from killsync.cli.demo import last_whole_month, telling_loss
from killsync.killmail.body import Item
from killsync.store.kills import Kill

pytestmark = pytest.mark.long

SCRIPTS = str(Path(sys.executable).parent)
# the environment of a user with real characters; none of it can be reached or used
OWN = {
    "KILLSYNC_ESI_URL": "http://127.0.0.1:9",
    "KILLSYNC_SSO_URL": "http://127.0.0.1:9",
    "KILLSYNC_CLIENT_ID": "my-own-application",
    "KILLSYNC_MIN_AGE": "nonsense",
    "KILLSYNC_MAX_PAGES": "1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def environment(home: Path, **own: str) -> dict[str, str]:
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home)} | own


def program() -> str:
    found = shutil.which("killsync", path=SCRIPTS)
    assert found is not None
    return found


def processes_with(mark: str) -> list[int]:
    """Return the processes that have this text in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended
            continue
    return found


def wait_until_none_has(mark: str) -> None:
    deadline = time.monotonic() + 10
    while found := processes_with(mark):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


class Played:
    """A demo that has ended."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = home / "it's my own directory" / "kills of today.db"
        self.own_database = home / "own.db"
        done = subprocess.run(
            [program(), "--db", str(self.database), "demo"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(home, KILLSYNC_DB=str(self.own_database), **OWN),
            check=False,
            timeout=TIMEOUT,
        )
        self.said, self.exit_code = done.stdout, done.returncode

    def scenes(self) -> list[str]:
        return re.split(r"^=== ", self.said, flags=re.MULTILINE)[1:]

    def printed_commands(self) -> list[str]:
        return re.findall(r"^  (\S.*)$", self.said[self.said.index("The database is ") :], re.M)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play the demo on a database whose path a shell has to have quoted."""
    return Played(tmp_path_factory.mktemp("demo"))


def test_the_demo_ends_well(demo: Played) -> None:
    assert demo.exit_code == 0, demo.said
    assert "Traceback" not in demo.said
    assert "killsync: " not in demo.said


def test_the_demo_shows_each_stage_in_order(demo: Played) -> None:
    added, first, later, hurried, corporation, month, status, *_ = demo.scenes()
    assert added.count(": added ") == 3
    assert first.count("last: never") == first.count("full sync") == 3
    assert first.count(" new killmails on ") == 3
    assert later.count("incremental sync") == later.count("no need to read on") == 3
    assert later.count(": page ") == 3
    assert "6 killmails stored" in later
    overtaking = (
        r"full sync.*waiting for scan .*incremental sync.*: 3 killmails stored.*\n\S+Z 2 users, "
    )
    assert re.search(overtaking, hurried, re.DOTALL), hurried
    assert re.search(r"Gaterau: 5\d0 new killmails on 1\d pages", hurried)
    assert re.search(r"; added .+ Company \(\d+\), with director Caelia Yulai", corporation)
    assert "Company: 409 new killmails on 9 pages" in corporation
    assert "1 user, 9 pages, 40 killmails stored, 0 errors" in corporation
    assert re.search(r"\b(28|29|30|31) archives read; 3\d\d killmails: 1\d\d stored", month)
    assert "Black Comet Company: 1 of 1 director can read its list" in status
    for word in ("User", "Nothing is running", "Last runs", "ESI's limits"):
        assert word in status


def test_the_demo_imports_a_month_that_no_list_shows(demo: Played) -> None:
    with closing(sqlite3.connect(demo.database)) as conn:
        months = conn.execute(
            """SELECT substr(killmail_time, 1, 7), count(*) FROM killmails
            WHERE origin = 'everef' GROUP BY 1"""
        ).fetchall()
        [(listed,)] = conn.execute(
            """SELECT count(*) FROM user_killmails JOIN killmails USING (killmail_id)
            WHERE origin = 'everef' AND listed"""
        )
    [(month, stored)] = months
    assert stored > 100
    assert listed == 0
    assert f"$ killsync import everef --days {month}\n" in demo.said


def test_a_whole_month_lies_in_the_old_days_of_the_demo() -> None:
    for day in range(800):
        last = date(2026, 1, 1) + timedelta(day)
        end = last_whole_month(last)
        assert end <= last < end + timedelta(31)
        assert (end + timedelta(1)).day == 1
        assert end.replace(day=1) > last - timedelta(61)


def test_the_demo_shows_what_the_killmails_tell(demo: Played) -> None:
    *_, status, kills, loss, statistics = demo.scenes()
    assert "Nothing is running" in status
    lines = [line.split("\t") for line in kills.splitlines() if "\t" in line]
    assert len(lines) == 10
    # by their names, each with its worth
    assert any("Caelia Yulai" in line for line in lines)
    for word in ("Loss ", "High slots", "final blow", "hull ", " ISK", "zkillboard.com"):
        assert word in loss
    for word in ("kills\t", "losses\t", "efficiency\t0.", "$ killsync stats"):
        assert word in statistics


def test_the_loss_that_the_demo_shows_is_a_fit_that_fills_a_screen() -> None:
    def loss(number: int, **fields: Any) -> Kill:
        blank: dict[str, Any] = dict.fromkeys(Kill.__struct_fields__)
        named = {"killmail_id": number, "final_blow": "Somebody", "attackers": 3}
        return Kill(**blank | named | fields)

    module = Item(item_type_id=1, flag=11, singleton=0)
    full_box = Item(item_type_id=1, flag=5, singleton=0, items=[module] * 30)
    losses = [loss(1), loss(2), loss(3, attackers=50), loss(4, final_blow=None), loss(5), loss(6)]
    carried = {
        1: [],
        2: [module] * 60,
        3: [module] * 24,
        4: [module] * 24,
        5: [module] * 23 + [full_box],
        6: [module] * 20,
    }
    assert telling_loss(losses, carried) == 6
    assert telling_loss(losses[:1], carried) == 1
    assert telling_loss(losses[2:3], carried) == 3
    assert telling_loss(losses, {}) is not None
    assert telling_loss([], carried) is None


def test_the_demo_prints_where_its_database_is(demo: Played) -> None:
    assert f"\nThe database is {demo.database}.\n" in demo.said
    assert demo.database.stat().st_mode & 0o777 == 0o600


def test_the_commands_that_the_demo_prints_work_as_printed(demo: Played) -> None:
    chosen, *commands = demo.printed_commands()
    assert chosen.startswith("export KILLSYNC_DB=")
    assert max(map(len, commands)) < 80
    assert [command.removeprefix("killsync ") for command in commands] == [
        "kills --losses --since 7d",
        "stats --by opponent --sort losses",
        "export --since 7d",
        "browse",
    ]
    # the last goes on until it is stopped
    for command in commands[:-1]:
        done = subprocess.run(
            ["sh", "-c", f"{chosen}\n{command}"],
            cwd=demo.home,
            env=environment(demo.home),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        assert done.stdout.strip(), command


def test_the_characters_of_the_demo_are_not_their_own_opponents(demo: Played) -> None:
    with closing(sqlite3.connect(demo.database)) as conn:
        shot_by_ours = conn.execute(
            """SELECT count(*) FROM attackers JOIN killmails USING (killmail_id)
            WHERE character_id IN (SELECT user_id FROM users)
                AND victim_character_id IN (SELECT user_id FROM users)"""
        ).fetchone()
    assert shot_by_ours == (0,)


def test_the_demo_leaves_the_users_own_database_alone(demo: Played) -> None:
    assert not demo.own_database.exists()
    assert "127.0.0.1:9\n" not in demo.said


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_the_demo_leaves_no_process_behind(demo: Played) -> None:
    wait_until_none_has(str(demo.home))


def test_the_demo_refuses_a_database_that_exists(tmp_path: Path) -> None:
    database = tmp_path / "mine.db"
    database.write_text("precious")
    done = run_here("demo", "--db", str(database), environment=environment(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(database) in done.stderr
    assert database.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [database]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_ctrl_c_ends_the_demo_and_everything_it_started(tmp_path: Path) -> None:
    # without --db, the database is in a temporary directory of its own
    with subprocess.Popen(
        [program(), "demo"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        said = ""
        while "full sync" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        (database,) = tmp_path.glob("killsync-demo-*/killsync.db")
        assert database.stat().st_mode & 0o777 == 0o600
        os.killpg(demo.pid, signal.SIGINT)
        said += demo.stdout.read()
        assert demo.wait(TIMEOUT) == 130, said
    assert "Traceback" not in said
    wait_until_none_has(str(tmp_path))


def start_installed(
    *words: str, environment: dict[str, str], **streams: Any
) -> subprocess.Popen[str]:
    """Start the installed command, as `commands.start` starts that of Python's."""
    return subprocess.Popen([program(), *words], env=environment, **streams)


@contextmanager
def simulator(
    home: Path, *options: str, start: Callable[..., subprocess.Popen[str]] = commands.start
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield a simulator, and a file with the lines that it has printed."""
    with start(
        "simulator",
        *options,
        environment=environment(home, **OWN),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or " scan" not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1], process.stderr and process.stderr.read()
            printed = home / "printed"
            printed.write_text("".join(lines))
            yield process, printed
        finally:
            process.kill()


def next_with(process: subprocess.Popen[str], words: str) -> str:
    """Return the next line that it prints from these words on."""
    assert process.stdout is not None
    line = next(line for line in process.stdout if words in line)
    return line[line.index(words) :].rstrip()


def rest_of(process: subprocess.Popen[str]) -> str:
    """End a simulator; return what it has printed since."""
    process.terminate()
    assert process.stdout is not None
    return process.stdout.read()


def shell(home: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script],
        cwd=home,
        env=environment(home, **{k: v for k, v in OWN.items() if v.startswith("http")}),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def test_the_lines_that_the_simulator_prints_work_as_printed(tmp_path: Path) -> None:
    options = ("--characters=2", "--killmails=3")
    with simulator(tmp_path, *options, start=start_installed) as (process, printed):
        assert printed.read_text().splitlines()[-1] == "killsync scan"
        done = shell(tmp_path, ". ./printed && killsync status --json")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode in (0, 130)
        assert errors == ""
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": added ") == 2
    assert '"state": "active"' in done.stdout
    assert '"pending_killmails": 0' in done.stdout
    assert re.search(r"2 users, 2 pages, [67] killmails stored, 0 errors", done.stdout)


def test_the_lines_that_the_simulator_prints_register_corporations(tmp_path: Path) -> None:
    options = ("--characters=3", "--killmails=3", "--corporations=1", "--archive-days=1")
    with simulator(tmp_path, *options, start=start_installed) as (process, printed):
        assert "killsync import" not in printed.read_text()
        imports = next_with(process, "killsync import everef ")
        done = shell(tmp_path, f". ./printed && {imports} && killsync status --json")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"; added (\S+ \S+ Company) .*, with director .*\n.*; added director .* to \1", done.stdout
    )
    assert re.search("4 users, 4 pages, .* killmails stored, 0 errors", done.stdout)
    assert re.search("1 archive read; 40 killmails: .* stored", done.stdout)


def test_the_simulator_says_what_else_its_world_has(tmp_path: Path) -> None:
    options = ("--characters=5", "--killmails=3", "--corporations=2", "--archive-days=30")
    with simulator(tmp_path, *options, start=start_installed) as (process, printed):
        said = printed.read_text() + rest_of(process)
    url = re.search("^export KILLSYNC_ESI_URL=(.*)$", said, re.M)
    assert url
    for name, path in (("EVEREF", "everef"), ("ZKB", "zkb")):
        assert f"export KILLSYNC_{name}_URL={url[1]}/{path}\n" in said
    tokens = re.findall(r"^printf '%s\\n' (.*) \| killsync users add( --corporation)?$", said, re.M)
    assert [(len(given.split()), option) for given, option in tokens] == [
        (1, ""),
        (4, " --corporation"),
    ]
    assert said.count(" is directed by ") == 2
    days = re.search(r"killsync import everef --days (\S+)\.\.(\S+)$", said, re.M)
    assert days
    first, last = map(date.fromisoformat, days.groups())
    assert (last - first).days == 29
    assert last < datetime.now(UTC).date() - timedelta(90)


def test_a_simulator_without_corporations_says_nothing_of_them(tmp_path: Path) -> None:
    with simulator(tmp_path, "--killmails=3") as (process, printed):
        said = printed.read_text() + rest_of(process)
    assert not re.search("corporation|directed|everef --days", said)


def test_each_simulator_prints_a_database_of_its_own(tmp_path: Path) -> None:
    databases = set()
    for seed in ("1", "2"):
        with simulator(tmp_path, "--killmails=3", f"--seed={seed}") as (_, printed):
            databases.update(re.findall("^export KILLSYNC_DB=(.*)$", printed.read_text(), re.M))
    assert len(databases) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_simulator_quietly(tmp_path: Path, number: signal.Signals) -> None:
    with simulator(tmp_path, "--killmails=3") as (process, _):
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode in (0, 128 + number)
        assert errors == ""


WRONG_OPTIONS = [
    "--set=nonsense=1",
    "--set=rotate",
    "--set=characters=many",
    "--set=characters=-1",
    "--set=past_end=perhaps",
    "--set=shared=2",
    "--cache=long",
    "--page-size=0",
    "--port=70000",
]


@pytest.mark.parametrize("option", WRONG_OPTIONS)
def test_a_wrong_option_of_the_simulator_exits_2(tmp_path: Path, option: str) -> None:
    done = run_here("simulator", option, environment=environment(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_port_in_use_exits_2_and_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        done = commands.run("simulator", "--port", port, environment=environment(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert port in done.stderr
