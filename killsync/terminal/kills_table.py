"""The list of killmails that a person looks at: as much of it as the terminal is wide."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from killsync.killmail.sides import Side
from killsync.store.kills import Kill
from killsync.terminal.columns import GAP, aligned, first_fitting
from killsync.terminal.isk import isk
from killsync.terminal.kills_lines import final_blow, named, opponent, victim
from killsync.terminal.moments import shown_time
from killsync.terminal.security import security_style
from killsync.terminal.text import safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LAID_OUT_BY = 500
"""By so many killmails, the first of all, columns and their widths are chosen."""

# what lies beyond so many cells of a name is less needed than any column
_LONG_NAME = 20
# a name that must give way keeps so many cells, with its `…`
_SHORTEST_NAME = 8
_SIGNS = {Side.KILL: ("+", "green"), Side.LOSS: ("-", "red"), None: (" ", "")}
# which columns are shown, the most of them first; an opponent stands for victim and
# final blow, a place for the system and its security
_LAYOUTS = (
    "time side ship victim system region final_blow final_ship attackers isk id",
    "time side ship victim system final_blow final_ship attackers isk id",
    "time side ship victim system final_blow attackers isk id",
    "time side ship victim system final_blow isk id",
    "time side ship opponent system attackers isk id",
    "time side ship opponent system isk id",
    "time side ship opponent place isk id",
    "time side ship opponent isk id",
    "time side ship opponent isk",
)
_NUMBERS = ("attackers", "isk", "id")
# these may lose their ends
_NAMES = ("ship", "victim", "opponent", "final_blow", "final_ship", "region")


class _Column(Struct, frozen=True):
    """A column: its title, and what it shows of a killmail."""

    title: str
    shown: Callable[[Kill], "Text"]


def print_kills(
    kills: Iterable[Kill], console: "Console", *, local: bool, now: float | None = None
) -> None:
    """Print killmails as a table that fits the console; times are local or EVE's.

    Of a long list the first ones choose the columns, and no more than those are kept in memory.
    """
    left = iter(kills)
    first = list(islice(left, LAID_OUT_BY))
    columns = _columns(local, now)
    shown, widths = fitting(_needed(first, columns), console.width)
    titles = {name: _text(columns[name].title, "bold") for name in shown}
    console.print(_line(titles, widths), no_wrap=True, overflow="ellipsis")
    for kill in chain(first, left):
        row = {name: columns[name].shown(kill) for name in shown}
        console.print(_line(row, widths), no_wrap=True, overflow="ellipsis")


def _needed(kills: Sequence[Kill], columns: dict[str, _Column]) -> dict[str, int]:
    """Return how many cells each column takes."""
    return {
        name: max([len(column.title), *(column.shown(kill).cell_len for kill in kills)])
        for name, column in columns.items()
    }


def _line(row: dict[str, "Text"], widths: dict[str, int]) -> "Text":
    # the sign stands close to what it is the sign of
    return aligned(row, widths, right=_NUMBERS, close=("ship",))


def fitting(needed: dict[str, int], width: int) -> tuple[list[str], dict[str, int]]:
    """Return the columns to show in so many cells, and how wide each is.

    `needed` is how many cells each would take. The least needed columns are left out until the
    rest fits. Names lose their ends, the longest first, only when none may be left out any more;
    a very long one does so before it costs a column.
    """
    shown = first_fitting(
        _LAYOUTS, lambda names: _total([_least(name, needed[name]) for name in names]), width
    )
    widths = {name: needed[name] for name in shown}
    while _total(widths.values()) > width:
        longest = max((name for name in shown if name in _NAMES), key=widths.__getitem__)
        if widths[longest] <= _SHORTEST_NAME:
            break
        widths[longest] -= 1
    return shown, widths


def _least(name: str, needed: int) -> int:
    return min(needed, _LONG_NAME) if name in _NAMES else needed


def _total(widths: Collection[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 2) + 1


def _columns(local: bool, now: float | None) -> dict[str, _Column]:
    """Return every column by its name."""
    return {
        "time": _Column(
            "Local time" if local else "Time", lambda kill: _text(_time(kill, local, now))
        ),
        "side": _Column("", lambda kill: _text(*_SIGNS[kill.side])),
        "ship": _Column("Ship", lambda kill: _name(kill.ship, kill.ship_id, _style(kill))),
        "victim": _Column("Victim", lambda kill: _text(victim(kill))),
        "opponent": _Column("Opponent", lambda kill: _text(opponent(kill))),
        "system": _Column("System", _system),
        "place": _Column("System", _place),
        "region": _Column("Region", lambda kill: _name(kill.region, kill.region_id)),
        "final_blow": _Column("Final blow", lambda kill: _text(final_blow(kill))),
        "final_ship": _Column(
            "Flying", lambda kill: _name(kill.final_blow_ship, kill.final_blow_ship_id)
        ),
        "attackers": _Column("Shot by", lambda kill: _text(f"{kill.attackers:,}")),
        "isk": _Column("ISK", lambda kill: _text(isk(kill.value), _style(kill))),
        "id": _Column("Id", lambda kill: _text(str(kill.killmail_id), "dim")),
    }


def _time(kill: Kill, local: bool, now: float | None) -> str:
    try:
        return shown_time(kill.time, local, now)
    except ValueError:
        return safe(kill.time, 20)


def _style(kill: Kill) -> str:
    return _SIGNS[kill.side][1]


def _system(kill: Kill) -> "Text":
    text = _name(kill.system, kill.system_id)
    if kill.security is not None:
        text.append(f" {kill.security:.1f}", _security_style(kill))
    return text


def _place(kill: Kill) -> "Text":
    return _name(kill.system, kill.system_id, _security_style(kill))


def _security_style(kill: Kill) -> str:
    return "" if kill.security is None else security_style(kill.security)


def _name(name: str | None, id_: int | None, style: str = "") -> "Text":
    return _text(named(name, id_), style)


def _text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style)
