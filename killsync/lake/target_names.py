"""The names of a lake's files, from which alone it is known what is in it.

A part is `TABLE/month=YYYY-MM/part-SEQ.parquet`, where a table has months, else
`TABLE/part-SEQ.parquet`. Until a call has written all of its own they stand in
`_unfinished/call-STORED-REMOVED-xxxxxxxx/` under names that no engine takes for Parquet, beside the
tables: some engines read every file of a table's directory.
"""

import re
import secrets

import msgspec

KILLMAILS = "killmails"
REMOVED = "removed"
ARCHIVES = "archives"
BY_MONTH = ("items", "attackers", KILLMAILS)
"""Tables with a directory for each month, in the order in which their parts appear.

The killmails come last: whoever joins the others to them finds these.
"""
WHOLE = (REMOVED, ARCHIVES)
TABLES = (*BY_MONTH, *WHOLE)

UNFINISHED = "_unfinished"
LOCK = "_killsync.lock"
BEGUN = "begun"
"""Stands in a call's directory from its start: if it is gone, somebody has cleared it away."""
COMPLETE = "complete"
"""Stands in a call's directory once all of its parts do, and names them: it will be finished."""

_PART = re.compile(r"part-(?P<seq>0|[1-9][0-9]{0,18})\.parquet", re.ASCII)
_MONTH = re.compile(r"month=(?P<month>[0-9]{4}-(0[1-9]|1[0-2]))", re.ASCII)
_CALL = re.compile(
    r"call-(?P<stored>0|[1-9][0-9]{0,18})-(?P<removed>0|[1-9][0-9]{0,18})-[0-9a-f]{8}", re.ASCII
)
_WAITING = re.compile(r"(?P<table>[a-z]+)(\.(?P<month>[0-9]{4}-(0[1-9]|1[0-2])))?", re.ASCII)


class Sequences(msgspec.Struct, frozen=True):
    """What the parts of one call are numbered by: those of killmails, and of what was removed."""

    stored: int
    removed: int

    def of(self, table: str) -> int:
        """Return the number in the name of a table's part."""
        return self.removed if table == REMOVED else self.stored


def new_call(sequences: Sequences) -> str:
    """Return a name for a call's directory that no other call has, not even of the same numbers."""
    return f"call-{sequences.stored}-{sequences.removed}-{secrets.token_hex(4)}"


def sequences_of(call: str) -> Sequences | None:
    """Return the numbers of a call from the name of its directory; None of another name."""
    match = _CALL.fullmatch(call)
    return match and Sequences(int(match["stored"]), int(match["removed"]))


def waiting(table: str, month: str | None) -> str:
    """Return the name under which a call's part waits until all of them are there.

    Raises ValueError of a table that a lake does not have, and of a month where it has none.
    """
    name = table if month is None else f"{table}.{month}"
    if parse_waiting(name) is None:
        raise ValueError(f"a lake has no part {name}")
    return name


def parse_waiting(name: str) -> tuple[str, str | None] | None:
    """Return table and month of a part that waits; None of another name."""
    match = _WAITING.fullmatch(name)
    if match is None or match["table"] not in TABLES:
        return None
    table, month = match["table"], match["month"]
    return (table, month) if (table in BY_MONTH) == (month is not None) else None


def new_attempt() -> str:
    """Return a name for a part that is being written and may be tried again elsewhere meanwhile."""
    return f"attempt-{secrets.token_hex(8)}"


def part(table: str, month: str | None, seq: int) -> str:
    """Return the name of a finished part."""
    folder = table if month is None else f"{table}/month={month}"
    return f"{folder}/part-{seq}.parquet"


def seq_of(name: str) -> int | None:
    """Return the number in a part's own name, without its directory; None of another name."""
    match = _PART.fullmatch(name)
    return match and int(match["seq"])


def month_of(folder: str) -> str | None:
    """Return the month that a directory of parts is for; None of another name."""
    match = _MONTH.fullmatch(folder)
    return match and match["month"]


def order_of(name: str) -> tuple[int, str]:
    """Return by what the parts that wait are ordered, so that they appear in the right order."""
    table, month = parse_waiting(name) or ("", None)
    return (TABLES.index(table) if table else -1, month or "")


def is_hidden(name: str) -> bool:
    """Return whether engines, and file managers, pass over a file of this name."""
    return name.startswith((".", "_"))
