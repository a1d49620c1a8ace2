"""Characters and corporations as a table that fits: columns go before a name loses its end."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from killsync.model import UserKind
from killsync.sync.status import UserStatus
from killsync.terminal.cells import Words, styled
from killsync.terminal.columns import GAP, aligned, cells_taken, cut_to, first_fitting
from killsync.terminal.console import console
from killsync.terminal.status_words import (
    NOBODY,
    Clock,
    last_sync,
    next_sync,
    registered,
    standing,
)
from killsync.terminal.text import count, safe

if TYPE_CHECKING:
    from rich.text import Text

# beyond so many cells a name has a line of its own, where it would cost a column
_LONG_NAME = 40
# those of corporations, the longest, have 50 characters in EVE
_LONGEST_NAME = 60
# the most of them first: what is dropped first is needed least
_STATUS_LAYOUTS = (
    "name state synced due killmails pending newest",
    "name state synced due killmails pending",
    "name state synced killmails pending",
    "name state synced killmails",
    "name state synced",
    "name state",
)
_USERS_LAYOUTS = ("name id state killmails", "name id state", "name state")
_NUMBERS = ("killmails", "pending", "newest", "id")


class _Column(Struct, frozen=True):
    """A column: its title, and what it shows of a user."""

    title: str
    shown: Callable[[UserStatus], Words]


def status_table(
    users: Sequence[UserStatus],
    clock: Clock,
    width: int | None,
    *,
    reading: Collection[int] = (),
) -> list["Text"]:
    """Return a heading and the lines of each user, for so many columns; None: whole.

    `reading` are those whose lists the run in progress reads.
    """
    columns = _columns(users) | {
        "state": _Column("State", lambda user: standing(user, clock, reading)),
        "synced": _Column("Last sync", lambda user: Words(last_sync(user, clock))),
        "due": _Column("Next sync", lambda user: Words(next_sync(user, clock))),
        "pending": _Column("To come", lambda user: Words(f"{user.pending:,}")),
        "newest": _Column("Newest id", lambda user: Words(_id(user.last_killmail_id), "dim")),
    }
    return _table(users, columns, _STATUS_LAYOUTS, width)


def show_users(users: Sequence[UserStatus]) -> None:
    """Print the registered characters and corporations: as fits a terminal, elsewhere whole."""
    to = console()
    if not users:
        to.print(NOBODY)
        return
    width = to.width if to.is_terminal else None
    for line in _table(users, _columns(users), _USERS_LAYOUTS, width):
        to.print(line, soft_wrap=True)


def _columns(users: Sequence[UserStatus]) -> dict[str, _Column]:
    corporations = any(user.kind is UserKind.CORPORATION for user in users)
    return {
        "name": _Column(
            "User" if corporations else "Character",
            lambda user: Words(safe(user.name, _LONGEST_NAME)),
        ),
        "id": _Column("Id", lambda user: Words(str(user.user_id))),
        "state": _Column("State", _registered),
        # those of imports are stored too, and not counted here
        "killmails": _Column("From ESI", lambda user: Words(f"{user.killmails:,}")),
    }


def _registered(user: UserStatus) -> Words:
    words = registered(user)
    if user.kind is not UserKind.CORPORATION:
        return words
    directors = f"{user.directors_working} of {count(len(user.directors), 'director')}"
    return Words(f"{words.text}, {directors}", words.style)


def _id(killmail_id: int | None) -> str:
    return "-" if killmail_id is None else str(killmail_id)


def _table(
    users: Sequence[UserStatus],
    columns: dict[str, _Column],
    layouts: Sequence[str],
    width: int | None,
) -> list["Text"]:
    rows = [
        {name: styled(column.shown(user)) for name, column in columns.items()} for user in users
    ]
    titles = {name: styled(Words(column.title, "bold")) for name, column in columns.items()}
    needed = {name: max(row[name].cell_len for row in [titles, *rows]) for name in columns}
    counted = needed if width is None else needed | {"name": min(needed["name"], _LONG_NAME)}
    shown = first_fitting(layouts, lambda names: cells_taken(names, counted), width)
    widths = {name: needed[name] for name in shown}
    most = _LONG_NAME if width is None else width - cells_taken(shown[1:], needed) - GAP
    beside = [row["name"].cell_len for row in [titles, *rows]]
    widths["name"] = max((cells for cells in beside if cells <= most), default=max(0, most))
    lines = [line for row in [titles, *rows] for line in _lines(row, widths, width)]
    cut_to(lines, width)
    return lines


def _lines(row: dict[str, "Text"], widths: dict[str, int], width: int | None) -> list["Text"]:
    """Return a user's line, below its name where that is too long to stand in the same one.

    In a pipe each user has one line, whatever the length of its name.
    """
    name, shown = row["name"], {column: row[column] for column in widths}
    if width is None:
        widths = dict(widths) | {"name": max(widths["name"], name.cell_len)}
    if name.cell_len <= widths["name"]:
        return [aligned(shown, widths, right=_NUMBERS)]
    alone = name.copy()
    alone.truncate(width or 0, overflow="ellipsis")
    return [alone, aligned(shown | {"name": styled(Words(""))}, widths, right=_NUMBERS)]
