"""The plots of a character's page, as numbers that the templates draw SVG from."""

from collections.abc import Sequence

from msgspec import Struct

from killsync.board.statistics import WEEKDAYS, Figures, Hour, Row, Table

_MOST_MONTHS = 24
_FEWEST_MONTHS = 6
_LEVELS = 5
_NOTHING = Figures(0, 0, 0.0, 0.0)


class Month(Struct, frozen=True):
    """A pair of bars, kills above the axis and losses below: shares of the plot's height."""

    label: str
    figures: Figures
    up: float
    down: float


class Months(Struct, frozen=True):
    """The bars of each month; the `axis` is at this share of the height, from above."""

    axis: float
    bars: list[Month]


class Cell(Struct, frozen=True):
    """An hour of a weekday: `row` 0 (Monday) to 6, and how bright it is, 0 to 5."""

    row: int
    hour: int
    killmails: int
    level: int

    @property
    def weekday(self) -> str:
        """The day's name."""
        return WEEKDAYS[self.row]


class Bar(Struct, frozen=True):
    """A name with what was done and lost, each as a share of the longest bar."""

    name: str | None
    id: int | None
    figures: Figures
    kills: float
    losses: float


def months(found: Table) -> Months | None:
    """Return the last two years up to the last month with a killmail, without a gap."""
    by_month = {str(row.name): row.figures for row in found.rows}
    if not by_month:
        return None
    last, first = _number(max(by_month)), _number(min(by_month))
    first = max(last - _MOST_MONTHS + 1, min(first, last - _FEWEST_MONTHS + 1))
    labels = [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(first, last + 1)]
    figures = [by_month.get(label, _NOTHING) for label in labels]
    above, below = max(one.kills for one in figures), max(one.losses for one in figures)
    height = above + below
    return Months(
        above / height,
        [
            Month(label, one, one.kills / height, one.losses / height)
            for label, one in zip(labels, figures, strict=True)
        ],
    )


def heat(found: Table) -> list[Cell]:
    """Return all hours of a week in EVE time, Monday first."""
    hours = {
        (row.weekday - 1, row.hour): row.figures.killmails
        for row in found.rows
        if isinstance(row, Hour)
    }
    most = max(hours.values(), default=0)
    return [
        Cell(row, hour, count := hours.get((row, hour), 0), _level(count, most))
        for row in range(7)
        for hour in range(24)
    ]


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return rows as bars of ISK, destroyed and lost, or of killmails if nothing has a value."""
    pairs = [(row.figures.destroyed or 0.0, row.figures.lost or 0.0) for row in rows]
    if not any(map(sum, pairs)):
        pairs = [(row.figures.kills, row.figures.losses) for row in rows]
    longest = max(map(sum, pairs), default=0) or 1
    return [
        Bar(row.name, row.id, row.figures, kills / longest, losses / longest)
        for row, (kills, losses) in zip(rows, pairs, strict=True)
    ]


def _number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def _level(count: int, most: int) -> int:
    return 0 if not count else max(1, -(-count * _LEVELS // most))
