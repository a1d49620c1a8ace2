"""What was done and lost: by ship, system, opponent, corporation, month, hour; and an overview."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from killsync.store import statistics
from killsync.store.connection import snapshot
from killsync.store.meant import folded
from killsync.store.statistics import Key, Scope, Sum

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHOWN_IN_OVERVIEW = 5
_Group = TypeVar("_Group", str, tuple[int, int])


class By(StrEnum):
    """What the rows of the statistics stand for; see `store.statistics.Key`."""

    SHIP = "ship"
    FLOWN = "flown"
    SYSTEM = "system"
    OPPONENT = "opponent"
    CORPORATION = "corporation"
    MONTH = "month"
    HOUR = "hour"

    @property
    def is_ranked(self) -> bool:
        """Whether the rows come by a `Sort`; those of months and hours come by time."""
        return self not in (By.MONTH, By.HOUR)


class Sort(StrEnum):
    """By what ranked rows come: the most of it first, or in the order of the names."""

    ISK = "isk"
    KILLS = "kills"
    LOSSES = "losses"
    NAME = "name"


class Figures(Struct, frozen=True):
    """Killmails and ISK on both sides.

    `destroyed` and `lost` are None if there are such killmails, and none of them has a value.
    `unvalued` is how many killmails have none.
    """

    kills: int
    losses: int
    destroyed: float | None
    lost: float | None
    unvalued: int = 0

    @property
    def killmails(self) -> int:
        """How many killmails there are."""
        return self.kills + self.losses

    @property
    def isk(self) -> float:
        """The ISK of both sides."""
        return (self.destroyed or 0.0) + (self.lost or 0.0)

    @property
    def efficiency(self) -> float | None:
        """The share of the ISK that was not lost, 0 to 1; None if there is none at all."""
        return (self.destroyed or 0.0) / self.isk if self.isk else None


class Row(Struct, frozen=True):
    """One ship, system, pilot, corporation, month or hour; `name` is None if it is not known.

    `id` is None of months and hours, and where there is none, as of a loss without a final blow.
    """

    name: str | None
    id: int | None
    figures: Figures


class Hour(Row, frozen=True):
    """An hour of the week in EVE time: `weekday` 1 (Monday) to 7, `hour` 0 to 23."""

    weekday: int
    hour: int


class Table(Struct, frozen=True):
    """The rows asked for, and the sum of all, those `left_out` too."""

    by: By
    rows: Sequence[Row]
    total: Figures
    left_out: int = 0
    sort: Sort = Sort.ISK


class Overview(Struct, frozen=True):
    """What is shown where nothing in particular is asked for."""

    total: Figures
    ships: Table
    opponents: Table
    months: Table
    hours: Table


def table(
    conn: sqlite3.Connection, by: By, scope: Scope, limit: int | None, sort: Sort = Sort.ISK
) -> Table:
    """Return the statistics of these killmails, of the ranked ones at most `limit` rows."""
    if by.is_ranked:
        return _ranked(conn, by, scope, limit, sort)
    return (by_month if by is By.MONTH else by_hour)(statistics.sums(conn, Key.SLOT, scope))


def overview(conn: sqlite3.Connection, scope: Scope) -> Overview:
    """Return the totals, the first ships and opponents, all months, and the hours of the week."""
    with snapshot(conn):
        slots = list(statistics.sums(conn, Key.SLOT, scope))
        ships = _ranked(conn, By.SHIP, scope, _SHOWN_IN_OVERVIEW)
        opponents = _ranked(conn, By.OPPONENT, scope, _SHOWN_IN_OVERVIEW)
    return Overview(added(slots), ships, opponents, by_month(slots), by_hour(slots))


def by_month(slots: Iterable[Sum]) -> Table:
    """Return the statistics of months, `2026-11`, from the sums of single hours."""
    months = _grouped(slots, lambda slot: slot[:7])
    rows = [Row(month, None, added(months[month])) for month in sorted(months)]
    return Table(By.MONTH, rows, added(row.figures for row in rows))


def by_hour(slots: Iterable[Sum]) -> Table:
    """Return the statistics of the hours of a week from the sums of single hours."""
    hours = _grouped(slots, _hour_of_week)
    rows = [
        Hour(f"{WEEKDAYS[weekday - 1]} {hour:02}:00", None, added(of_hour), weekday, hour)
        for (weekday, hour), of_hour in sorted(hours.items())
    ]
    return Table(By.HOUR, rows, added(row.figures for row in rows))


def ranking(sort: Sort, sum_: Sum) -> tuple[float, float, int, bool, int | str]:
    """Return what a ranking is sorted by, where it is not by names.

    What comes first is asked for; then the most ISK, the most killmails, and the lowest id.
    """
    figures = _figures(sum_)
    first = {Sort.KILLS: figures.kills, Sort.LOSSES: figures.losses}.get(sort, 0)
    return (-first, -figures.isk, -figures.killmails, sum_.key is None, sum_.key or 0)


def added(parts: Iterable[Sum | Figures]) -> Figures:
    """Return the sum of sums."""
    kills = losses = unvalued = 0
    destroyed: list[float | None] = []
    lost: list[float | None] = []
    for part in parts:
        kills += part.kills
        losses += part.losses
        unvalued += part.unvalued
        if part.kills:
            destroyed.append(part.destroyed)
        if part.losses:
            lost.append(part.lost)
    return Figures(kills, losses, _isk(destroyed), _isk(lost), unvalued)


def plain(found: Table) -> dict[str, Any]:
    """Return what `stats --json` prints of one table."""
    rows = [plain_row(row) for row in found.rows]
    return {"by": str(found.by), "rows": rows, "total": _plain_figures(found.total)}


def plain_overview(found: Overview) -> dict[str, Any]:
    """Return what `stats --json` prints where no table is asked for: no rows, but four tables."""
    return {"by": None, "rows": [], "total": _plain_figures(found.total)} | {
        name: plain(getattr(found, name))["rows"]
        for name in ("ships", "opponents", "months", "hours")
    }


def plain_row(row: Row) -> dict[str, Any]:
    """Return the columns of a row, in json and in csv."""
    when = {"weekday": row.weekday, "hour": row.hour} if isinstance(row, Hour) else {}
    return {"name": row.name, "id": row.id} | when | _plain_figures(row.figures)


def columns(by: By) -> list[str]:
    """Return the names of the columns, in the order of `plain_row`."""
    nothing = Figures(0, 0, 0.0, 0.0)
    empty = Hour("", None, nothing, 1, 0) if by is By.HOUR else Row("", None, nothing)
    return list(plain_row(empty))


def _ranked(
    conn: sqlite3.Connection, by: By, scope: Scope, limit: int | None, sort: Sort = Sort.ISK
) -> Table:
    key = Key(by)
    with snapshot(conn):
        found = sorted(statistics.sums(conn, key, scope), key=partial(ranking, sort))
        if sort is Sort.NAME:
            names = statistics.names(conn, key, [sum_.key for sum_ in found])
            found.sort(key=lambda sum_: _by_name(names.get(sum_.key)))
        shown = found[:limit]
        names = statistics.names(conn, key, [sum_.key for sum_ in shown])
    rows = [
        Row(names.get(sum_.key), None if sum_.key is None else int(sum_.key), _figures(sum_))
        for sum_ in shown
    ]
    return Table(by, rows, added(found), len(found) - len(shown), sort)


def _by_name(name: str | None) -> tuple[bool, str]:
    return (name is None, folded(name or ""))


def _grouped(slots: Iterable[Sum], group: Callable[[str], _Group]) -> dict[_Group, list[Sum]]:
    groups: dict[_Group, list[Sum]] = defaultdict(list)
    for sum_ in slots:
        groups[group(str(sum_.key))].append(sum_)
    return groups


def _hour_of_week(slot: str) -> tuple[int, int]:
    day, _, hour = slot.partition("T")
    return date.fromisoformat(day).isoweekday(), int(hour)


def _figures(sum_: Sum) -> Figures:
    return Figures(sum_.kills, sum_.losses, sum_.destroyed, sum_.lost, sum_.unvalued)


def _isk(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known, 0.0) if known or not values else None


def _plain_figures(figures: Figures) -> dict[str, Any]:
    return {
        "kills": figures.kills,
        "losses": figures.losses,
        "destroyed": _cents(figures.destroyed),
        "lost": _cents(figures.lost),
        "efficiency": None if figures.efficiency is None else round(figures.efficiency, 4),
    }


def _cents(isk: float | None) -> float | None:
    return None if isk is None else round(isk, 2)
