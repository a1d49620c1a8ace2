"""`killsync status`: users, what is going on, what is wrong."""

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from killsync.cli import invocation, opening
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import LOCKED, UNKNOWN_USER, HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.cli.options import as_seconds
from killsync.cli.progress import zone_at_terminal
from killsync.errors import UsageError
from killsync.model import User
from killsync.settings.config import Settings
from killsync.store import runs
from killsync.store.connection import Store
from killsync.sync.status import Status, read_details, read_status
from killsync.terminal.moments import Zone

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from killsync.terminal.status_view import Room
    from killsync.terminal.status_words import Clock

_FASTEST, _SLOWEST = 0.1, 3600.0


HELP = {
    "status": HelpText(
        {
            "killsync status --watch": "look on while a scan is at work",
            "killsync status --user maru --json": "one user, for programs",
        },
        exits("shown", _2=UNKNOWN_USER, _75=LOCKED, _130_143="a watch was ended by a signal"),
    ),
}


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="USER", help="Only this user, in full."),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(
            "--watch",
            metavar="[=SECONDS]",
            help="Draw it again every second, or every SECONDS, until q.",
        ),
    ] = None,
) -> None:
    """Show users, what is going on, what is wrong and the last runs, without a single request."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        every = None if watch is None else _seconds_between(watch)
        settings = call.settings()
        with opening.for_reading(settings) as store:
            shown = _Shown(call, settings, store, user)
            if every is not None:
                shown.watch(every, as_json=as_json)
            elif as_json:
                print_result(json.dumps(msgspec.to_builtins(shown.read()), indent=2))
            else:
                shown.print_once()


def _seconds_between(given: str) -> float:
    """Return the seconds of `--watch=SECONDS`, a number or a duration."""
    try:
        every = as_seconds(given)
    except ValueError:
        every = 0.0
    if not _FASTEST <= every <= _SLOWEST:
        raise UsageError(f"--watch is {given!r}: give from 0.1 to 3600 seconds, such as 5 or 2m")
    return every


class _Shown:
    """What is shown: of all users, or of those that were asked for."""

    def __init__(
        self, call: Invocation, settings: Settings, store: Store, words: list[str] | None
    ) -> None:
        self._settings = settings
        self._store = store
        self._words = words
        self._verbose = call.verbose
        self._zone = zone_at_terminal(settings) if sys.stdout.isatty() else Zone.EVE

    def read(self) -> Status:
        """Return how everything stands."""
        return read_status(self._store, self._settings, time.time(), only=self._only())

    def print_once(self) -> None:
        """Print it: at a terminal as it fits, elsewhere whole."""
        from killsync.terminal.console import console

        to = console()
        for line in self._lines(to, scrolls=True):
            to.print(line, soft_wrap=True)

    def watch(self, every: float, *, as_json: bool) -> None:
        """Draw it until a person ends it; raise UsageError where nothing can be drawn."""
        from rich.console import Group

        from killsync.cli import watching
        from killsync.terminal.console import console

        if as_json or not watching.can_redraw():
            raise UsageError(
                "--watch draws on a terminal: without it, `killsync status` prints once"
            )
        to = console()
        watching.watch(to, lambda: Group(*self._lines(to, scrolls=False)), every)

    def _only(self) -> list[User] | None:
        return find_users(self._store, self._words) if self._words else None

    def _lines(self, console: "Console", *, scrolls: bool) -> list["Text"]:
        from killsync.terminal.status_view import SHOWN_RUNS, Room, status_lines
        from killsync.terminal.status_words import Clock

        now, only = time.time(), self._only()
        found = read_status(self._store, self._settings, now, only=only)
        clock = Clock(now, self._zone)
        room = Room(scrolls=scrolls, plain=console.options.ascii_only)
        if console.is_terminal:
            # the prompt takes a line
            height = None if self._verbose and scrolls else console.height - 1
            room = msgspec.structs.replace(room, width=console.width, height=height)
        if only:
            return self._in_full(found, only, clock, room)
        newest = runs.latest(self._store.conn, SHOWN_RUNS)
        return status_lines(found, newest, clock, room, verbose=self._verbose)

    def _in_full(
        self, found: Status, only: list[User], clock: "Clock", room: "Room"
    ) -> list["Text"]:
        from killsync.terminal.user_view import user_lines

        details = [read_details(self._store, self._settings, clock.now, user) for user in only]
        return user_lines(found, details, clock, room)
