"""`killsync kills`: kills and losses as a list, and single killmails."""

import re
import shlex
import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import Annotated

import typer

from killsync.board import kills as board
from killsync.board.kills import Asked
from killsync.cli import (
    filling_in,
    invocation,
    kills_output,
    moments,
    one_killmail,
    opening,
    options,
)
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.errors import UsageError
from killsync.settings.config import Settings
from killsync.store import kills as stored
from killsync.store import roles
from killsync.store.connection import Store
from killsync.store.kills import Filters, Kill
from killsync.terminal.kills_lines import describe_tally
from killsync.terminal.text import safe

# the id alone, or as zKillboard's address
_AN_ID = re.compile(r"(?:(?:https?://)?(?:www\.)?zkillboard\.com/kill/)?([0-9]{1,18})/?")
# how far what is not shown is counted
_MOST_COUNTED = 10_000


HELP = {
    "kills": HelpText(
        {
            "killsync kills --losses --since 7d": "what was lost this week",
            "killsync kills --ship Rifter --limit 0 --csv": "all of one ship, as a table",
            "killsync kills 126440215 --eft": "the fit of one killmail",
        },
        exits(
            "done, also if nothing matches",
            _2="a name, a time or an option is wrong, or an ID is not stored",
        ),
    ),
}


def kills(
    context: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Show these killmails whole, not a list."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only killmails that this user is on.")
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    only_kills: options.OnlyKills = False,
    only_losses: options.OnlyLosses = False,
    ship: Annotated[
        str | None,
        typer.Option(metavar="SHIP", help="What was lost: a ship, or a group such as Frigate."),
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="SYSTEM", help="Where it was.")] = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="Where it was.")] = None,
    opponent: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="A pilot, corporation or alliance on the other side.",
        ),
    ] = None,
    min_value: Annotated[
        str | None, typer.Option(metavar="ISK", help="Worth at least this: 100m, 1.2b.")
    ] = None,
    solo: Annotated[bool, typer.Option("--solo", help="One player against a ship.")] = False,
    npc: Annotated[bool, typer.Option("--npc", help="Only NPCs shot.")] = False,
    awox: Annotated[
        bool, typer.Option("--awox", help="Killed by the victim's own corporation.")
    ] = False,
    no_pods: Annotated[bool, typer.Option("--no-pods", help="Leave out capsules.")] = False,
    everyone: Annotated[
        bool, typer.Option("--all", help="Also killmails that none of your users is on.")
    ] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="At most so many; 0 is no limit.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets.")] = False,
    as_eft: Annotated[bool, typer.Option("--eft", help="Of ID: print the fit as EFT.")] = False,
    as_dna: Annotated[bool, typer.Option("--dna", help="Of ID: print the fit as DNA.")] = False,
) -> None:
    """Show kills and losses, newest first, with names and ISK; or single killmails, whole.

    In a pipe each of a list is one line of fields between tabs, without a header. Of an ID, --json
    prints what ESI sent.
    """
    call = invocation.from_context(context)
    with invocation.edge(call):
        first, last = moments.period(since, until, time.time())
        form = _form(bool(ids), json=as_json, csv=as_csv, eft=as_eft, dna=as_dna)
        settings = call.settings()
        with opening.for_reading(settings) as store:
            user_id = None if user is None else find_users(store, [user])[0].user_id
            asked = Asked(
                user=user,
                user_id=user_id,
                since=first,
                until=last,
                kills=only_kills,
                losses=only_losses,
                ship=ship,
                system=system,
                region=region,
                opponent=opponent,
                min_value=min_value,
                solo=solo,
                npc=npc,
                awox=awox,
                no_pods=no_pods,
                everyone=everyone,
            )
            if ids:
                killmail_ids = _ids(store, ids, asked)
                one_killmail.show(call, settings, store, killmail_ids, form=form)
            else:
                _show(call, settings, store, asked, limit or None, form)


def _form(of_ids: bool, **forms: bool) -> str | None:
    """Return the form that was asked for; None: as a person reads it."""
    asked = [f"--{form}" for form, is_asked in forms.items() if is_asked]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)}: give one of them")
    if asked == ["--csv"] and of_ids:
        raise UsageError("--csv is for a list; of an id there are --json, --eft and --dna")
    if not of_ids and {*asked} & {"--eft", "--dna"}:
        raise UsageError(f"{asked[0]}: name a killmail too, as `killsync kills ID {asked[0]}`")
    return asked[0].lstrip("-") if asked else None


def _ids(store: Store, words: list[str], asked: Asked) -> list[int]:
    """Return the ids that are named. Raises UsageError for another word, and for a filter."""
    found = []
    for word in words:
        match = _AN_ID.fullmatch(word)
        if match is None:
            raise UsageError(_not_an_id(store, word))
        found.append(int(match[1]))
    if filters := board.describe(asked):
        raise UsageError(f"{filters}: filters are for the list; leave out {' '.join(words[:3])}")
    return found


def _show(
    call: Invocation,
    settings: Settings,
    store: Store,
    asked: Asked,
    limit: int | None,
    form: str | None,
) -> None:
    wanted = board.filters(store.conn, asked)
    tally = board.Tally()
    _print(tally.counting(stored.read(store.conn, wanted, limit)), settings, form)
    sys.stdout.flush()
    if call.quiet:
        return
    if not tally.killmails:
        call.warn(_nothing_found(store, asked))
    elif form is None and sys.stdout.isatty():
        print_result(describe_tally(tally))
        if tally.killmails == limit:
            _print_rest(store, wanted, limit)
    if limit is None or tally.killmails < limit:
        filling_in.warn(call, store)


def _print(kills: Iterator[Kill], settings: Settings, form: str | None) -> None:
    """Print all killmails."""
    if form == "json":
        kills_output.write_json(kills)
    elif form == "csv":
        kills_output.write_csv(kills)
    elif not sys.stdout.isatty():
        kills_output.write_lines(kills)
    # nothing found has no header
    elif first := next(kills, None):
        from killsync.terminal.console import console
        from killsync.terminal.kills_table import print_kills

        print_kills(chain([first], kills), console(), local=settings.time_zone == "local")


def _print_rest(store: Store, wanted: Filters, shown: int) -> None:
    """Print how many there are, as far as that is quickly found out."""
    found = stored.count(store.conn, wanted, _MOST_COUNTED + 1)
    if found == shown:
        return
    of = ""
    if found is not None:
        of = f" of {found:,}" if found <= _MOST_COUNTED else f" of more than {_MOST_COUNTED:,}"
    print_result(f"the newest {shown:,}{of}; --limit 0 shows all")


def _nothing_found(store: Store, asked: Asked) -> str:
    if not stored.any_stored(store.conn):
        return "no killmails are stored yet; `killsync scan` fetches them"
    searched = board.describe(asked)
    if not searched and roles.any_to_look_up(store.conn):
        return "no killmail of your users is found yet; --all shows every killmail"
    if not searched:
        return "no stored killmail is one of your users'; --all shows the others"
    valued = asked.min_value is None or stored.any_valued(store.conn)
    why = (
        ""
        if valued
        else ": none has a value yet; `killsync scan` asks for prices, unless `prices` is off"
    )
    return f"no killmails match {safe(searched, 400)}{why}"


def _not_an_id(store: Store, word: str) -> str:
    """Return what to tell a person whose word is no killmail's id."""
    options = board.meant_by(store.conn, word)
    try:
        find_users(store, [word])
    except UsageError:
        pass
    else:
        options = ["--user", *options]
    quoted = shlex.quote(word)
    meant = " or ".join(f"`killsync kills {option} {quoted}`" for option in options)
    return f"{word!r} is not the id of a killmail" + (f"; {meant} may be meant" if meant else "")
