"""Lists of killmails as programs read them: JSON, csv, and lines between tabs."""

import sys
from collections.abc import Iterable

import msgspec

from killsync.cli.csv_output import csv_to_stdout
from killsync.store.kills import Kill
from killsync.terminal.kills_lines import tab_separated
from killsync.terminal.text import safe_json

_JOINED = ("users", "user_ids")


def write_json(kills: Iterable[Kill]) -> None:
    """Write a list of objects, each on a line of its own, as they are read."""
    before = "[\n"
    for kill in kills:
        _write(before + _shown(msgspec.json.encode(kill).decode()))
        before = ",\n"
    _write("[]\n" if before == "[\n" else "\n]\n")


def write_csv(kills: Iterable[Kill]) -> None:
    """Write the columns of the JSON; truths are 1 and 0, what is not known is empty."""
    writer = csv_to_stdout()
    writer.writerow(Kill.__struct_fields__)
    for kill in kills:
        writer.writerow([_field(name, getattr(kill, name)) for name in Kill.__struct_fields__])


def write_lines(kills: Iterable[Kill]) -> None:
    """Write a line for each killmail, its fields between tabs."""
    for kill in kills:
        _write(tab_separated(kill) + "\n")


def _field(name: str, value: object) -> object:
    if name in _JOINED:
        assert isinstance(value, list)
        return "; ".join(map(str, value))
    return int(value) if isinstance(value, bool) else value


def _write(text: str) -> None:
    sys.stdout.write(text)


def _shown(text: str) -> str:
    """Return text as it is; at a terminal, which a name might command, made harmless."""
    return safe_json(text) if sys.stdout.isatty() else text
