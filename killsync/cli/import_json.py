"""`killsync import json`: lines as `export` writes them."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from killsync.archive import exported
from killsync.archive.events import FilesToRead
from killsync.archive.exported import Exported, Source
from killsync.archive.intake import Intake
from killsync.cli import import_session, invocation
from killsync.cli.help_parts import IMPORTED, HelpText
from killsync.cli.import_progress import Showing, showing
from killsync.cli.invocation import exit_with
from killsync.cli.progress import print_event
from killsync.cli.signals import StopOnSignal
from killsync.errors import KillsyncError, UsageError
from killsync.model import Origin
from killsync.store.connection import Store
from killsync.store.sqlite_errors import readable_errors

HELP = {
    "import json": HelpText(
        {
            "killsync import json week.jsonl": "what `killsync export` wrote",
            "ssh server killsync export | killsync import json -": "from another machine",
        },
        IMPORTED | {"75": "the database is in use: try later"},
    ),
}


def import_json(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Exported lines; - is standard input.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Store every killmail, whoever takes part.")
    ] = False,
) -> None:
    """Import lines as `killsync export` writes them, with or without --with-hash.

    So two databases can be joined, and a lost one made again from an export: what ESI lists
    later is not fetched again. A line that is no killmail, or does not fit its hash, is refused
    and counted, and the rest goes on. It may be stopped at any time.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        descriptor = _standard_input(files)
        sources = exported.find(files, descriptor)
        settings = call.settings()
        with (
            import_session.database(settings, everything=everything) as store,
            showing(call) as shown,
        ):
            store.gives_up = stop.flag.is_set
            importing = _importing(store, stop, shown, sources, everything=everything)
            try:
                with readable_errors(store.path):
                    importing.read(sources, descriptor)
            except (KillsyncError, OSError):
                # what was read until then is imported
                print_event(call, importing.ended(stop.signal_name), dated=True)
                raise
        ended = importing.ended(stop.signal_name)
        exit_with(import_session.conclude(call, stop, ended, wrong=bool(ended.refused)))


def _importing(
    store: Store, stop: StopOnSignal, shown: Showing, sources: list[Source], *, everything: bool
) -> Exported:
    report, bar = shown
    known = [source.size for source in sources if source.size is not None]
    size = sum(known) if len(known) == len(sources) else None
    report(FilesToRead(len(sources), size))
    intake = Intake(
        store,
        Origin.JSON,
        everything=everything,
        now=time.time,
        refused=import_session.refusals(report),
    )
    return Exported(intake, report, stop.flag.is_set, bar(size))


def _standard_input(files: list[Path]) -> int:
    """Return the descriptor of standard input; a person at a terminal is told what is awaited."""
    wanted = sum(str(file) == "-" for file in files)
    if wanted > 1:
        raise UsageError("- is standard input, which can be read only once")
    if wanted and sys.stdin.isatty():
        typer.echo("Paste exported lines, then press Ctrl-D:", err=True)
    return sys.stdin.fileno() if wanted else -1
