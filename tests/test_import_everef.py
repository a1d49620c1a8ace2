"""`killsync import everef`: archives from files, as people have them and as hostile ones are."""

import bz2
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import commands
import pytest
from archives import DAY, END, archive, header, killmail, member, tar, write
from here import Done, run_here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from permissions import bound
from processes import children, is_alive
from stored import attacker, body, database, pilot, rows
from terminal import Terminal
from world import copy_new_database, wait_until

from killsync.archive import days as files
from killsync.archive.everef import EveRef
from killsync.archive.intake import Intake
from killsync.killmail import archived
from killsync.killmail.hash import expected_hash
from killsync.killmail.mentions import finder
from killsync.model import Origin
from killsync.store import connection, imports, users
from killsync.store.connection import Store

ANNA, CORPORATION, STRANGER = 90_000_001, 98_000_001, 2_112_000_001
OTHER_DAY = "2016-02-02"


class Importing:
    """A database with users, and archives beside it."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.archives = directory / "archives"
        self.archives.mkdir()
        self.store = store
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "KILLSYNC_DB": str(store.path),
        }

    def run(self, *arguments: str | Path, exit_code: int = 0) -> Done:
        """Run the import within this process."""
        words = ["import", "everef", *map(str, arguments)]
        done = run_here(*words, environment=self.environment)
        assert done.returncode == exit_code, done
        assert "Traceback" not in done.stderr
        return done

    def summary(self, *arguments: str | Path, exit_code: int = 0) -> dict[str, Any]:
        """Run the import, and return its last event."""
        done = self.run(*arguments, "--log-format", "json", exit_code=exit_code)
        summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert summary.pop("event") == "Imported"
        return summary

    def stored(self) -> list[int]:
        return [i for (i,) in rows(self.store, "SELECT killmail_id FROM killmails ORDER BY 1")]

    def read_days(self) -> list[str]:
        return [name for (name,) in rows(self.store, "SELECT name FROM imports ORDER BY 1")]


@pytest.fixture
def importing(tmp_path: Path) -> Iterator[Importing]:
    with database(tmp_path / "killsync.db", {ANNA: "Anna", CORPORATION: "Wolves"}) as store:
        yield Importing(tmp_path, store)


def loss(killmail_id: int, victim: int = ANNA, **more: Any) -> dict[str, Any]:
    shooter = attacker(STRANGER, 5, final_blow=True)
    return body(killmail_id, pilot(victim, 1), [shooter], time=f"{DAY}T12:00:00Z") | more


# what is stored, and what is said


def test_killmails_of_registered_users_are_stored_with_all_that_follows(
    importing: Importing,
) -> None:
    shot = body(8, pilot(STRANGER, 5), [attacker(7, CORPORATION), attacker(9, 6, final_blow=True)])
    archive(importing.archives, [loss(7), shot, loss(9, victim=STRANGER)])
    summary = importing.summary(importing.archives)
    assert (summary["stored"], summary["others"], summary["killmails"]) == (2, 1, 3)
    sides = "SELECT user_id, killmail_id, listed, role FROM user_killmails ORDER BY 1"
    assert rows(importing.store, sides) == [
        (ANNA, 7, 0, "victim"),
        (CORPORATION, 8, 0, "attacker"),
    ]
    origins = rows(importing.store, "SELECT DISTINCT origin, hash_source, hash_ok FROM killmails")
    assert origins == [("everef", "computed", 1)]


def test_all_needs_nobody_and_no_database(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    archive(tmp_path / "archives", [loss(7, victim=STRANGER)])
    environment = {"HOME": str(tmp_path), "KILLSYNC_DB": str(path), "PATH": os.environ["PATH"]}
    words = ("import", "everef", str(tmp_path / "archives"), "--all")
    with commands.start(*words, environment=environment) as process:
        assert process.wait(commands.TIMEOUT) == 0
    with closing(connection.connect(path)) as store:
        assert rows(store, "SELECT killmail_id FROM killmails") == [(7,)]
        # types have names without ESI
        assert rows(store, "SELECT id FROM unnamed_ids WHERE id = 587") == []


@pytest.mark.parametrize("made", [True, False])
def test_without_a_user_nothing_is_read(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "killsync.db"
    if made:
        copy_new_database(path)
    archive(tmp_path / "archives", [loss(7)])
    environment = {"HOME": str(tmp_path), "KILLSYNC_DB": str(path)}
    done = run_here("import", "everef", str(tmp_path / "archives"), environment=environment)
    assert done.returncode == 2
    assert "nobody is registered" in done.stderr
    assert "--all" in done.stderr
    assert path.exists() == made


def test_what_there_is_to_read_is_said_first_a_line_a_day_follows_and_a_summary(
    importing: Importing,
) -> None:
    archive(importing.archives, [loss(7), loss(8, victim=STRANGER)])
    archive(importing.archives, [loss(9)], OTHER_DAY)
    (importing.archives / "totals.json").write_text('{"20160201": 2, "20160202": 1}')
    (importing.archives / "README").touch()
    done = importing.run(importing.archives)
    first, day, other = (line.split(" ", 1)[1] for line in done.stderr.splitlines())
    assert first.startswith("2 archives to read, ")
    assert first.endswith(" bytes, 3 killmails; 1 other file is ignored")
    assert day.startswith(f"{DAY}: 2 killmails: 1 stored, 1 of nobody registered in ")
    assert other.startswith(f"{OTHER_DAY}: 1 killmail: 1 stored in ")
    (summary,) = (line.split(" ", 1)[1] for line in done.stdout.splitlines())
    assert summary.startswith("2 archives read; 3 killmails: 2 stored, 1 of nobody registered in ")


def test_as_json_each_line_is_an_event(importing: Importing) -> None:
    archive(importing.archives, [loss(7), loss(8, killmail_hash="0" * 40)])
    done = importing.run(importing.archives, "--log-format", "json", exit_code=1)
    events = [json.loads(line) for line in [*done.stderr.splitlines(), *done.stdout.splitlines()]]
    assert [event["event"] for event in events] == ["ToRead", "ArchiveRead", "Imported"]
    assert events[1]["day"] == DAY
    assert events[2]["refused"] == {"with a hash that does not fit": 1}


def test_quiet_says_nothing_unless_something_is_wrong(importing: Importing) -> None:
    path = archive(importing.archives, [loss(7)])
    done = importing.run(path, "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
    archive(importing.archives, [loss(8, killmail_hash="0" * 40)], OTHER_DAY)
    done = importing.run(importing.archives, "--quiet", exit_code=1)
    assert "1 refused (1 with a hash that does not fit)" in done.stderr
    assert done.stdout == ""


def test_verbose_names_what_is_refused_harmlessly(importing: Importing) -> None:
    odd = member("killmails/\x1b[2J.json", b"{}")
    write(importing.archives, bz2.compress(tar(odd, killmail(loss(7)))))
    done = importing.run(importing.archives, "--verbose", exit_code=1)
    assert "\x1b" not in done.stderr + done.stdout
    assert "not named killmails/ID.json" in done.stderr
    assert importing.stored() == [7]


# what was read before


def test_an_archive_that_was_read_is_not_read_again_but_with_full(importing: Importing) -> None:
    archive(importing.archives, [loss(7), loss(8, victim=STRANGER)])
    importing.run(importing.archives)
    again = importing.run(importing.archives)
    assert "no archive to read; 1 was read before, --full reads all again" in again.stderr
    assert "0 archives read, 1 read before; 0 killmails" in again.stdout
    assert importing.summary(importing.archives, "--full")["known"] == 1


@pytest.mark.parametrize("change", ["content", "user", "all"])
def test_an_archive_is_read_again_if_there_may_be_something_new(
    importing: Importing, change: str
) -> None:
    archive(importing.archives, [loss(7), loss(8, victim=STRANGER)])
    importing.run(importing.archives)
    more = ["--all"] if change == "all" else []
    if change == "content":
        archive(importing.archives, [loss(7), loss(8)])
    if change == "user":
        with importing.store.transaction() as conn:
            users.add(conn, STRANGER, "Stranger", 1_800_000_000)
    summary = importing.summary(importing.archives, *more)
    assert (summary["archives"], summary["stored"]) == (1, 1)
    assert importing.stored() == [7, 8]


def test_what_was_read_for_everybody_is_not_read_again_for_users(importing: Importing) -> None:
    archive(importing.archives, [loss(7)])
    importing.run(importing.archives, "--all")
    assert importing.summary(importing.archives)["unchanged"] == 1


def test_the_same_archive_as_a_file_and_fetched_are_two_versions(importing: Importing) -> None:
    """Neither takes the place of the other, and only a fetched one has an ETag to ask with."""
    conn, day = importing.store.conn, "2016-02-01"

    def read(version: str, *, everything: bool = False) -> imports.Archive:
        return imports.Archive(Origin.EVEREF, day, version, everything, 2, 9)

    def known() -> str | None:
        return imports.version_fetched(conn, Origin.EVEREF, day, everything=False, users_added=2)

    for version in ("file:9-1", '"old"', '"new"', "file:9-2"):
        imports.record(conn, read(version), 1_800_000_000)
    assert known() == '"new"'
    assert imports.is_read(conn, read("file:9-1"))
    assert not imports.is_read(conn, read('"old"'))
    imports.record(conn, read('"new"', everything=True), 1_800_000_000)
    imports.record(conn, read('"new"'), 1_800_000_000)
    assert imports.is_read(conn, read('"new"', everything=True))


# which files are meant


def test_directories_are_searched_to_any_depth_and_days_read_in_order(
    importing: Importing,
) -> None:
    deep = importing.archives / "a" / "b"
    archive(deep, [loss(9)], "2015-01-01")
    archive(importing.archives, [loss(7)])
    archive(importing.archives / "z", [loss(8)], "2014-12-31")
    odd = importing.archives / "killmails-2016-13-45.tar.bz2"
    odd.write_bytes(b"no day")
    done = importing.run(importing.archives)
    days = [line.split()[1].rstrip(":") for line in done.stderr.splitlines()[1:]]
    assert days == ["2014-12-31", "2015-01-01", DAY]
    assert "1 other file is ignored" in done.stderr


def test_two_archives_of_a_day_are_both_read(importing: Importing) -> None:
    archive(importing.archives / "a", [loss(7)])
    archive(importing.archives / "b", [loss(8)])
    assert importing.summary(importing.archives)["archives"] == 2
    assert importing.stored() == [7, 8]
    assert importing.summary(importing.archives)["unchanged"] == 2


def to_come() -> str:
    """Return a day that is still to come, also if the test runs across midnight."""
    return (datetime.now(UTC).date() + timedelta(2)).isoformat()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give archives or directories, or --days FROM..TO"),
        (["--days", "2016-02-01", "x"], "or --days FROM..TO, not both"),
        (["none"], "none: no such file or directory"),
        (["archives/odd.tar.bz2"], "is not named killmails-YYYY-MM-DD.tar.bz2"),
        (["--days", "yesterday"], "'yesterday' is no day"),
        (["--days", "2016-02-30"], "'2016-02-30' is no day"),
        (["--days", "2016-13"], "'2016-13' is no day"),
        (["--days", "2016-02-02..2016-02-01"], "ends before it begins"),
        (["--days", "..2016-02-01"], "'' is no day"),
        (["--days", "2007-12-04"], "no killmails from before 2007-12-05"),
        (["--days", to_come()], "is still to come"),
        (["--days", "2999-01"], "is still to come"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_read(
    importing: Importing, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(importing.archives.parent)
    archive(importing.archives, [loss(7)])
    (importing.archives / "odd.tar.bz2").touch()
    done = importing.run(*arguments, exit_code=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert importing.stored() == []


def test_a_file_of_a_day_to_come_that_is_named_is_refused_before_anything_is_read(
    importing: Importing,
) -> None:
    archive(importing.archives, [loss(7)])
    named = archive(importing.archives, [loss(8)], to_come())
    assert "still to come" in importing.run(importing.archives, named, exit_code=2).stderr
    assert importing.stored() == []


def test_a_file_of_a_day_to_come_among_others_is_refused_alone(importing: Importing) -> None:
    archive(importing.archives, [loss(7)])
    stray = archive(importing.archives, [loss(8)], to_come())
    done = importing.run(importing.archives, exit_code=1)
    assert f"{stray}: is of a day that is still to come" in done.stderr
    assert "1 archive read, 1 refused" in done.stdout
    assert importing.stored() == [7]


def test_what_is_named_twice_is_read_once(importing: Importing) -> None:
    path = archive(importing.archives, [loss(7)])
    (importing.archives / "link").symlink_to(path.parent)
    words = (path, importing.archives, path.parent, importing.archives / "link")
    assert importing.summary(*words)["archives"] == 1
    assert importing.summary(*words)["unchanged"] == 1


def test_links_to_directories_are_followed_and_may_go_in_a_circle(importing: Importing) -> None:
    path = archive(importing.archives.parent / "elsewhere", [loss(7)])
    (importing.archives / "link").symlink_to(path.parent)
    (importing.archives / "circle").symlink_to(importing.archives)
    (path.parent / "back").symlink_to(importing.archives)
    assert importing.summary(importing.archives)["archives"] == 1


def test_directories_without_an_archive_are_refused_in_words(importing: Importing) -> None:
    (importing.archives / "kills.json").touch()
    said = importing.run(importing.archives, exit_code=2).stderr
    assert said == "killsync: no archive there: they are named killmails-YYYY-MM-DD.tar.bz2\n"


@pytest.mark.long
@pytest.mark.parametrize("more", [[], ["--full"]])
def test_whether_the_next_call_goes_on_is_said_as_it_is(
    importing: Importing, more: list[str]
) -> None:
    archive(importing.archives, many(6_000))
    with start(importing, importing.archives, *more) as process:
        wait_until(importing.stored)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == 143
    assert ("without --full" in said) == bool(more)
    assert "the next call goes on with the day it was in" in said


@pytest.mark.parametrize(
    ("text", "first", "last", "number"),
    [
        ("2007-12", "2007-12-05", "2007-12-31", 27),
        ("2007-11..2007-12-06", "2007-12-05", "2007-12-06", 2),
        ("2016-02-01..", "2016-02-01", "2016-03-03", 32),
    ],
)
def test_days_begin_with_the_first_archive_and_end_today(
    text: str, first: str, last: str, number: int
) -> None:
    found = files.days(text, date(2016, 3, 3))
    assert (str(found[0]), str(found[-1]), len(found)) == (first, last, number)


# what is refused, while the rest goes on


def test_hostile_members_are_counted_by_reason_and_the_rest_is_imported(
    importing: Importing,
) -> None:
    parts = [
        killmail(loss(7)),
        member("../../etc/passwd", b"root"),
        header("killmails/1.json", 0, b"2", linkname="/etc/passwd"),
        member("killmails/2.json", json.dumps(loss(3)).encode()),
        member("killmails/4.json", b"<html>90000001"),
        killmail(loss(5, killmail_hash="0" * 40)),
        header("killmails/6.json", 5 << 20) + bytes(5 << 20),
        killmail(loss(9, killmail_hash=hash_of(loss(9)))),
    ]
    write(importing.archives, bz2.compress(tar(*parts)))
    summary = importing.summary(importing.archives, exit_code=1)
    assert summary["refused"] == {
        "not named killmails/ID.json": 1,
        "no regular file": 1,
        "of a form that cannot be stored": 1,
        "not a killmail": 1,
        "with a hash that does not fit": 1,
        "too large": 1,
    }
    assert importing.stored() == [7, 9]
    assert importing.read_days() == [DAY]
    assert not (importing.archives.parent / "etc").exists()


def hash_of(content: dict[str, Any]) -> str:
    return expected_hash(archived.decode(json.dumps(content).encode())[0])


@pytest.mark.parametrize(
    ("content", "flaw", "kept"),
    [
        (b"", "is cut short", []),
        (b"<html>Not Found</html>", "is not bzip2", []),
        (bz2.compress(b"<html>" * 200), "is not a tar file", []),
        (bz2.compress(killmail(loss(7)) + killmail(loss(8))[:700]), "is cut short", [7]),
        (bz2.compress(tar(killmail(loss(7)), b"garbage!" * 64)), "is damaged", [7]),
        (bz2.compress(killmail(loss(7)) + END) + bz2.compress(killmail(loss(8))),
         "goes on behind its end", [7]),
    ],
)  # fmt: skip
def test_a_broken_archive_keeps_what_came_before_and_the_other_days_go_on(
    importing: Importing, content: bytes, flaw: str, kept: list[int]
) -> None:
    broken = write(importing.archives, content)
    archive(importing.archives, [loss(9)], OTHER_DAY)
    done = importing.run(importing.archives, "--quiet", exit_code=1)
    more = "; what came before that is imported" if kept else ""
    assert f"{broken}: {flaw}{more}\n" in done.stderr
    assert importing.stored() == [*kept, 9]
    assert importing.read_days() == [OTHER_DAY]
    # whole by now, it is read
    archive(importing.archives, [loss(7), loss(8)])
    importing.run(importing.archives)
    assert importing.stored() == [7, 8, 9]


def test_an_archive_cut_in_the_middle_of_its_compression_keeps_whole_blocks(
    importing: Importing,
) -> None:
    many = [loss(n, x=os.urandom(3000).hex()) for n in range(1, 400)]
    packed = bz2.compress(tar(*map(killmail, many)), 1)
    write(importing.archives, packed[: len(packed) // 2])
    assert importing.summary(importing.archives, exit_code=1)["flawed"] == 1
    assert 100 < len(importing.stored()) < 300


def test_what_cannot_be_read_is_refused_by_name_and_the_rest_is_imported(
    importing: Importing,
) -> None:
    archive(importing.archives, [loss(7)])
    locked = archive(importing.archives, [loss(8)], OTHER_DAY)
    archive(importing.archives, [loss(9)], "2016-02-03")
    closed, unsearchable = importing.archives / "lost+found", importing.archives / "listed only"
    hidden = archive(unsearchable, [loss(10)], "2016-02-04")
    closed.mkdir()
    for path, mode in ((locked, 0), (closed, 0), (hidden.parent, 0o400)):
        path.chmod(mode)
    with start(importing, importing.archives, is_bound=True) as process:
        said, warned = process.communicate(timeout=commands.TIMEOUT)
    hidden.parent.chmod(0o700)
    assert process.returncode == 1
    for path in (locked, closed, hidden):
        assert warned.count(f"{path}: cannot be read: Permission denied") == 1
    assert "2 archives read, 3 refused; 2 killmails: 2 stored" in said
    assert importing.stored() == [7, 9]


@pytest.mark.long
@pytest.mark.parametrize("below", ["", "2016"])
def test_a_directory_that_is_named_has_to_be_readable(importing: Importing, below: str) -> None:
    archive(importing.archives, [loss(7)])
    importing.archives.chmod(0)
    named = importing.archives / below
    with start(importing, named, is_bound=True) as process:
        said, warned = process.communicate(timeout=commands.TIMEOUT)
    importing.archives.chmod(0o700)
    assert process.returncode == 2
    assert (said, warned) == ("", f"killsync: {named}: cannot be read: Permission denied\n")


def test_an_archive_that_disappears_is_refused_and_the_others_are_read(
    importing: Importing,
) -> None:
    archive(importing.archives, many(6_000))
    gone = archive(importing.archives, [loss(50_000)], OTHER_DAY)
    archive(importing.archives, [loss(50_001)], "2016-02-03")
    with start(importing, importing.archives) as process:
        wait_until(importing.stored)
        gone.unlink()
        said, warned = process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == 1
    assert f"{gone}: cannot be read: No such file or directory" in warned
    assert "2 archives read, 1 refused; 6,001 killmails" in said


# the filter on bytes


ids = st.sampled_from([1, 9, 90, 900, 90_000_001, 190_000_001, 900_000_011, 2_112_000_001])
parties = st.builds(pilot, ids | st.none(), ids | st.none())
killmails = st.builds(
    lambda victim, shooters: body(7, victim, [attacker(None) | one for one in shooters]),
    parties,
    st.lists(parties, min_size=1, max_size=3),
)


@settings(suppress_health_check=list(HealthCheck))
@given(killmails, st.sets(ids, min_size=1, max_size=8), st.booleans())
def test_the_filter_on_bytes_passes_whatever_parsing_finds(
    content: dict[str, Any], ours: set[int], spaced: bool
) -> None:
    raw = json.dumps(content, separators=(" ,\n", " :\t") if spaced else (",", ":")).encode()
    raw = raw.replace(b"character_id", b"ch\\u0061racter_id") if spaced else raw
    who = [content["victim"], *content["attackers"]]
    takes_part = {one.get(key) for one in who for key in ("character_id", "corporation_id")} & ours
    assert finder(ours)(raw) or not takes_part


def test_the_filter_on_bytes_passes_little_else() -> None:
    raw = json.dumps(loss(7, victim=STRANGER)).encode()
    assert not finder({ANNA, CORPORATION})(raw)
    assert finder({ANNA, STRANGER})(raw)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(st.lists(killmails, max_size=8), st.sets(ids, min_size=1, max_size=9))
def test_the_same_is_stored_as_if_everything_were_parsed(
    tmp_path_factory: pytest.TempPathFactory, contents: list[dict[str, Any]], ours: set[int]
) -> None:
    directory = tmp_path_factory.mktemp("import")
    numbered = [content | {"killmail_id": n} for n, content in enumerate(contents, 1)]
    with database(directory / "killsync.db", {i: f"User {i}" for i in ours}) as store:
        importing = Importing(directory, store)
        archive(importing.archives, numbered)
        importing.run(importing.archives)
        expected = [c["killmail_id"] for c in numbered if _who(c) & ours]
        assert importing.stored() == expected


def _who(content: dict[str, Any]) -> set[int]:
    found = [content["victim"], *content["attackers"]]
    return {one[key] for one in found for key in ("character_id", "corporation_id") if key in one}


# signals, and kills


def many(count: int, above: int = 0) -> list[dict[str, Any]]:
    """Return killmails with ids above a number, each second one of Anna's."""
    return [loss(above + n, victim=ANNA if n % 2 else STRANGER) for n in range(1, count + 1)]


def start(
    importing: Importing, *arguments: str | Path, is_bound: bool = False
) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "killsync", "import", "everef", *map(str, arguments)]
    return subprocess.Popen(
        bound(words) if is_bound else words,
        env=importing.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_good_order_and_the_next_call_goes_on(
    importing: Importing, number: int, code: int
) -> None:
    archive(importing.archives, [loss(50_000)], "2016-01-31")
    archive(importing.archives, many(6_000))
    with start(importing, importing.archives) as process:
        wait_until(lambda: len(importing.stored()) > 1)
        process.send_signal(number)
        said, _ = process.communicate(timeout=commands.TIMEOUT)
    assert process.returncode == code
    assert f"stopped by {signal.Signals(number).name}: 1 archive read" in said
    assert "the next call goes on with the day it was in" in said
    assert importing.read_days() == ["2016-01-31"]
    kept = len(importing.stored())
    assert kept < 3_001
    summary = importing.summary(importing.archives)
    assert (summary["unchanged"], summary["known"]) == (1, kept - 1)
    assert len(importing.stored()) == 3_001


@pytest.mark.parametrize(
    "content",
    [
        tar(*[member("other", b"")] * 300, killmail(loss(7))),
        tar(member("other", bytes(20 << 20)), killmail(loss(7))),
    ],
    ids=["many that are refused", "a large one that is refused"],
)
def test_a_signal_is_looked_for_while_nothing_is_taken(
    importing: Importing, content: bytes
) -> None:
    write(importing.archives, bz2.compress(content))
    found = files.find([importing.archives], datetime.now(UTC).date())
    intake = Intake(importing.store, Origin.EVEREF, everything=False, now=lambda: 1_800_000_000)
    asked = count()
    reading = EveRef(
        importing.store, intake, lambda event: None, lambda: next(asked) > 20, everything=False
    )
    reading.read_files(reading.files(found.archives, full=False))
    assert next(asked) < 30
    assert importing.stored() == []
    assert importing.read_days() == []


@pytest.mark.long
def test_killed_at_any_moment_and_called_again_it_ends_as_if_undisturbed(
    importing: Importing, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for number in range(3):
        day = f"2016-02-0{number + 1}"
        archive(importing.archives, many(2_000, above=5_000 * number), day)
    directory = tmp_path_factory.mktemp("undisturbed")
    with database(directory / "killsync.db", {ANNA: "Anna", CORPORATION: "Wolves"}) as store:
        undisturbed = Importing(directory, store)
        undisturbed.run(importing.archives)
        expected = whole(store)
    kills = 0
    for seen in (1, 900, 1_700, 2_500):
        with start(importing, importing.archives) as process:
            wait_until(lambda: len(importing.stored()) >= seen or process.poll() is not None)  # noqa: B023
            kills += process.poll() is None
            children_of = children(process.pid) if process.poll() is None else []
            process.kill()
            process.communicate()
        for child in children_of:
            wait_until(lambda: not is_alive(child))  # noqa: B023
    assert kills > 1
    importing.run(importing.archives)
    assert whole(importing.store) == expected
    assert importing.run(importing.archives).stdout.count("0 archives read, 3 read before") == 1


def whole(store: Store) -> dict[str, Sequence[Any]]:
    """Return all that a database holds, but for when and in which order it was stored."""
    names = [name for (name,) in rows(store, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, Sequence[Any]] = {}
    for name in sorted(names):
        columns = [c[1] for c in rows(store, f"PRAGMA table_info({name})")]
        kept = [
            f'"{c}"' for c in columns if c not in ("stored_at", "stored_seq", "read_at", "added_at")
        ]
        found[name] = sorted(rows(store, f"SELECT {', '.join(kept)} FROM {name}"), key=repr)
    return found


def test_a_terminal_shows_a_bar_and_keeps_the_lines(importing: Importing) -> None:
    archive(importing.archives, many(3_000))
    program: Any = importing
    said = Terminal(program, "import", "everef", str(importing.archives)).to_end()
    assert "3,000 killmails: 1,500 stored" in said
    assert "a second" in said


def test_reading_files_loads_nothing_that_sends_requests(importing: Importing) -> None:
    path = archive(importing.archives, [loss(7)])
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "killsync", "import", "everef", str(path)],
        env=importing.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "killsync.archive.everef" in loaded
    assert not loaded & {"requests", "urllib3", "rich"}
    assert importing.stored() == [7]
