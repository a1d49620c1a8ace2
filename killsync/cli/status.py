"""`killsync status`: users, what is going on, what is wrong."""

import json
import signal
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from killsync.cli import invocation, opening
from killsync.cli.find_users import find_users
from killsync.cli.invocation import print_result
from killsync.settings.config import Settings
from killsync.store import runs
from killsync.store.connection import Store
from killsync.sync.status import Status, read_status

if TYPE_CHECKING:
    from rich.console import Group

_SHOWN_RUNS = 5
_WATCH_EVERY = 1.0


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    user: Annotated[
        list[str] | None, typer.Option("--user", metavar="USER", help="Only this user.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every second until Ctrl-C.")
    ] = False,
) -> None:
    """Show users, queue, lock, last runs and rate limits, without a single request."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        settings = call.settings()
        with opening.for_reading(settings) as store:
            if as_json:
                found = _read(store, settings, user)
                print_result(json.dumps(msgspec.to_builtins(found), indent=2))
            elif watch:
                _watch(store, settings, user)
            else:
                from killsync.terminal import tables

                tables.show(_view(store, settings, user))


def _read(store: Store, settings: Settings, names: list[str] | None) -> Status:
    only = find_users(store, names) if names else None
    return read_status(store, settings, time.time(), only=only)


def _view(store: Store, settings: Settings, names: list[str] | None) -> "Group":
    from killsync.terminal import tables

    newest = [] if names else runs.latest(store.conn, _SHOWN_RUNS)
    return tables.status_view(_read(store, settings, names), newest, time.time())


def _watch(store: Store, settings: Settings, names: list[str] | None) -> None:
    from rich.live import Live

    # a shell that starts a program in the background lets it ignore Ctrl-C, its only way out
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from killsync.terminal import tables

    with Live(console=tables.console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(_view(store, settings, names), refresh=True)
            time.sleep(_WATCH_EVERY)
