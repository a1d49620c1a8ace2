"""Crontabs: the entry that runs `killsync scan`, written and found again.

Source: crontab(5) of Debian's cron; systemd.service(5) for units.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

import msgspec

from killsync.times import DAY, HOUR

CRON_PATH = "/usr/bin:/bin"
_EVERY_TEN_MINUTES = "*/10 * * * *"
_VARIABLE = re.compile(r"""\s*["']?([A-Za-z_]\w*)["']?\s*=\s*(.*?)\s*""", re.ASCII)
_INLINE = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)
_ENTRY = re.compile(r"\s*(@\w+|(?:\S+\s+){4}\S+)\s+(.*)")
_UNESCAPED_PERCENT = re.compile(r"(?<!\\)%")
_SECRET = re.compile(r"\b(KILLSYNC_CLIENT_SECRET|KILLSYNC_TOKEN_KEY)\b[\"']?\s*=", re.ASCII)
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}


class Entry(msgspec.Struct, frozen=True):
    """An entry that runs `killsync scan`, and what it sets.

    `program` is a path or a name, or an interpreter, `-m` and `killsync`; `variables` are those
    that killsync sees, besides what cron sets itself.
    """

    schedule: str
    program: tuple[str, ...]
    variables: dict[str, str]
    config: str | None = None
    db: str | None = None
    user: str | None = None


class _Call(msgspec.Struct, frozen=True):
    program: tuple[str, ...]
    variables: dict[str, str]
    options: dict[str, str]


def entry(program: Sequence[str], file: Path, home: Path) -> str:
    """Return the line for `crontab -e` that scans every ten minutes.

    `program` are the words that call killsync from anywhere; the configuration `file` is named
    if cron would not find it by itself. The log is in the owner's `home`, which surely exists.
    """
    named = [] if file == usual_file(str(home), {}) else ["--config", str(file)]
    command = shlex.join([*program, *named, "scan", "--splay", "45s"])
    line = f"{command} >> {shlex.quote(str(home / 'killsync.log'))} 2>&1"
    return f"{_EVERY_TEN_MINUTES} " + line.replace("%", r"\%")


def usual_file(home: str, variables: Mapping[str, str]) -> Path:
    """Return where a killsync that cron calls looks for its configuration.

    `variables` are those of the crontab, `home` is its owner's directory.
    """
    return _usual_directory(home, variables, "CONFIG", ".config") / "config.toml"


def usual_database(home: str, variables: Mapping[str, str]) -> Path:
    """Return where a killsync that cron calls has its database, if none is named."""
    return _usual_directory(home, variables, "DATA", ".local/share") / "killsync.db"


def entries(text: str, home: str, *, with_user: bool = False) -> list[Entry]:
    """Return what runs `killsync scan` in a crontab; `home` is its owner's directory.

    `with_user` is for /etc/crontab and /etc/cron.d, where a user stands before each command.
    """
    variables = {"HOME": home}
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if assigned := _VARIABLE.fullmatch(line):
            variables[assigned[1]] = _unquoted(assigned[2])
        elif match := _ENTRY.fullmatch(line):
            schedule, command = match[1], match[2]
            user, _, rest = command.partition(" ") if with_user else ("", "", command)
            for call in _scans(_command(rest), variables):
                found.append(_entry(schedule, call, user or None))
    return found


def unit_entries(text: str, home: str) -> list[Entry]:
    """Return what runs `killsync scan` in a systemd service."""
    variables = {"HOME": home}
    found = []
    for line in text.splitlines():
        key, _, value = line.strip().partition("=")
        value = value.replace("%h", home).replace("%%", "%")
        if key == "Environment":
            variables |= _assignments(_words(value))
        elif key == "ExecStart":
            calls = _scans(value.lstrip("-@:+!"), variables)
            found += [_entry("systemd", call, None) for call in calls]
    return found


def secrets_in(text: str) -> list[str]:
    """Return the names of the variables with secrets that a crontab sets."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return sorted({match[1] for line in lines for match in _SECRET.finditer(line)})


def longest_pause(schedule: str) -> float | None:
    """Return after how many seconds without a scan something must be wrong, None if unknown."""
    named = {"@hourly": 3 * HOUR, "@daily": 2 * DAY, "@midnight": 2 * DAY}
    fields = schedule.split()
    if len(fields) != 5:
        return named.get(schedule)
    minute, hour, *days = fields
    if days != ["*"] * 3:
        return None
    if hour != "*":
        return 2 * DAY
    return HOUR if minute.startswith("*") or "," in minute else 3 * HOUR


def _usual_directory(home: str, variables: Mapping[str, str], kind: str, below: str) -> Path:
    # as platformdirs finds it
    named = variables.get(f"XDG_{kind}_HOME")
    usual = "Library/Application Support" if sys.platform == "darwin" else below
    return (Path(named) if named else Path(variables.get("HOME", home), usual)) / "killsync"


def _entry(schedule: str, call: _Call, user: str | None) -> Entry:
    options = call.options
    return Entry(
        schedule, call.program, call.variables, options.get("config"), options.get("db"), user
    )


def _command(text: str) -> str:
    """Return what the shell is given: a percent sign ends it, unless it is escaped."""
    return _UNESCAPED_PERCENT.split(text, maxsplit=1)[0].replace(r"\%", "%")


def _scans(command: str, variables: Mapping[str, str]) -> Iterator[_Call]:
    for words in _simple_commands(command):
        yield from _scan(words, variables)


def _scan(words: list[str], variables: Mapping[str, str]) -> Iterator[_Call]:
    for number, word in enumerate(words):
        if Path(word).name in _SHELLS and "-c" in words[number:-1]:
            inner = words[words.index("-c", number) + 1]
            yield from _scans(inner, {**variables, **_assignments(words[:number])})
            return
        length = _length_of_program(words[number:])
        if length and "scan" in words[number + length :]:
            seen = {**variables, **_assignments(words[:number])}
            program = tuple(_expanded(part, seen) for part in words[number : number + length])
            options = _options(words[number + length :])
            yield _Call(program, seen, {k: _expanded(v, seen) for k, v in options.items()})
            return


def _length_of_program(words: list[str]) -> int:
    """Return how many words call killsync at the beginning of these, 0 if they do not."""
    if Path(words[0]).name == "killsync":
        return 1
    return 3 if words[1:3] == ["-m", "killsync"] else 0


def _simple_commands(command: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line of shell."""
    words: list[str] = []
    for word in _words(command):
        if set(word) <= set("();<>|&"):
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # a quote that is not closed: the shell would not run it either
        return []


def _assignments(words: list[str]) -> dict[str, str]:
    return {match[1]: match[2] for word in words if (match := _INLINE.fullmatch(word))}


def _options(words: list[str]) -> dict[str, str]:
    found = {}
    for name in ("config", "db"):
        for number, word in enumerate(words):
            if word == f"--{name}" and number + 1 < len(words):
                found[name] = words[number + 1]
            elif word.startswith(f"--{name}="):
                found[name] = word.partition("=")[2]
    return found


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    if word == "~" or word.startswith("~/"):
        word = variables["HOME"] + word[1:]
    return Template(word).safe_substitute(variables)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text
