"""`killsync tell`: what was told and what waits, by channel."""

import json
import os
import sys
import time
from typing import Annotated

import typer

from killsync.board.nearest import nearest
from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.cli.progress import zone_at_terminal
from killsync.errors import UsageError
from killsync.outbox import preview, standing, trial
from killsync.settings import config
from killsync.settings.channels import Channel
from killsync.settings.config import Settings
from killsync.store.connection import VERSION, Store
from killsync.store.outbox import any_unfinished
from killsync.terminal import channels_table, console
from killsync.terminal.channels_table import ChannelRow, left_out
from killsync.terminal.moments import Zone, time_to_come
from killsync.terminal.status_words import Clock
from killsync.terminal.text import count, safe

_HOW_TO = """\
there is no channel yet: add one to the end of {file}, such as

[[tell]]
name = "corporation"
url = "discord://WEBHOOK_ID/WEBHOOK_TOKEN"

then `killsync tell --test corporation` sends a line by it"""


HELP = {
    "tell": HelpText(
        {
            "killsync tell": "what was told, what waits, and what is wrong",
            "killsync tell --test corp": "sends one line by the channel of that name",
            "killsync tell --dry-run": "what the next run would send",
        },
        exits(
            "done, whatever the table says",
            _1="the test was not delivered",
            _2="no such channel, or the database cannot be used",
        ),
    ),
}


def tell(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go out now; send nothing.")
    ] = False,
    test: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send one line by this channel.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """Show what was told and what waits, by channel."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        settings = call.settings()
        if dry_run and test is not None:
            raise UsageError("--dry-run and --test: give one of them")
        if test is not None:
            _test(call, settings, test)
        elif not settings.tell and not as_json:
            _explain(call, settings)
        elif dry_run:
            _show_next(call, settings, as_json=as_json)
        else:
            _show(settings, as_json=as_json)


def _test(call: Invocation, settings: Settings, name: str) -> None:
    channel = _named(settings, name)
    trial.try_out(channel)
    # first of all: whoever hears of anything else would send it again
    if not call.quiet:
        print_result(f"{safe(channel.name, 60)}: delivered")
    if settings.database.exists():
        with opening.for_writing(settings) as store:
            if store.version() == VERSION:
                trial.end_rest(store, channel)


def _named(settings: Settings, name: str) -> Channel:
    for channel in settings.tell:
        if channel.name == name:
            return channel
    names = [channel.name for channel in settings.tell]
    near = nearest(name, names)
    meant = f"; the nearest is {near!r}" if near else "; `killsync tell` lists them"
    raise UsageError(f"no channel {safe(name, 60)!r}{meant}")


def _explain(call: Invocation, settings: Settings) -> None:
    file = config.config_file(call.config, os.environ).absolute()
    print_result(_HOW_TO.format(file=safe(file, 400)))
    if settings.database.exists():
        with opening.for_reading(settings, any_version=True) as store:
            if store.version() == VERSION and any_unfinished(store.conn):
                _print_table(store, settings)


def _show(settings: Settings, *, as_json: bool) -> None:
    with opening.for_reading(settings) as store:
        if as_json:
            found = standing.rows(store, settings, time.time())
            print_result(json.dumps([channels_table.builtins(row) for row in found], indent=2))
        else:
            _print_table(store, settings)


def _print_table(store: Store, settings: Settings) -> None:
    now = time.time()
    found = standing.rows(store, settings, now)
    if sys.stdout.isatty():
        console.show(channels_table.view(found, Clock(now, zone_at_terminal(settings))))
        return
    for line in channels_table.lines(found):
        print_result(line)


def _show_next(call: Invocation, settings: Settings, *, as_json: bool) -> None:
    now = time.time()
    clock = Clock(now, zone_at_terminal(settings) if sys.stdout.isatty() else Zone.LOG)
    with opening.for_reading(settings) as store:
        rows = {row.name: row for row in standing.rows(store, settings, now)}
        due = [(one, preview.due_notes(store, settings, one, now)) for one in settings.tell]
    if as_json:
        shown = [
            {"channel": one.name, "notes": [preview.as_json(note) for note in notes]}
            for one, notes in due
        ]
        print_result(json.dumps(shown, indent=2))
        return
    for one, notes in due:
        print_result(f"{_heading(rows[one.name], clock)}: {count(len(notes), 'message')}")
        for note in notes:
            print_result(preview.shown(one, note))
    if not call.quiet and not any(notes for _, notes in due):
        for line in left_out([rows[one.name] for one in settings.tell]):
            call.warn(line)


def _heading(row: ChannelRow, clock: Clock) -> str:
    name = safe(row.name, 60)
    if row.next_at is None or not row.is_resting:
        return name
    return f"{name}, which rests until {time_to_come(row.next_at, clock.now, clock.zone)}"
