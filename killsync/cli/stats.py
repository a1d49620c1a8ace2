"""`killsync stats`: what was done and lost, by ship, system, opponent, month or hour."""

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from killsync.board import statistics
from killsync.board.statistics import By, Overview, Sort, Table
from killsync.cli import filling_in, invocation, moments, opening, options
from killsync.cli.csv_output import csv_to_stdout
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.errors import UsageError
from killsync.model import User
from killsync.store import users
from killsync.store.connection import Store
from killsync.store.statistics import Scope
from killsync.terminal.text import safe, safe_json

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT = 20


HELP = {
    "stats": HelpText(
        {
            "killsync stats": "the totals, and when you are at it",
            "killsync stats --by opponent --sort losses": "who kills you most",
            "killsync stats --by ship --since 30d": "what you kill, this month",
        },
        exits("done, also if nothing was found", _2="a name, a time or an option is wrong"),
    ),
}


def stats(
    context: typer.Context,
    by: Annotated[
        By | None,
        typer.Option(help="A row for each; `ship` is the victim's, `flown` the one you were in."),
    ] = None,
    sort: Annotated[
        Sort | None,
        typer.Option(
            help="What there is most of comes first; `isk` is destroyed and lost together."
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(metavar="USER", help="Only this user's killmails; several count together."),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="At most so many rows, but all months and hours; 0: all."
        ),
    ] = _LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print csv, with --by only.")] = False,
) -> None:
    """Show kills, losses, ISK destroyed and lost, and efficiency; all users together.

    A killmail counts once, though several of your users are on it.
    """
    call = invocation.from_context(context)
    with invocation.edge(call):
        _check(by, sort, as_json=as_json, as_csv=as_csv)
        first, last = moments.period(since, until, time.time())
        settings = call.settings()
        with opening.for_reading(settings) as store:
            ours = find_users(store, user) if user else None
            ids = None if ours is None else tuple(one.user_id for one in ours)
            scope = Scope(ids, first, last)
            found = _read(store, by, sort, scope, limit)
            whose = _describe(ours, scope)
            _warn(call, store, found, whose)
        _show(found, whose, as_json=as_json, as_csv=as_csv)


def _check(by: By | None, sort: Sort | None, *, as_json: bool, as_csv: bool) -> None:
    if sort is not None and (by is None or not by.is_ranked):
        ranked = ", ".join(one for one in By if one.is_ranked)
        raise UsageError(f"--sort needs --by with one of {ranked}")
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    if as_csv and by is None:
        raise UsageError(f"--csv needs --by: {', '.join(By)}")


def _read(
    store: Store, by: By | None, sort: Sort | None, scope: Scope, limit: int
) -> Table | Overview:
    if by is None:
        return statistics.overview(store.conn, scope)
    return statistics.table(store.conn, by, scope, limit or None, sort or Sort.ISK)


def _describe(ours: "Sequence[User] | None", scope: Scope) -> str:
    """Return whose killmails of which time are counted."""
    whose = "all users" if ours is None else ", ".join(safe(user.name, 40) for user in ours)
    since = f" since {scope.since}" if scope.since else ""
    return f"{whose}{since}" + (f" until {scope.until}" if scope.until else "")


def _warn(call: Invocation, store: Store, found: Table | Overview, whose: str) -> None:
    if call.quiet:
        return
    filling_in.warn(call, store)
    if not found.total.killmails:
        if users.any_user(store.conn):
            call.warn(f"nothing found among the kills and losses of {whose}")
        else:
            call.warn("there are no users yet: add one with `killsync login`")


def _show(found: Table | Overview, whose: str, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        text = json.dumps(_plain(found), indent=2, ensure_ascii=False)
        print_result(safe_json(text) if sys.stdout.isatty() else text)
    elif as_csv and isinstance(found, Table):
        _write_csv(found)
    elif not found.total.killmails:
        return
    elif sys.stdout.isatty():
        _show_tables(found, whose)
    else:
        _write_lines(found)


def _plain(found: Table | Overview) -> dict[str, Any]:
    if isinstance(found, Table):
        return statistics.plain(found)
    return statistics.plain_overview(found)


def _show_tables(found: Table | Overview, whose: str) -> None:
    from killsync.terminal import statistics_tables
    from killsync.terminal.console import console as new_console

    console = new_console()
    if isinstance(found, Table):
        console.print(statistics_tables.table_view(found, console.width))
    else:
        console.print(statistics_tables.overview_view(found, whose, console.width))


def _write_csv(found: Table) -> None:
    writer = csv_to_stdout()
    writer.writerow(statistics.columns(found.by))
    writer.writerows(statistics.plain_row(row).values() for row in found.rows)
    sys.stdout.flush()


def _write_lines(found: Table | Overview) -> None:
    """Write tab-separated lines: the rows, or of the overview the totals, each with its name."""
    if isinstance(found, Table):
        rows = [list(statistics.plain_row(row).values()) for row in found.rows]
    else:
        rows = [list(pair) for pair in _plain(found)["total"].items()]
    for row in rows:
        print_result(
            "\t".join("" if value is None else safe(value, len(str(value))) for value in row)
        )
