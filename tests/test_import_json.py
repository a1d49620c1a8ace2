"""`killsync import json`: two databases joined, a lost one made again, and files of every kind."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from here import run_here
from stored import attacker, body, pilot
from terminal import Terminal
from world import Killsync, copy_new_database, wait_for_exit, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

ANNA, STRANGER = 90_000_001, 2_112_000_001
HASH = "0123456789abcdef0123456789abcdef01234567"


def beside(program: Killsync, name: str = "other") -> Killsync:
    """Return a killsync with a database of its own, not there yet, and the same simulator."""
    directory = program.directory / name
    directory.mkdir()
    return Killsync(directory, program.simulator)


def exported(program: Killsync, *arguments: str) -> bytes:
    path = program.directory / "lines.jsonl"
    program.run("export", "-o", str(path), *arguments)
    return path.read_bytes()


def import_(
    program: Killsync, *arguments: str | Path, exit_code: int = 0
) -> subprocess.CompletedProcess[str]:
    words = ["import", "json", *map(str, arguments)]
    done = run_here(*words, environment=program.environment)
    assert done.returncode == exit_code, done
    assert "Traceback" not in done.stderr, done
    return done


def summary(program: Killsync, *arguments: str | Path, exit_code: int = 0) -> dict[str, Any]:
    done = import_(program, *arguments, "--log-format", "json", exit_code=exit_code)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("event") == "LinesImported"
    return found


def loss(killmail_id: int, victim: int = ANNA, **more: Any) -> dict[str, Any]:
    return body(killmail_id, pilot(victim, 1), [attacker(STRANGER, 5, final_blow=True)]) | more


def write(program: Killsync, lines: Iterable[Any], name: str = "lines.jsonl") -> Path:
    """Write lines to a file, those that are no bytes as JSON."""
    path = program.directory / name
    path.write_bytes(
        b"".join(
            (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"
            for line in lines
        )
    )
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Killsync:
    """A killsync without a database, and without a simulator that would be asked."""

    class Nowhere:
        url = everef_url = zkb_url = "http://127.0.0.1:1"
        client_id = "client"

    return Killsync(tmp_path, Nowhere())  # type: ignore[arg-type]


@pytest.fixture
def synced(killsync: Make) -> Killsync:
    program = killsync(characters=2, killmails=30, shared=0.2, list_tokens=0, body_tokens=0)
    program.run("scan")
    return program


# joined, and made again


@pytest.mark.sample
@pytest.mark.parametrize("with_hash", [[], ["--with-hash"]])
def test_an_export_that_is_imported_is_exported_byte_for_byte(
    synced: Killsync, with_hash: list[str]
) -> None:
    other = beside(synced)
    lines = exported(synced, *with_hash)
    other.run("import", "json", "--all", "-", given=lines.decode())
    assert exported(other, *with_hash) == lines
    assert exported(other) == exported(synced)
    source = "archive" if with_hash else "computed"
    assert set(other.rows("SELECT origin, hash_source FROM killmails")) == {("json", source)}


def test_a_second_time_brings_nothing_new(synced: Killsync) -> None:
    other = beside(synced)
    path = synced.directory / "a.jsonl"
    path.write_bytes(exported(synced))
    number = summary(other, "--all", path)["stored"]
    before = other.rows("SELECT * FROM killmails ORDER BY 1")
    again = summary(other, "--all", path, path)
    assert (again["stored"], again["known"]) == (0, 2 * number)
    assert other.rows("SELECT * FROM killmails ORDER BY 1") == before


def test_two_databases_are_joined(synced: Killsync) -> None:
    one, two = (login["character_id"] for login in synced.simulator.logins)
    first, second, both = beside(synced, "first"), beside(synced, "second"), beside(synced, "both")
    for program, user_id in ((first, one), (second, two)):
        path = program.directory / "own.jsonl"
        path.write_bytes(exported(synced, "--user", str(user_id)))
        assert summary(program, "--all", path)["stored"] == len(synced.recorded(user_id))
    for program in (first, second):
        both.run("import", "json", "--all", "-", given=exported(program).decode())
    assert exported(both) == exported(synced)


def test_a_lost_database_is_made_again_and_esi_asked_for_no_body(synced: Killsync) -> None:
    lines = exported(synced)
    again = beside(synced)
    again.run("import", "json", "--all", "-", given=lines.decode())
    again.add_users()
    again.simulator.clear_log()
    again.run("scan")
    assert again.simulator.log("body") == []
    again.assert_equals_truth()
    assert set(again.rows("SELECT origin, hash_source FROM killmails")) == {("json", "esi")}
    assert exported(again) == lines
    assert json.loads(again.run("check", "--json").stdout)["ok"]


def test_what_a_user_who_is_added_later_takes_part_in_is_found(synced: Killsync) -> None:
    again = beside(synced)
    again.run("import", "json", "--all", "-", given=exported(synced).decode())
    again.add_users()
    again.run("scan")
    roles = "SELECT user_id, killmail_id, role, killmail_time FROM user_killmails ORDER BY 1, 2"
    assert again.rows(roles) == synced.rows(roles)


def test_what_is_purged_comes_back_with_the_next_import(synced: Killsync) -> None:
    path = synced.directory / "a.jsonl"
    path.write_bytes(exported(synced))
    gone = synced.simulator.logins[0]
    mine = synced.recorded(gone["character_id"])
    done = synced.run("users", "remove", str(gone["character_id"]), "--purge", "--yes")
    number = int(done.stdout.split(" stored killmail")[0].split()[-1])
    assert number > 0
    assert summary(synced, path)["stored"] == 0
    token = synced.simulator.control("tokens", "POST", character_id=gone["character_id"])
    synced.run("users", "add", given=token["refresh_token"])
    found = summary(synced, path)
    assert (found["stored"], found["others"]) == (number, 0)
    stored = {killmail_id for (killmail_id,) in synced.rows("SELECT killmail_id FROM killmails")}
    assert set(mine) <= stored


def test_a_forged_body_without_a_hash_is_replaced_by_esis(synced: Killsync) -> None:
    again = beside(synced)
    first, *rest = exported(synced).splitlines()
    forged = json.loads(first)
    forged["victim"]["ship_type_id"] = 670_000
    path = write(again, [forged, *rest])
    summary(again, "--all", path)
    again.add_users()
    again.simulator.clear_log()
    said = again.run("scan").stderr
    assert f"killmail {forged['killmail_id']}: imported with another hash than ESI lists" in said
    assert {e["killmail_id"] for e in again.simulator.log("body")} == {forged["killmail_id"]}
    again.assert_equals_truth()


# whose they are


def test_without_all_only_what_users_take_part_in_is_stored(synced: Killsync) -> None:
    strangers = [loss(number, victim=STRANGER) for number in range(1, 6)]
    mine = synced.simulator.logins[0]["character_id"]
    path = write(synced, [*strangers, loss(7, victim=mine)])
    before = synced.rows("SELECT * FROM users ORDER BY 1")
    found = summary(synced, path)
    assert (found["stored"], found["others"], found["killmails"]) == (1, 5, 6)
    # nothing is claimed of lists
    assert synced.rows("SELECT * FROM users ORDER BY 1") == before
    shown = synced.run("kills", "7").stdout
    assert "imported from exported JSON; its hash is computed" in shown


def test_with_nobody_registered_nothing_is_read_and_no_database_made(empty: Killsync) -> None:
    path = write(empty, [loss(7)])
    said = import_(empty, path, exit_code=2).stderr
    assert "nobody is registered" in said
    assert "nothing was read" in said
    assert not empty.database.exists()


# what is refused


def test_what_is_refused_is_counted_by_reason_and_the_rest_goes_on(empty: Killsync) -> None:
    lines = [
        b"\xef\xbb\xbf" + json.dumps(loss(1)).encode(), b"garbage", b"[1]", b"",
        loss(2) | {"killmail_hash": HASH}, loss(3) | {"attackers": 5},
        json.dumps(loss(4)).encode()[:-20], b"x" * (33 << 20), loss(5),
    ]  # fmt: skip
    path = write(empty, lines)
    found = summary(empty, "--all", path, exit_code=1)
    assert found["refused"] == {
        "not a killmail": 2,
        "with a hash that does not fit": 1,
        "of a form that cannot be stored": 2,
        "too large": 1,
    }
    assert (found["stored"], found["killmails"], found["files"]) == (2, 8, 1)
    said = import_(empty, "--all", path, exit_code=1).stdout
    assert "8 killmails: 0 stored, 2 known already, 6 refused (2 not a killmail, " in said


def test_more_words_are_said_of_each_refusal_where_they_are_asked_for(empty: Killsync) -> None:
    path = write(empty, [loss(1), b"\x1b[31mgarbage", loss(2) | {"killmail_hash": HASH}])
    assert "line 2" not in import_(empty, "--all", path, exit_code=1).stderr
    said = import_(empty, "--all", "-v", path, exit_code=1).stderr
    assert "refused, not a killmail: " in said
    assert "lines.jsonl: line 2: " in said
    assert "refused, with a hash that does not fit: killmail 2" in said
    assert "\x1b" not in said


def test_a_quiet_import_says_only_what_is_wrong(empty: Killsync) -> None:
    path = write(empty, [loss(1)])
    done = import_(empty, "--all", "-q", path)
    assert (done.stdout, done.stderr) == ("", "")
    done = import_(empty, "--all", "-q", write(empty, [loss(1), b"x"], "bad"), exit_code=1)
    assert done.stdout == ""
    assert "1 refused (1 not a killmail)" in done.stderr


def test_files_that_cannot_be_read_are_named_before_anything_is_read(empty: Killsync) -> None:
    good = write(empty, [loss(1)])
    packed = empty.directory / "lines.jsonl.gz"
    packed.write_bytes(gzip.compress(good.read_bytes()))
    for bad, words in (
        (empty.directory / "nope", "nope: no such file"),
        (empty.directory, "is a directory; name the files in it"),
        (packed, "is compressed; decompress it into `killsync import json -`"),
    ):
        said = import_(empty, "--all", good, bad, exit_code=2).stderr
        assert words in said
        assert said.count("\n") == 1
    said = empty.run("import", "json", "--all", "-", "-", exit_code=2).stderr
    assert "which can be read only once" in said
    assert not empty.database.exists()


def test_an_empty_file_is_read_to_its_end(empty: Killsync) -> None:
    found = summary(empty, "--all", write(empty, []))
    assert (found["files"], found["killmails"]) == (1, 0)


def test_a_pipe_by_name_is_read_too(empty: Killsync) -> None:
    path, fifo = write(empty, [loss(1), loss(2)]), empty.directory / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["dd", f"if={path}", f"of={fifo}"], stderr=subprocess.DEVNULL):
        done = empty.run("import", "json", "--all", str(fifo))
    assert "1 file to read, of a size that is not known before" in done.stderr
    assert "2 killmails: 2 stored" in done.stdout


# how it goes on


def test_how_much_there_is_to_read_is_said_first(empty: Killsync) -> None:
    path = write(empty, [loss(number) for number in range(1, 400)])
    size = path.stat().st_size
    assert (
        f"2 files to read, {2 * size / 1e6:,.1f} MB" in import_(empty, "--all", path, path).stderr
    )


def test_a_terminal_sees_a_bar_with_the_rate(empty: Killsync) -> None:
    path = write(empty, [loss(number) for number in range(1, 4_000)])
    terminal = Terminal(empty, "import", "json", "--all", str(path))
    while terminal.read():
        pass
    assert terminal.process.wait() == 0
    assert "killmails, " in terminal.shown
    assert " a second" in terminal.shown
    assert "3,999 killmails: 3,999 stored" in terminal.shown


@pytest.mark.sample
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait_for_a_pipe_and_what_was_read_is_stored(
    empty: Killsync, number: int, code: int
) -> None:
    copy_new_database(empty.database)
    reading, writing = os.pipe()
    words = [sys.executable, "-m", "killsync", "import", "json", "--all", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, stdin=reading, stdout=pipe, stderr=pipe, env=empty.environment, text=True
    ) as process:
        os.close(reading)
        for killmail_id in range(1, 700):
            os.write(writing, json.dumps(loss(killmail_id)).encode() + b"\n")
        # the batch that is full is stored while the pipe is still open
        wait_until(lambda: stored(empty) == 500)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    os.close(writing)
    assert process.returncode == code
    name = signal.Signals(number).name
    ended = re.search(
        rf"stopped by {name}: 0 files read; (\d+) killmails: (\d+) stored in \d+ s; "
        "the next call passes over what is stored",
        said,
    )
    assert ended is not None, said
    assert ended[1] == ended[2] == str(stored(empty))


def stored(program: Killsync) -> int:
    return int(program.rows("SELECT count(*) FROM killmails")[0][0])


def test_an_import_that_was_killed_goes_on_and_ends_equal(
    empty: Killsync, background: Callable[..., subprocess.Popen[str]]
) -> None:
    copy_new_database(empty.database)
    path = write(empty, [loss(number) for number in range(1, 3_000)])
    killed = background(empty, "import", "json", "--all", str(path))
    wait_until(lambda: stored(empty) >= 500)
    assert wait_for_exit(killed, signal.SIGKILL) == -signal.SIGKILL
    left = stored(empty)
    assert 0 < left < 2_999
    found = summary(empty, "--all", path)
    assert (found["known"], found["stored"]) == (left, 2_999 - left)
    other = beside(empty)
    summary(other, "--all", path)
    assert exported(empty) == exported(other)
    assert empty.rows("SELECT max(stored_seq) FROM killmails") == [(2_999,)]


def peak(program: Killsync, path: Path) -> int:
    """Import a file, and return how much memory that took at most, in MB."""
    words = [sys.executable, "-m", "killsync", "import", "json", "--all", str(path)]
    highest = 0
    with subprocess.Popen(
        words, env=program.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
            highest = max(highest, *map(int, sizes), 0)
            time.sleep(0.01)
    assert process.returncode == 0
    return highest // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_bounded_by_a_batch(empty: Killsync) -> None:
    item = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 1}

    def killmails(number: int) -> Iterable[dict[str, Any]]:
        victim = pilot(ANNA, 1)
        shooters = [attacker(STRANGER, 5, final_blow=True)]
        return (body(n, victim, shooters, items=[item] * 40) for n in range(1, number))

    few = peak(empty, write(empty, killmails(500)))
    many = peak(beside(empty), write(empty, killmails(5_000)))
    assert 0 < many < few + 15
