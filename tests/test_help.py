"""What each `--help` says: all that is there, in plain words, at any width, and true."""

import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from every_command import COMMANDS, WORDS, command_at
from here import run_here
from in_process import InProcess
from terminal import at_terminal
from world import Killsync

from killsync.cli import help_drawing, help_pages
from killsync.cli.app import GROUPS
from killsync.cli.options import hoisted
from killsync.cli.parameters import parameters

Make = Callable[..., Killsync]

HELP_TEXTS = {
    " ".join(path): help_pages.help_text(command_at(path), " ".join(path)) for path in COMMANDS
}

EVERY = pytest.mark.parametrize("path", COMMANDS, ids=WORDS)
# as an argument's or option's value a Python type would be shown, or typer's name for it
TYPES = re.compile(r"<|\blist\[|\b(TEXT|INTEGER|FLOAT|BOOLEAN|FILENAME|DIRECTORY)\b|x>=")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
KNOWN_CODES = ["0", "1", "2", "75", "130", "143"]


def shown(path: tuple[str, ...], columns: int = 80) -> str:
    done = run_here(*path, "--help", environment={"COLUMNS": str(columns)})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def lines_of(path: tuple[str, ...], width: int) -> list[help_pages.Line]:
    command = command_at(path)
    return help_pages.page(command, " ".join(("killsync", *path)), {}, width)


def test_every_command_has_examples_and_exit_codes_and_no_other_has() -> None:
    assert sorted(HELP_TEXTS) == sorted(" ".join(path) for path in COMMANDS)
    assert [name for name, text in HELP_TEXTS.items() if not text.examples] == []
    assert [name for name, text in HELP_TEXTS.items() if "0" not in text.exit_codes] == []


@pytest.mark.parametrize("text", HELP_TEXTS.values(), ids=HELP_TEXTS)
def test_the_exit_codes_are_known_and_in_order(text: Any) -> None:
    codes = ", ".join(text.exit_codes).split(", ")
    assert codes == [code for code in KNOWN_CODES if code in codes]


@EVERY
def test_examples_and_exit_codes_are_shown_and_stand_in_one_place(path: tuple[str, ...]) -> None:
    text = HELP_TEXTS[" ".join(path)]
    lines = [line.strip() for line in shown(path).splitlines()]
    for example in text.examples:
        assert any(line.startswith(example) for line in lines)
    for code in text.exit_codes:
        assert any(line.startswith(f"{code}  ") for line in lines)
    assert not re.search(r"Examples?:|Exit codes?:", command_at(path).help)


@EVERY
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_cut_or_too_long(path: tuple[str, ...], columns: int) -> None:
    help_text = shown(path, columns)
    too_long = [line for line in help_text.splitlines() if len(line) >= columns]
    # an address stays whole
    assert [line for line in too_long if len(line.split()) > 1] == []
    assert "…" not in help_text
    words = " ".join(help_text.split())
    command = command_at(path)
    for text in [*command.help.split("\n\n"), *(one.help for one in parameters(command))]:
        assert " ".join(text.replace("\b", "").split()) in words


@EVERY
def test_no_type_of_pythons_is_shown(path: tuple[str, ...]) -> None:
    examples = "\n".join(HELP_TEXTS[" ".join(path)].examples)
    found = TYPES.findall(shown(path))
    assert len(found) == len(TYPES.findall(examples))


@EVERY
def test_every_default_is_shown(path: tuple[str, ...]) -> None:
    words = " ".join(shown(path).split())
    for one in command_at(path).params:
        if one.default not in (None, False, (), []) and not one.hidden:
            assert f"default: {getattr(one.default, 'value', one.default)}" in words


def test_the_default_of_an_option_is_that_of_its_setting() -> None:
    scan = " ".join(shown(("scan",)).split())
    assert "Users at a time. [default: 1, or what the configuration says]" in scan
    assert "[default: 9m, or what the configuration says]" in scan


@EVERY
def test_what_is_drawn_at_a_terminal_says_the_same(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    lines = lines_of(path, 60)
    drawn = help_drawing.drawn(lines)
    assert COLOUR.search(drawn)
    assert COLOUR.sub("", drawn) == help_pages.plain(lines)


def test_a_terminal_gets_colours_unless_it_wants_none(killsync: Make) -> None:
    program = killsync()
    drawn = "\n".join(at_terminal(program, "export", "--help", columns=60))
    assert "\x1b[" in drawn
    assert COLOUR.sub("", drawn).split() == shown(("export",), 60).split()
    assert "\x1b[" not in "\n".join(at_terminal(program, "scan", "--help", NO_COLOR="1"))
    assert "\x1b[" not in "\n".join(at_terminal(program, "scan", "--help", TERM="dumb"))


def test_commands_stand_in_groups_and_each_in_one() -> None:
    lines = shown(()).splitlines()
    for heading, group in GROUPS.items():
        below = lines[lines.index(f"{heading}:") + 1 :]
        assert [line.split()[0] for line in below[: len(group)]] == list(group)
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(path[0] for path in COMMANDS if len(path) == 1)


# ---- examples that work

EXAMPLES = [(name, example) for name, text in HELP_TEXTS.items() for example in text.examples]


def calls(example: str) -> Iterator[list[str]]:
    """Yield the words after `killsync` of each call in a line for the shell."""
    for part in re.split(r"\s[|<>]\s?", example):
        words = shlex.split(part)
        if "killsync" in words:
            yield words[words.index("killsync") + 1 :]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_understood(name: str, example: str) -> None:
    found = list(calls(example))
    assert [words for words in found if words[: len(name.split())] == name.split()]
    for words in found:
        parse(hoisted(words))


def parse(words: list[str]) -> None:
    """Parse a line as the program does, but do nothing of what it says."""
    command, name, context = command_at(()), "killsync", None
    if "--help" in words:
        assert tuple(words[:-1]) in COMMANDS
        return
    while True:
        context = command.make_context(name, words, parent=context)
        words = [*getattr(context, "_protected_args", []), *context.args]
        if not words:
            return
        name, command, words = command.resolve_command(context, words)


# what needs nothing but a database, and asks nothing
RUN = [
    *("users", "users list", "users disable", "users enable", "status", "kills", "stats"),
    *("names", "check", "data", "data reprice", "export", "backup", "retry", "sync", "scan"),
]


def test_the_examples_work(killsync: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = killsync(characters=2, killmails=3)
    program = InProcess(made.directory, made.simulator)
    monkeypatch.chdir(program.directory)
    program.environment |= {"HOME": str(program.directory), "KILLSYNC_NAMES": "on"}
    (program.directory / "backups").mkdir()
    program.run("scan")
    with closing(sqlite3.connect(program.database)) as conn:
        (killmail_id,) = conn.execute("SELECT max(killmail_id) FROM killmails").fetchone()
    for name in RUN:
        for example in HELP_TEXTS[name].examples:
            if "--watch" in example or re.search("[|<>]", example):
                continue
            words = shlex.split(example.replace("126440215", str(killmail_id)))[1:]
            words = [word.replace("~", str(program.directory)) for word in words]
            program.run(*words)


@pytest.mark.parametrize("words", [("stats", "--by", "week"), ("kills", "--limit", "-1")])
def test_a_value_that_is_not_valid_is_named_in_plain_words(words: tuple[str, ...]) -> None:
    done = run_here(*words, environment={})
    assert done.returncode == 2
    assert words[1] in done.stderr
    for word in ("Value error", "Input", "integer"):
        assert word not in done.stderr
