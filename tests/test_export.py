"""`killsync export` gives back ESI's JSON or csv, of what was asked for, and no more."""

import csv
import itertools
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess
from world import TIMEOUT, Killsync, simulator, wait_for_exit

Make = Callable[..., Killsync]

# every optional field absent, null or empty somewhere, items within items, fields of tomorrow
ODD = {
    "killmail_time": "2026-10-02T03:04:05Z",
    "solar_system_id": 30000142,
    "moon_id": 40009087,
    "new_field": {"nested": [1, 2.5, None, "é"]},
    "victim": {
        "damage_taken": 12345,
        "ship_type_id": 33328,
        "position": {"x": 1, "y": -2.5, "z": 1e13},
        "items": [
            {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 7, "later": "on"},
            {
                "item_type_id": 3465,
                "flag": 5,
                "singleton": 0,
                "items": [{"item_type_id": 35, "flag": 0, "singleton": 0}],
            },
            {"item_type_id": 3466, "flag": 5, "singleton": 1, "items": []},
        ],
    },
    "attackers": [
        {"damage_done": 0, "final_blow": False, "security_status": -10},
        {"damage_done": 9, "final_blow": True, "security_status": 0.5, "rank": None},
    ],
}


def scanned(killsync: Make, **options: Any) -> Killsync:
    program = killsync(**({"characters": 1} | options))
    program.run("scan")
    return program


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A synced database that is not changed."""
    with simulator(characters=2, killmails=12, shared=0.5) as esi:
        program = InProcess(tmp_path_factory.mktemp("template"), esi)
        program.add_users()
        program.run("scan")
        yield program


@pytest.fixture
def synced(template: InProcess, tmp_path: Path) -> InProcess:
    """A synced database of the test's own."""
    return template.copy_to(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty directory to export to."""
    created = tmp_path / "exports"
    created.mkdir()
    return created


def truth(program: Killsync) -> dict[int, Any]:
    return {int(key): body for key, body in program.simulator.truth()["bodies"].items()}


def ids(killmails: list[Any]) -> list[int]:
    return [killmail["killmail_id"] for killmail in killmails]


def unix(killmail: dict[str, Any]) -> float:
    when: str = killmail["killmail_time"]
    return datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def halves(program: Killsync) -> tuple[float, set[int]]:
    """Return a moment between two killmails, and the ids of those that came after it."""
    killmails = sorted(truth(program).values(), key=unix)
    middle = len(killmails) // 2
    between = (unix(killmails[middle - 1]) + unix(killmails[middle])) / 2
    return between, set(ids(killmails[middle:]))


def test_every_killmail_equals_esis_json_field_for_field(template: InProcess) -> None:
    lines = template.run_forked("export").stdout.splitlines()
    exported = [json.loads(line) for line in lines]
    assert {killmail["killmail_id"]: killmail for killmail in exported} == truth(template)
    assert len(exported) == len(truth(template))


def test_absent_null_empty_and_unknown_fields_come_back(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    body = ODD | {"killmail_id": 125_000_001}
    program.simulator.add_killmails(
        program.simulator.logins[0]["character_id"],
        1,
        killmail_id=125_000_001,
        body_text=json.dumps(body),
    )
    program.run("scan")
    assert program.export() == [body]


def test_the_oldest_killmail_comes_first(template: InProcess) -> None:
    times = [unix(killmail) for killmail in template.export()]
    assert len(times) > 12
    assert times == sorted(times)


def test_the_list_of_one_user(template: InProcess) -> None:
    login = template.simulator.logins[1]
    listed = set(template.simulator.listed(login["character_id"]))
    assert listed < set(truth(template))
    assert set(ids(template.export("--user", login["name"].lower()))) == listed
    assert set(ids(template.export("--user", str(login["character_id"])))) == listed


def test_an_unknown_user_exits_2_and_the_nearest_is_named(
    template: InProcess, folder: Path
) -> None:
    output, name = folder / "out.jsonl", template.simulator.logins[0]["name"]
    done = template.run("export", "--user", name[1:], "-o", str(output), exit_code=2)
    assert done.stdout == ""
    assert name in done.stderr
    assert not output.exists()


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00"])
def test_since_a_time(template: InProcess, form: str) -> None:
    between, later = halves(template)
    moment = datetime.fromtimestamp(between, UTC).strftime(form)
    assert set(ids(template.export("--since", moment))) == later


def test_since_a_date(template: InProcess) -> None:
    midnight = datetime.fromtimestamp(halves(template)[0], UTC).strftime("%Y-%m-%d")
    bodies = truth(template).values()
    later = {body["killmail_id"] for body in bodies if body["killmail_time"] >= midnight}
    assert 0 < len(later) < len(bodies)
    assert set(ids(template.export("--since", midnight))) == later


@pytest.mark.parametrize(("unit", "size"), [("s", 1), ("m", 60), ("h", 3600)])
def test_since_a_duration(template: InProcess, unit: str, size: int) -> None:
    between, later = halves(template)
    ago = f"{round((time.time() - between) / size)}{unit}"
    assert set(ids(template.export("--since", ago))) == later


def test_since_the_list_of_one_user(template: InProcess) -> None:
    user_id = template.simulator.logins[1]["character_id"]
    between, later = halves(template)
    moment = datetime.fromtimestamp(between, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    expected = later & set(template.simulator.listed(user_id))
    assert expected
    assert set(ids(template.export("--user", str(user_id), "--since", moment))) == expected


def test_since_the_very_second_includes_it(template: InProcess) -> None:
    newest = template.export()[-1]
    assert template.export("--since", newest["killmail_time"]) == [newest]


@pytest.mark.parametrize("since", ["soon", "7", "7y", "-7d", "2026-13-01", ""])
def test_a_wrong_since_exits_2_and_is_explained(
    template: InProcess, folder: Path, since: str
) -> None:
    output = folder / "out.jsonl"
    done = template.run("export", f"--since={since}", "-o", str(output), exit_code=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "--since" in done.stderr
    assert repr(since) in done.stderr
    assert not output.exists()


def test_a_file_holds_what_standard_output_would(template: InProcess, folder: Path) -> None:
    done = template.run_forked("export", "-o", str(folder / "out.jsonl"))
    assert done.stdout == ""
    assert (folder / "out.jsonl").read_text() == template.run("export").stdout
    assert list(folder.iterdir()) == [folder / "out.jsonl"]


def test_an_existing_file_is_replaced_as_a_whole(template: InProcess, folder: Path) -> None:
    output = folder / "out.jsonl"
    output.write_text("what was there before")
    with output.open() as reader:
        template.run("export", "-o", str(output))
        assert reader.read() == "what was there before"
    assert output.read_text() == template.run("export").stdout


def test_a_failed_export_leaves_the_existing_file_as_it_was(
    template: InProcess, folder: Path
) -> None:
    output = folder / "out.jsonl"
    output.write_text("what was there before")
    assert len(template.run("export").stdout) > 10_000
    done = subprocess.run(
        [sys.executable, "-m", "killsync", "export", "-o", str(output)],
        capture_output=True,
        text=True,
        env=template.environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert output.read_text() == "what was there before"
    assert list(folder.iterdir()) == [output]


def test_a_file_in_a_missing_directory_exits_2(template: InProcess, tmp_path: Path) -> None:
    done = template.run("export", "-o", str(tmp_path / "no" / "out.jsonl"), exit_code=2)
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "no") in done.stderr


def test_a_fifo_is_written_to_and_not_replaced(template: InProcess, tmp_path: Path) -> None:
    # as /dev/stdout and /dev/null are, which root could replace too
    newest = template.export()[-1]["killmail_time"]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        template.run_forked("export", "--since", newest, "-o", str(fifo))
        assert stat.S_ISFIFO(fifo.stat().st_mode)
        expected = template.run("export", "--since", newest).stdout
        assert os.read(reader, 65536).decode() == expected
    finally:
        os.close(reader)


def test_a_reader_that_leaves_early_causes_no_traceback(killsync: Make) -> None:
    program = scanned(killsync, killmails=200)
    assert len(program.run("export").stdout) > 2 * 65536  # more than a pipe holds
    with program.start("export") as export:
        assert export.stdout is not None
        assert export.stderr is not None
        json.loads(export.stdout.readline())
        export.stdout.close()
        assert export.stderr.read() == ""
        export.wait(TIMEOUT)


@pytest.mark.long
def test_killmails_are_read_as_fast_as_the_reader_takes_them(killsync: Make) -> None:
    # a batch is 500
    program = scanned(killsync, killmails=620)
    with program.start("export") as export:
        assert export.stdout is not None
        first = json.loads(export.stdout.readline())
        program.execute("DELETE FROM killmails")
        rest = [json.loads(line) for line in export.stdout]
        assert export.wait(TIMEOUT) == 0
    assert first["killmail_id"] not in ids(rest)
    assert 0 < len(rest) < 600


@pytest.mark.parametrize("file", ["", ".tokens", ".lock"])
def test_an_export_never_replaces_a_file_of_the_database(synced: InProcess, file: str) -> None:
    target = synced.database.with_name(synced.database.name + file)
    link = synced.directory / "link"
    link.symlink_to(target)
    before = target.read_bytes()
    for output in (target, link):
        done = synced.run("export", "-o", str(output), exit_code=2)
        assert "belongs to the database" in done.stderr
    assert target.read_bytes() == before


@pytest.mark.long
def test_while_a_scan_is_on_whole_killmails_are_exported(killsync: Make) -> None:
    program = killsync(characters=1, killmails=30, latency_body=3)
    with program.start("scan") as scan:
        while not program.database.exists() or not program.rows("SELECT 1 FROM killmails"):
            assert scan.poll() is None
            time.sleep(0.05)
        exported = program.export()
        assert scan.poll() is None
        assert wait_for_exit(scan, signal.SIGTERM) == 143
    assert 0 < len(exported) < 30
    bodies = truth(program)
    assert [bodies[killmail["killmail_id"]] for killmail in exported] == exported


def test_an_export_of_an_empty_database_is_empty(killsync: Make, tmp_path: Path) -> None:
    program = killsync(characters=1, killmails=0)
    for choice in ((), ("--since", "7d"), ("--user", "90000001")):
        assert program.run("export", *choice).stdout == ""
    program.run("export", "-o", str(tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_without_a_database_export_exits_2_and_creates_no_file(
    template: InProcess, tmp_path: Path
) -> None:
    program = InProcess(tmp_path, template.simulator)
    done = program.run_forked("export", "-o", str(tmp_path / "out.jsonl"), exit_code=2)
    assert str(program.database) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_sends_no_request(template: InProcess) -> None:
    template.simulator.clear_log()
    template.run("export")
    assert template.simulator.log() == []


# What is asked for


def sides(body: dict[str, Any], ours: set[int]) -> set[str]:
    """Return which sides some characters are on, by the body of a killmail."""
    shot = {attacker.get("character_id") for attacker in body["attackers"]}
    victim = body["victim"].get("character_id")
    return {"loss"} if victim in ours else {"kill"} if shot & ours else set()


def test_filters_together_give_what_all_of_them_allow(template: InProcess) -> None:
    bodies = truth(template)
    days = sorted({body["killmail_time"][:10] for body in bodies.values()})
    first, last = days[len(days) // 3], days[2 * len(days) // 3]
    everybody = {login["character_id"] for login in template.simulator.logins}
    one = min(everybody)
    listed = {None: set(bodies), one: set(template.simulator.listed(one))}
    different = set()
    for user, side, since, until in itertools.product(
        (None, one), (None, "kill", "loss"), (None, first), (None, last)
    ):
        ours = everybody if user is None else {user}
        expected = {
            killmail_id
            for killmail_id, body in bodies.items()
            if (since or "") <= body["killmail_time"][:10] <= (until or "9")
            and (
                side in sides(body, ours)
                if side
                else killmail_id in listed[user] or sides(body, ours)
            )
        }
        words = [
            *([f"--user={user}"] if user else []),
            *({"kill": ["--kills"], "loss": ["--losses"]}[side] if side else []),
            *([f"--since={since}"] if since else []),
            *([f"--until={until}"] if until else []),
        ]
        assert set(ids(template.export(*words))) == expected, words
        different.add(frozenset(expected))
    assert len(different) > 12


def test_kills_of_all_users_together_are_no_losses_of_any(template: InProcess) -> None:
    kills, losses = ids(template.export("--kills")), ids(template.export("--losses"))
    assert kills
    assert losses
    assert sorted(kills + losses) == sorted(truth(template))


def test_a_user_who_is_on_a_killmail_that_no_list_of_theirs_shows(synced: InProcess) -> None:
    user = synced.simulator.logins[0]["character_id"]
    (shot, *_) = synced.rows(
        "SELECT killmail_id FROM user_killmails WHERE user_id = ? AND role = 'victim'", user
    )
    synced.execute("UPDATE user_killmails SET listed = 0 WHERE killmail_id = ?", *shot)
    assert shot[0] in ids(synced.export("--user", str(user)))


def test_after_seq_gives_what_was_stored_later_in_that_order(
    synced: InProcess, folder: Path
) -> None:
    # as a first sync stores them: the newest first
    synced.execute("UPDATE killmails SET stored_seq = 1000 - stored_seq")
    newest_first = ids(synced.export())[::-1]
    first = 1000 - len(newest_first)
    assert ids(synced.export("--after-seq", "0")) == newest_first
    assert ids(synced.export("--after-seq", str(first + 4))) == newest_first[5:]
    assert synced.export("--after-seq", "999") == synced.export("--after-seq", "9" * 30) == []
    to_csv(synced, folder, "--after-seq", str(first + 4))
    assert [int(row[0]) for row in table(folder, "killmails")[1:]] == newest_first[5:]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_what_matches_nothing_is_said(template: InProcess, folder: Path, form: str) -> None:
    words = ("export", "--format", form, "--until=2003-05-06", "-o", str(folder / "out"))
    done = template.run(*words)
    assert done.stderr.splitlines() == ["killsync: no killmails match --until 2003-05-06T23:59:59Z"]
    assert template.run(*words, "--quiet").stderr == ""


def test_nothing_new_after_a_stored_seq_is_not_worth_a_word(template: InProcess) -> None:
    assert template.run("export", "--losses", "--after-seq", "999").stderr == ""


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["--kills", "--losses"], "--kills and --losses"),
        (["--since=2026-03-02", "--until=2026-03-01"], "--until"),
        (["--until=soon"], "--until"),
        (["--after-seq=-1"], "--after-seq"),
        (["--format=parquet"], "--format"),
        (["--format=csv"], "-o"),
        (["--format=csv", "-o", "-"], "-o"),
    ],
)
def test_options_that_make_no_sense_exit_2(
    template: InProcess, words: list[str], about: str
) -> None:
    done = template.run("export", *words, exit_code=2)
    assert done.stdout == ""
    assert about in done.stderr


# Hashes


def hashes(program: Killsync) -> dict[int, str]:
    return dict(program.rows("SELECT killmail_id, killmail_hash FROM killmails"))


def test_with_hash_each_object_has_its_hash_and_is_else_the_same(template: InProcess) -> None:
    exported = {body["killmail_id"]: body for body in template.export("--with-hash")}
    assert {key: body.pop("killmail_hash") for key, body in exported.items()} == hashes(template)
    assert exported == truth(template)


def test_without_being_asked_for_no_hash_leaves(template: InProcess, folder: Path) -> None:
    template.run("export", "-o", str(folder / "out.jsonl"))
    template.run("export", "--format=csv", "-o", str(folder))
    files = sorted(folder.iterdir())
    assert len(files) == 4
    for file in files:
        assert not re.search(r"[0-9a-fA-F]{40}", file.read_text()), file
        assert "killmail_hash" not in file.read_text()


# csv

NAMES = ["attackers.csv", "items.csv", "killmails.csv"]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def to_csv(program: InProcess, folder: Path, *words: str, exit_code: int = 0) -> str:
    """Export csv into a folder; return what was said to standard error."""
    done = program.run("export", "--format=csv", "-o", str(folder), *words, exit_code=exit_code)
    assert done.stdout == ""
    return done.stderr


def table(folder: Path, name: str) -> list[list[str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("hash_too", [False, True])
def test_csv_is_the_tables_of_the_database(synced: InProcess, folder: Path, hash_too: bool) -> None:
    awkward = '{"=1+1": "a, \\"b\\"",\r\n "é": null}'
    for name in ("killmails", "attackers", "items"):
        some = f"SELECT max(killmail_id) FROM {name}"
        synced.execute(f"UPDATE {name} SET extra = ? WHERE killmail_id = ({some})", awkward)
    assert to_csv(synced, folder, *(["--with-hash"] if hash_too else [])) == ""
    assert names(folder) == NAMES
    for name, ordinal in (("killmails", ""), ("attackers", ", ordinal"), ("items", ", ordinal")):
        columns = [row[1] for row in synced.rows(f"PRAGMA table_info({name})")]
        columns = [column for column in columns if hash_too or column != "killmail_hash"]
        chosen = ", ".join(f't."{column}"' for column in columns)
        stored = synced.rows(
            f"SELECT {chosen} FROM {name} AS t JOIN killmails AS k USING (killmail_id) "
            f"ORDER BY k.killmail_time, t.killmail_id{ordinal}"
        )
        assert len(stored) > 12
        header, *rows = table(folder, name)
        assert header == columns
        assert rows == [["" if v is None else str(v) for v in row] for row in stored]
        assert any(row[header.index("extra")] == awkward for row in rows)


def test_csv_holds_the_killmails_that_were_asked_for_and_nothing_of_others(
    template: InProcess, folder: Path
) -> None:
    words = ("--losses", "--user", str(template.simulator.logins[0]["character_id"]))
    expected = ids(template.export(*words))
    to_csv(template, folder, *words)
    assert [int(row[0]) for row in table(folder, "killmails")[1:]] == expected
    for name in ("attackers", "items"):
        found = list(dict.fromkeys(int(row[0]) for row in table(folder, name)[1:]))
        assert found == [killmail_id for killmail_id in expected if killmail_id in found]


def test_csv_of_an_empty_selection_has_headers_only(template: InProcess, folder: Path) -> None:
    to_csv(template, folder / "in" / "here", "--until=2003-05-06")
    assert [len(table(folder / "in" / "here", name[:-4])) for name in NAMES] == [1, 1, 1]


def test_csv_takes_the_place_of_an_earlier_export(template: InProcess, folder: Path) -> None:
    to_csv(template, folder, "--with-hash")
    to_csv(template, folder, "--until=2003-05-06")
    assert [len(table(folder, name[:-4])) for name in NAMES] == [1, 1, 1]
    (folder / "notes.csv").write_text("mine")
    to_csv(template, folder, "--with-hash")
    assert len(table(folder, "killmails")) == len(truth(template)) + 1
    assert names(folder) == sorted([*NAMES, "notes.csv"])


def test_csv_takes_the_place_of_an_export_that_knew_fewer_columns(
    synced: InProcess, folder: Path
) -> None:
    to_csv(synced, folder)
    synced.execute("ALTER TABLE killmails ADD COLUMN tomorrow TEXT")
    to_csv(synced, folder)
    assert table(folder, "killmails")[0][-1] == "tomorrow"


@pytest.mark.parametrize(
    "content",
    ["", "killmail_id,name\n1,mine\n", "\0\xff" * 9_000, "killmail_id"],
    ids=["empty", "columns", "bytes", "cut"],
)
def test_a_file_that_no_export_has_written_is_not_replaced(
    template: InProcess, folder: Path, content: str
) -> None:
    (folder / "items.csv").write_text(content)
    said = to_csv(template, folder, exit_code=2)
    assert len(said.splitlines()) == 1
    assert str(folder / "items.csv") in said
    assert (folder / "items.csv").read_text() == content
    assert names(folder) == ["items.csv"]


@pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
def test_what_is_no_file_is_not_replaced(template: InProcess, folder: Path, kind: str) -> None:
    path = folder / "killmails.csv"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(template.database)
    assert str(path) in to_csv(template, folder, exit_code=2)
    assert names(folder) == ["killmails.csv"]


def test_csv_into_a_directory_without_a_name_exits_2(
    template: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = template.run("export", "--format", "csv", "-o", "", exit_code=2)
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])
    assert "--output" in done.stderr


def test_csv_into_a_file_exits_2(template: InProcess, folder: Path) -> None:
    (folder / "out").write_text("precious")
    assert "is not a directory" in to_csv(template, folder / "out", exit_code=2)
    assert (folder / "out").read_text() == "precious"


@pytest.mark.long
def test_csv_that_is_broken_off_leaves_every_file_as_it_was(
    synced: InProcess, folder: Path
) -> None:
    to_csv(synced, folder, "--until=2003-05-06")
    # the killmails fit, the items do not
    synced.execute("UPDATE items SET extra = ? WHERE ordinal = 0", f'"{"x" * 100_000}"')
    before = [(folder / name).read_bytes() for name in NAMES]
    done = subprocess.run(
        [sys.executable, "-m", "killsync", "export", "--format=csv", "-o", str(folder)],
        capture_output=True,
        text=True,
        env=synced.environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(folder) in done.stderr
    assert [(folder / name).read_bytes() for name in NAMES] == before
    assert names(folder) == NAMES
