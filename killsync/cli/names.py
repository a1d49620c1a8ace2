"""`killsync names`: how many ids have names, and which have none."""

import json
import sys
import time
from typing import Annotated

import msgspec
import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import print_result
from killsync.errors import UsageError
from killsync.settings.config import Settings
from killsync.store import facts
from killsync.store import names as stored
from killsync.terminal.text import count

# ten requests of a run
_MOST_RENEWED = 10_000
_NOT_JUST_GIVEN = 3600.0
_OFF = "`names` is off, so scans ask for none: `killsync init --set names=true` switches it on"


HELP = {
    "names": HelpText(
        {
            "killsync names": "how many are known",
            "killsync names --refresh": "players and corporations change theirs",
        },
        exits("shown", _2="names are switched off, or the database cannot be used"),
    ),
}


def names(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Have the next scan ask ESI again: for every id without a name, and for the "
            "10,000 names that are oldest.",
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Show so many ids without a name; 0: all.")
    ] = 20,
) -> None:
    """Show how many ids have names, and which have none."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        settings = call.settings()
        if refresh and not settings.names:
            raise UsageError(f"--refresh: {_OFF}")
        if not settings.names and not as_json:
            call.warn(_OFF)
        if refresh:
            _refresh(settings, as_json=as_json)
        else:
            _show(settings, limit, as_json=as_json)


def _refresh(settings: Settings, *, as_json: bool) -> None:
    with opening.for_users(settings) as store, store.transaction() as conn:
        stored.forget_waits(conn)
        stored.renew(conn, _MOST_RENEWED, time.time(), older_than=_NOT_JUST_GIVEN)
        found = stored.counts(conn)
    if as_json:
        print_result(json.dumps({"unnamed": found.unnamed, "renewing": found.renewing}))
        return
    parts = []
    if found.unnamed:
        parts.append(f"{count(found.unnamed, 'id')} without a name")
    if found.renewing:
        parts.append(f"{count(found.renewing, 'name')} again")
    if parts:
        print_result(f"the next scan with work to do asks ESI for {' and for '.join(parts)}")
    else:
        print_result("every id has a name, none older than an hour: nothing to ask for")


def _show(settings: Settings, limit: int, *, as_json: bool) -> None:
    with opening.for_reading(settings) as store:
        found = stored.counts(store.conn)
        without = stored.first_unnamed(store.conn, limit)
        failure = facts.failure(store.conn, "names")
    if as_json:
        shown = {"failure": failure, "ids": without}
        print_result(json.dumps(msgspec.to_builtins(found) | msgspec.to_builtins(shown), indent=2))
    elif sys.stdout.isatty():
        from killsync.terminal import names_table
        from killsync.terminal.console import show

        show(names_table.view(found, without, failure, time.time()))
    else:
        from killsync.terminal import names_table

        for line in names_table.lines(found, without, failure):
            print_result(line)
