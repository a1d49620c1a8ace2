"""One killmail, whole, as a person reads it at a terminal of any width, or in a pipe."""

import sys
import time
from typing import TYPE_CHECKING, Any

from killsync.board.carried import Line, Section
from killsync.board.killmail import OneKillmail, Shooter, Summary
from killsync.killmail.sides import Role
from killsync.terminal.console import console
from killsync.terminal.isk import isk
from killsync.terminal.security import security_style
from killsync.terminal.text import count, safe
from killsync.times import unix

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# in a pipe nothing is cut off
_WIDE = 10_000
_CORPORATION_FROM, _WEAPON_FROM, _ALLIANCE_FROM = 100, 72, 150
_MOST_SUMMED = 15
_DROPPED, _DESTROYED = "green", ""
_ROLES = {Role.VICTIM: "victim", Role.FINAL_BLOW: "final blow", Role.ATTACKER: "attacker"}
_SIDES = {"loss": ("Loss", "bold red"), "kill": ("Kill", "bold green"), None: ("Killmail", "bold")}
_SOURCES = {"esi-markets-prices": "ESI's market prices"}
_SIGNS = {"loss": "-", "kill": "+", None: ""}


def show_killmail(shown: OneKillmail, *, local: bool) -> None:
    """Print a killmail to standard output; `local` times are those of this machine.

    At a terminal what is too long is cut off at its end; elsewhere everything is there, without
    colour and in EVE time.
    """
    screen = console()
    if screen.is_terminal:
        screen.print(*_parts(shown, screen.width, local=local), sep="\n")
        return
    screen.width = _WIDE
    with screen.capture() as captured:
        screen.print(*_parts(shown, _WIDE, local=False), sep="\n")
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    sys.stdout.flush()


def _parts(shown: OneKillmail, width: int, *, local: bool) -> list[Any]:
    parts: list[Any] = [_headline(shown, local), _text(""), _facts(shown)]
    if shown.sections:
        parts += [_text("\nCarried: + dropped, - destroyed", "dim"), _carried(shown.sections)]
    else:
        parts.append(_text("\nNothing fitted, nothing carried", "dim"))
    mark = "; * final blow" if any(shooter.final_blow for shooter in shown.shooters) else ""
    parts += [_text(f"\n{count(shown.attackers, 'attacker')}{mark}", "dim")]
    parts.append(_shooters(shown.shooters, width))
    if shown.by_ship:
        parts += _summaries(shown)
    parts += [_text(""), *_worth(shown), _text(shown.url, "cyan")]
    return parts


def _headline(shown: OneKillmail, local: bool) -> "Text":
    word, style = _SIDES[shown.side]
    line = _text(f"{word} {shown.killmail_id}", style)
    line.append(f"  {_moment(shown.time, local)}  ")
    line.append(safe(shown.system))
    if shown.security is not None:
        line.append(f" {shown.security:.1f}", security_style(shown.security))
    if shown.region:
        line.append(f" {safe(shown.region)}")
    total = shown.value.total if shown.value else None
    line.append(f"  {_SIGNS[shown.side] if total else ''}{isk(total)} ISK", style)
    return line


def _moment(text: str, local: bool) -> str:
    try:
        seconds = unix(text)
        here = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds)) if local else ""
    except (ValueError, OverflowError, OSError):
        here = ""
    return here or f"{safe(text).removesuffix('Z').replace('T', ' ')} EVE"


def _facts(shown: OneKillmail) -> "Table":
    ship = safe(shown.ship) + (f" ({safe(shown.ship_group)})" if shown.ship_group else "")
    table = _grid("left", "left")
    for name, value, style in (
        ("Victim", shown.victim, "bold"),
        ("Corporation", shown.corporation, ""),
        ("Alliance", shown.alliance, ""),
        ("Ship", ship, "bold"),
        ("Damage taken", f"{shown.damage_taken:,}", ""),
        ("Ours", ", ".join(f"{name} ({_ROLES[role]})" for name, role in shown.ours), ""),
        ("Source", shown.source, ""),
    ):
        if value:
            table.add_row(_text(name, "dim"), _cut(safe(value, 2_000), style))
    return table


def _carried(sections: list[Section]) -> "Table":
    table = _grid("left", "right", "left", "right")
    for section in sections:
        table.add_row("", "", _cut(section.place, "bold"), "")
        for line in section.lines:
            table.add_row(*_carried_row(line))
    return table


def _carried_row(line: Line) -> tuple["Text", ...]:
    style, mark = (_DROPPED, "+") if line.dropped else (_DESTROYED, "-")
    name = "  " * line.depth + safe(line.name)
    return (
        _text(mark, style),
        _text(f"{line.quantity:,}", style),
        _cut(name, style),
        _text(isk(line.isk), style),
    )


def _shooters(shooters: list[Shooter], width: int) -> "Table":
    names = ["Pilot", "Ship"]
    names[1:1] = ["Corporation"] if width >= _CORPORATION_FROM else []
    names[2:2] = ["Alliance"] if width >= _ALLIANCE_FROM else []
    names += ["Weapon"] if width >= _WEAPON_FROM else []
    table = _grid("left", *("left" for _ in names), "right", "right")
    table.add_row("", *(_text(name, "dim") for name in names), _text("Damage", "dim"), "")
    for shooter in shooters:
        values = {
            "Pilot": shooter.pilot or (None if "Corporation" in names else shooter.corporation),
            "Corporation": shooter.corporation,
            "Alliance": shooter.alliance,
            "Ship": shooter.ship,
            "Weapon": shooter.weapon,
        }
        style = "bold" if shooter.final_blow or shooter.ours else ""
        table.add_row(
            _text("*" if shooter.final_blow else " ", style),
            *(_cut(safe(values[name] or "-"), style) for name in names),
            _text(f"{shooter.damage:,}", style),
            _text(_percent(shooter.share), style),
        )
    return table


def _summaries(shown: OneKillmail) -> list[Any]:
    others = shown.attackers - len(shown.shooters)
    parts: list[Any] = []
    for name, rows in (("ship", shown.by_ship), ("corporation", shown.by_corporation)):
        parts += [_text(f"\n{count(others, 'other')}, by {name}", "dim"), _summed(rows)]
    return parts


def _summed(rows: list[Summary]) -> "Table":
    table = _grid("right", "left", "right", "right")
    for row in rows[:_MOST_SUMMED]:
        numbers = (f"{row.damage:,}", _percent(row.share))
        table.add_row(f"{row.attackers:,}", _cut(safe(row.name)), *numbers)
    rest = rows[_MOST_SUMMED:]
    if rest:
        table.add_row(
            f"{sum(row.attackers for row in rest):,}",
            _cut(f"in {len(rest):,} more", "dim"),
            f"{sum(row.damage for row in rest):,}",
            _percent(sum(row.share for row in rest)),
        )
    return table


def _worth(shown: OneKillmail) -> list["Text"]:
    value = shown.value
    if value is None or value.priced_on is None:
        return [
            _text("Not valued yet: a scan does that when it has prices, unless `prices` is off")
        ]
    if value.total is None:
        return [_text(f"Nothing of it had a price on {value.priced_on}")]
    parts = " + ".join(
        f"{name} {isk(part)}"
        for name, part in (
            ("hull", shown.hull_isk),
            ("fitted", value.fitted),
            ("cargo", value.cargo),
        )
    )
    lines = [
        _text(f"{parts} = {isk(value.total)}"),
        _text(f"dropped {isk(value.dropped)} + destroyed {isk(value.destroyed)}"),
    ]
    lines[1].append(f" = {isk(value.total)} ISK", "bold")
    source = safe(value.source)
    without = f"; {count(value.unpriced, 'line')} without a price" if value.unpriced else ""
    lines.append(_text(f"{_SOURCES.get(source, source)} of {value.priced_on}{without}", "dim"))
    return lines


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _grid(*columns: str) -> "Table":
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    for justify in columns:
        # where there is too little room, names give way and numbers do not
        grid.add_column(justify=justify, no_wrap=justify == "right")  # type: ignore[arg-type]
    return grid


def _text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style=style)


def _cut(text: str, style: str = "") -> "Text":
    """Return text that gives way at its end where there is too little room."""
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
