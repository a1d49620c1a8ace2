"""Statistics as a person looks at them: tables with bars, sparks of months, a heat map of hours.

Blocks differ by their form and not only by colour: all of it can be read without colour.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from killsync.board.statistics import WEEKDAYS, By, Figures, Hour, Overview, Row, Sort, Table
from killsync.terminal.cells import name_cell, new_table
from killsync.terminal.isk import isk
from killsync.terminal.kills_lines import named
from killsync.terminal.percent import percent
from killsync.terminal.sparks import level_of, spark
from killsync.terminal.text import count, safe

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

# what has no id at all
_NOBODY = {
    By.SHIP: "no ship",
    By.FLOWN: "no ship known",
    By.SYSTEM: "no system",
    By.OPPONENT: "nobody known",
    By.CORPORATION: "no corporation known",
}
_ORDERS = {
    Sort.ISK: "most ISK first (destroyed + lost)",
    Sort.KILLS: "most kills first",
    Sort.LOSSES: "most losses first",
    Sort.NAME: "by name",
}
_HEADS = {
    By.SHIP: "Ship lost",
    By.FLOWN: "Ship flown",
    By.SYSTEM: "System",
    By.OPPONENT: "Opponent",
    By.CORPORATION: "Corporation",
    By.MONTH: "Month",
    By.HOUR: "Hour",
}
_FIRST_OF_BOTH = "Ships and opponents with the most ISK; `killsync stats --by` has all of them\n"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_REST = "░"
_SHADES = " ░▒▓█"
_SHADE_STYLES = ("", "green4", "green3", "bright_green", "bold bright_yellow")
# at least so many columns of the terminal for cells, or bars, of that many
_CELLS = ((140, 4), (100, 3), (60, 2), (0, 1))
_BARS = ((160, 30), (100, 20), (70, 10), (0, 0))
_HOURS = 24
_HOURS_BETWEEN_LABELS = 3


def table_view(found: Table, width: int) -> "Group":
    """Return one table, or the heat map of the hours, for a terminal of so many columns."""
    from rich.console import Group

    if found.by is By.HOUR:
        return Group(*heat_map(found.rows, width), _text(""), *_summary(found.total))
    return Group(_figures_table(found, width), *_notes(found))


def overview_view(found: Overview, whose: str, width: int) -> "Group":
    """Return the overview; `whose` says of whom and since when, and stands above it."""
    from rich.console import Group

    parts: list[Any] = [_text(safe(whose, 400), "bold"), *_summary(found.total)]
    bar = _bar(found.total.efficiency, min(width, 60))
    parts += [bar, _figures_table(found.ships, width), _figures_table(found.opponents, width)]
    parts.append(_text(_FIRST_OF_BOTH, "dim"))
    parts += [*sparks(found.months.rows, width), _text("")]
    return Group(*parts, *heat_map(found.hours.rows, width))


def sparks(months: Sequence[Row], width: int) -> list["Text"]:
    """Return a line of kills and one of losses with a block for each month, empty ones too."""
    by_month = {str(row.name): row.figures for row in months}
    shown = _all_months(min(by_month), max(by_month))[-max(1, width - 20) :]
    nothing = Figures(0, 0, 0.0, 0.0)
    figures = [by_month.get(month, nothing) for month in shown]
    lines = [_text(f"Months, {shown[0]} to {shown[-1]}", "bold")]
    for name, style, numbers in (
        ("Kills", "green", [one.kills for one in figures]),
        ("Losses", "red", [one.losses for one in figures]),
    ):
        line = _text(f"{name:7}")
        line.append("".join(spark(number, max(numbers)) for number in numbers), style)
        lines.append(line.append(f" at most {max(numbers):,}"))
    return lines


def heat_map(hours: Sequence[Row], width: int) -> list["Text"]:
    """Return weekdays and hours, each hour shaded by the number of killmails in it."""
    numbers = {(h.weekday, h.hour): h.figures.killmails for h in hours if isinstance(h, Hour)}
    most, cell = max(numbers.values(), default=0), _fitting(_CELLS, width)
    labels = (f"{hour:02}" for hour in range(0, _HOURS, _HOURS_BETWEEN_LABELS))
    scale = "".join(f"{label:{_HOURS_BETWEEN_LABELS * cell}}" for label in labels)
    lines = [_text("Killmails by weekday and hour, EVE time", "bold"), _text(f"    {scale}", "dim")]
    for weekday, name in enumerate(WEEKDAYS, 1):
        line = _text(f"{name[:3]} ")
        of_day = [numbers.get((weekday, hour), 0) for hour in range(_HOURS)]
        for number in of_day:
            shade = level_of(number, most, len(_SHADES) - 1)
            line.append(_SHADES[shade] * cell, _SHADE_STYLES[shade])
        lines.append(line.append(f"{sum(of_day):7,}"))
    return [*lines, _legend(most)]


def _figures_table(found: Table, width: int) -> "RichTable":
    bar = _fitting(_BARS, width)
    table = new_table(
        (_HEADS[found.by], "left"),
        ("Kills", "right"),
        ("Losses", "right"),
        ("Destroyed", "right"),
        ("Lost", "right"),
        ("Effic.", "right"),
        *([("", "left")] if bar else []),
    )
    for row in found.rows:
        table.add_row(name_cell(_name(found.by, row)), *_cells(row.figures, bar))
    table.add_section()
    table.add_row(name_cell("All"), *_cells(found.total, bar), style="bold")
    return table


def _name(by: By, row: Row) -> str:
    if row.name is None and row.id is None:
        return _NOBODY[by]
    return named(row.name, row.id, 100)


def _cells(figures: Figures, bar: int) -> list[Any]:
    return [
        _text(f"{figures.kills:,}", "green" if figures.kills else "dim"),
        _text(f"{figures.losses:,}", "red" if figures.losses else "dim"),
        isk(figures.destroyed),
        isk(figures.lost),
        percent(figures.efficiency),
        *([_bar(figures.efficiency, bar)] if bar else []),
    ]


def _summary(total: Figures) -> list["Text"]:
    sides = f"{count(total.kills, 'kill')}, {count(total.losses, 'loss')}"
    worth = f"{isk(total.destroyed)} ISK destroyed, {isk(total.lost)} lost"
    lines = [_text(f"{sides}; {worth}; efficiency {percent(total.efficiency)}")]
    return [*lines, *_unvalued(total)]


def _notes(found: Table) -> list["Text"]:
    notes = _unvalued(found.total)
    if found.by.is_ranked:
        notes.append(_text(_order(found), "dim"))
    return notes


def _order(found: Table) -> str:
    """Return how the rows come, and whether there are more."""
    order = _ORDERS[found.sort]
    if not found.left_out:
        return order[0].upper() + order[1:]
    shown = f"The first {len(found.rows):,} of {len(found.rows) + found.left_out:,}"
    return f"{shown}, {order}; --limit 0 shows all"


def _unvalued(total: Figures) -> list["Text"]:
    if not total.unvalued:
        return []
    return [_text(f"{count(total.unvalued, 'killmail')} without a value, not in the ISK", "dim")]


def _bar(share: float | None, length: int) -> "Text":
    bar = _text("")
    if share is None:
        return bar
    eighths = round(share * length * len(_EIGHTHS))
    whole, part = divmod(eighths, len(_EIGHTHS))
    done = "█" * whole + _EIGHTHS[part]
    return bar.append(done, "green").append(_REST * (length - len(done)), "red")


def _legend(most: int) -> "Text":
    line = _text("    ")
    levels = len(_SHADES) - 1
    for level in range(1, levels + 1):
        low, high = (level - 1) * most // levels + 1, level * most // levels
        if low <= high:
            line.append(_SHADES[level] * 2, _SHADE_STYLES[level])
            line.append(f" {low:,}   " if low == high else f" {low:,} to {high:,}   ")
    return line


def _all_months(first: str, last: str) -> list[str]:
    start, end = (date.fromisoformat(f"{month}-01") for month in (first, last))
    numbers = range(start.year * 12 + start.month - 1, end.year * 12 + end.month)
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in numbers]


def _fitting(choices: Sequence[tuple[int, int]], width: int) -> int:
    return next(size for least, size in choices if width >= least)


def _text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style=style)
