"""What Tab completes in bash, zsh and fish: in one process, and in bash itself."""

import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import typer.main
from every_command import COMMANDS, command_at
from here import run_here
from new_store import new_store

from killsync.cli import shell_scripts
from killsync.cli.app import GROUPS, app
from killsync.cli.completion import complete
from killsync.cli.parameters import parameters
from killsync.cli.typed_words import Word, replacements, split
from killsync.model import UserKind
from killsync.store import connection, game_data, users

# the ids are 90000001 and so on
NAMES = [
    "Maru Sakaala",
    "Maru O'Neil",
    "Caelia Yulai",
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "Quote\"d 'Name' \\",
    "*",
    "~root",
    "Bang! Bang",
    "Ünal Öz",
]
# what no shell may see as it is, and what two are called
BY_ID = ["new\nkillsync demo", "red\x1b[31m", "hidden\u202e", "-dash", "Twin", "twin"]
PROGRAM = Path(sys.executable).with_name("killsync")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("made") / "killsync.db"
    with closing(new_store(file)) as store:
        game_data.load_if_outdated(store)
        with store.transaction() as conn:
            for n, name in enumerate(NAMES + BY_ID, start=90000001):
                users.add(conn, n, name, 0)
            users.add(conn, 98000001, "Black Comet", 0, UserKind.CORPORATION)
    return file


@pytest.fixture
def database(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A database that must be left as it is, alone in its directory."""
    file = tmp_path / "own" / "killsync.db"
    file.parent.mkdir()
    shutil.copy2(made, file)
    before = file.read_bytes()
    yield file
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == before


def completed(line: str, database: Path | None = None, **environment: str) -> list[str]:
    """Return what completes the last word of a line."""
    if database is not None:
        environment["KILLSYNC_DB"] = str(database)
    *words, typed = [word.value for word in split(line)]
    _, _, found = complete(typer.main.get_command(app), words, typed, environment)
    return [value for value, _ in found]


# ---- what is wanted where


def test_commands_are_completed_with_what_they_do() -> None:
    assert completed("stat") == ["status", "stats"]
    assert completed("") == [name for group in GROUPS.values() for name in group]
    assert completed("users re") == ["remove", "rekey"]
    assert completed("import z") == ["zkb"]
    assert completed("nothing", None) == []


def test_options_are_completed_also_those_that_stand_anywhere() -> None:
    assert completed("kills --so") == ["--solo"]
    assert completed("sync --d") == ["--db"]
    assert completed("users remove --pu") == ["--purge"]
    assert completed("export -- --us") == []


def test_choices_are_completed() -> None:
    assert completed("stats --by s") == ["ship", "system"]
    assert completed("stats --sort=i") == ["isk"]
    assert completed("scan --log-format ") == ["text", "json"]


@pytest.mark.parametrize("line", ["import json ", "--db ", "scan --config=", "export -o "])
def test_files_are_left_to_the_shell(line: str) -> None:
    *words, typed = [word.value for word in split(line)]
    kind, _, found = complete(typer.main.get_command(app), words, typed, {})
    assert (kind, found) == ("files", [])


def naming() -> Iterator[str]:
    """Yield a line for every place of every command where a user may be named."""
    for path in COMMANDS:
        for one in parameters(command_at(path)):
            if one.value == "USER":
                yield " ".join([*path, *(one.names[-1:]), "maru"])


def test_a_user_is_completed_wherever_one_may_be_named(database: Path) -> None:
    lines = list(naming())
    assert {"sync maru", "status --user maru", "users remove maru", "import zkb maru"} <= {*lines}
    assert {"kills --user maru", "retry --user maru", "export --user maru"} <= {*lines}
    for line in lines:
        assert completed(line, database) == ["Maru O'Neil", "Maru Sakaala"]
        assert completed(f"{line} s", database) in ([], ["Maru Sakaala"])


def test_a_user_is_completed_in_any_case_also_by_id_and_a_second_one(database: Path) -> None:
    assert completed("sync CAE", database) == ["Caelia Yulai"]
    assert completed("sync ünal", database) == ["Ünal Öz"]
    assert completed("sync black", database) == ["Black Comet"]
    assert completed("sync 9800", database) == ["98000001"]
    assert completed("sync Maru --full cae", database) == ["Caelia Yulai"]


def test_a_name_that_cannot_be_typed_is_completed_as_its_id(database: Path) -> None:
    found = completed("sync ", database)
    assert sorted(found) == sorted(
        [*NAMES, "Black Comet", *(str(90000001 + len(NAMES) + n) for n in range(len(BY_ID)))]
    )


def test_ships_systems_and_regions_are_completed(database: Path) -> None:
    assert completed("kills --ship rifter", database)[0] == "Rifter"
    assert "Frigate" in completed("kills --ship Frig", database)
    assert completed("kills --system jita", database) == ["Jita"]
    assert completed("kills --region 'the for", database) == ["The Forge"]
    assert completed("kills --with Ma", database) == []
    assert completed("kills --with maru", database) == ["Maru O'Neil", "Maru Sakaala"]


def test_the_database_is_the_one_that_the_line_names(database: Path, tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f'db = "{database}"\nwrong = 1\n')
    for line in (
        f"--db {database} sync cae",
        f"sync --db={database} cae",
        "sync --db $KILLSYNC_TEST cae",
        f"sync --config {config} cae",
    ):
        arguments = [word.value for word in split(f"killsync {line}")]
        done = run_here(
            *arguments,
            environment={"_KILLSYNC_COMPLETE": "zsh", "KILLSYNC_TEST": str(database)},
        )
        assert (done.stdout, done.stderr) == ("words\nCaelia Yulai\t90000003\n", ""), line


def test_fish_shows_an_assignment_before_the_program(database: Path) -> None:
    words = (f"KILLSYNC_DB={database}", "killsync", "sync", "'cae")
    done = run_here(*words, environment={"_KILLSYNC_COMPLETE": "fish"})
    assert done.stdout == "words\nCaelia Yulai\t90000003\n"


def test_channels_are_completed(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text('[[tell]]\nname = "corporation"\ncommand = ["true"]\n')
    found = completed(f"tell --config {config} --test cor")
    assert found == ["corporation"]


# ---- what it must never do


def test_a_database_in_use_is_read_beside_it(made: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy2(made, tmp_path))
    with closing(connection.connect(file)) as store, store.transaction() as conn:
        users.add(conn, 90001000, "Unseen", 0)
        assert completed("sync cae", file) == ["Caelia Yulai"]
        assert completed("sync uns", file) == []
    assert completed("sync uns", file) == ["Unseen"]


@pytest.mark.parametrize("content", [None, b"", b"Dear diary,\n" * 200, "other", "newer"])
def test_without_a_usable_database_nothing_is_completed_and_nothing_said(
    tmp_path: Path, content: bytes | str | None
) -> None:
    file = tmp_path / "own" / "killsync.db"
    file.parent.mkdir()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        with closing(sqlite3.connect(file)) as conn, conn:
            conn.execute(f"CREATE TABLE {'users' if content == 'other' else 'x'} (name)")
            conn.execute(f"PRAGMA user_version = {99 if content == 'newer' else 0}")
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    for words in (("killsync sync m", "m"), ("killsync users re", "re"), ("killsync x y", "y")):
        done = run_here(
            *words, environment={"_KILLSYNC_COMPLETE": "bash", "KILLSYNC_DB": str(file)}
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[1:] in ([], ["remove", "rekey"])
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


@pytest.mark.parametrize("asked", ["complete_bash", "complete_zsh", "is-args_fish", "tcsh"])
def test_the_script_of_an_earlier_version_gets_nothing(asked: str) -> None:
    done = run_here(environment={"_KILLSYNC_COMPLETE": asked, "COMP_WORDS": "killsync sta"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- bash, which types what it gets as it is


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("killsync sync ", [Word("killsync", "killsync"), Word("sync", "sync"), Word()]),
        ("a 'b c", [Word("a", "a"), Word("b c", "'b c", "'")]),
        ('"b\\"c', [Word('b"c', '"b\\"c', '"')]),
        ("a\\ b'c'\"d\"", [Word("a bcd", "a\\ b'c'\"d\"")]),
        ("maru\\", [Word("maru", "maru")]),
        ("--user=$x", [Word("--user=$x", "--user=$x")]),
    ],
)
def test_a_line_is_split_as_bash_does(line: str, words: list[Word]) -> None:
    assert split(line) == words


def test_what_bash_types_is_the_name_in_every_quote_and_does_nothing(tmp_path: Path) -> None:
    typed: list[tuple[str, str]] = []
    for name in NAMES:
        for before in ("", "'", '"'):
            [first] = replacements(split(before)[-1], "", "", [name]) or [""]
            typed += [(name, f"{before}{first}{before}")] if first else []
            # then only a part of it, which bash has typed of several
            for size in range(1, len(first)):
                word = split(f"{before}{first[:size]}")[-1]
                kept = word.raw
                if word.quote != before or not name.startswith(word.value):
                    continue
                for more in replacements(word, "", "", [name, name])[:1]:
                    typed.append((name, f"{kept}{more}{before}"))
    script = "".join(f"printf '%s\\0' {word}\n" for _, word in typed)
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.split("\0")[:-1] == [name for name, _ in typed]
    assert {name for name, _ in typed} == {*NAMES}
    assert list(tmp_path.iterdir()) == []


ASK = """
source {script}
COMP_LINE={line}; COMP_POINT=${{#COMP_LINE}}
_killsync_completion {program} {replaced} sync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def test_bash_gets_hostile_names_quoted(database: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(shell_scripts.script("bash"))
    line = ASK.format(
        script=script, line=shlex.quote("killsync sync "), program=PROGRAM, replaced="''"
    )
    directory = tmp_path / "empty"
    directory.mkdir()
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "KILLSYNC_DB": str(database)},
        check=True,
    )
    assert done.stderr == ""
    found = done.stdout.splitlines()
    assert len(found) == len(NAMES) + len(BY_ID) + 1
    assert {r"\$\(touch\ pwned\)", r"Maru\ O\'Neil", r"\*", r"\~root"} <= {*found}
    assert list(directory.iterdir()) == []


# ---- installing


def test_installing_twice_writes_one_script_and_one_line(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    twice = f"{PROGRAM} --install-completion; {PROGRAM} --install-completion; :"
    done = subprocess.run(
        ["bash", "-c", twice], capture_output=True, text=True, env=environment, check=True
    )
    file = tmp_path / ".bash_completions" / "killsync.sh"
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "")
    assert str(file) in done.stdout
    assert file.read_text() == shell_scripts.script("bash")
    assert (tmp_path / ".bashrc").read_text() == f"alias ll='ls -l'\nsource {file}\n"


@pytest.mark.parametrize("shell", shell_scripts.SHELLS)
def test_the_script_is_one_that_the_shell_understands(shell: str, tmp_path: Path) -> None:
    done = run_here(environment={"_KILLSYNC_COMPLETE": f"source_{shell}"})
    assert done.stdout == shell_scripts.script(shell)
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    file = tmp_path / "script"
    file.write_text(done.stdout)
    subprocess.run([program, "-n", file], check=True, capture_output=True)
