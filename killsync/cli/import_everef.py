"""`killsync import everef`: EVE Ref's daily archives, from files or fetched."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from killsync.archive import days as archive_days
from killsync.archive.days import Found, Totals
from killsync.archive.events import Imported, ToFetch, ToRead
from killsync.archive.everef import EveRef
from killsync.archive.intake import Intake
from killsync.cli import invocation
from killsync.cli.help_parts import IMPORTED, HelpText
from killsync.cli.import_progress import Showing, showing
from killsync.cli.import_session import conclude, database, refusals
from killsync.cli.invocation import Invocation, exit_with
from killsync.cli.progress import print_event
from killsync.cli.signals import StopOnSignal
from killsync.errors import KillsyncError, NotSent, UsageError
from killsync.model import Origin
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.store.sqlite_errors import readable_errors

if TYPE_CHECKING:
    from killsync.http import Http


HELP = {
    "import everef": HelpText(
        {
            "killsync import everef ~/killmails": "archives that are here already",
            "killsync import everef --days 2016-02..2016-04": "fetched from data.everef.net",
        },
        IMPORTED | {"75": "no answer for a day, or the server is down: try later"},
    ),
}


def everef(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            help="Archives, or directories with archives at any depth.",
            readable=False,
        ),
    ] = None,
    days: Annotated[
        str | None,
        typer.Option(
            metavar="FROM..TO", help="Fetch these days; also one day, or months: 2016-02."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Store every killmail, whoever takes part.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Read again what was read before.")] = False,
) -> None:
    """Import EVE Ref's daily archives of killmails, from 2007 on.

    They are read from files (killmails-YYYY-MM-DD.tar.bz2, as `rclone copy` leaves them), or
    fetched from https://data.everef.net. It may be stopped at any time: the next call goes on with
    the day it was in. Scans go on meanwhile.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        today = datetime.now(UTC).date()
        if bool(paths) == (days is not None):
            not_both = ", not both" if paths else ""
            raise UsageError(f"give archives or directories, or --days FROM..TO{not_both}")
        found = archive_days.find(paths, today) if paths else Found()
        wanted = [] if days is None else archive_days.days(days, today)
        settings = call.settings()
        if days is not None:
            application.require_contact_for(settings.everef_url, settings.contact)
        with database(settings, everything=everything) as store, showing(call) as shown:
            store.gives_up = stop.flag.is_set
            importing = _Importing(call, store, stop, shown, everything=everything, full=full)
            ended = importing.read(found) if days is None else importing.fetch(settings, wanted)
        wrong = bool(ended.flawed or ended.refused)
        exit_with(conclude(call, stop, ended, wrong=wrong))


class _Importing:
    def __init__(
        self,
        call: Invocation,
        store: Store,
        stop: StopOnSignal,
        shown: Showing,
        *,
        everything: bool,
        full: bool,
    ) -> None:
        self._call = call
        self._stop = stop
        self._full = full
        self._database = store.path
        self._report, self._bar = shown
        intake = Intake(
            store,
            Origin.EVEREF,
            everything=everything,
            now=time.time,
            refused=refusals(self._report),
        )
        self._everef = EveRef(store, intake, self._report, stop.flag.is_set, everything=everything)

    def read(self, found: Found) -> Imported:
        """Read files, and return what became of them."""
        wanted = self._everef.files(found.archives, full=self._full)
        size = sum(archive.weight for archive in wanted)
        known = [found.totals[a.day] for a in wanted if a.day in found.totals]
        self._report(
            ToRead(
                archives=len(wanted),
                size=size,
                killmails=sum(known) if known and len(known) == len(wanted) else None,
                read_before=len(found.archives) - len(wanted),
                ignored=found.ignored,
            )
        )
        for path, flaw in found.refused.items():
            self._everef.refuse(str(path), flaw)
        with self._shown(size):
            self._everef.read_files(wanted)
        return self._ended()

    def fetch(self, settings: Settings, days: list[date]) -> Imported:
        """Fetch and read days, and return what became of them."""
        from killsync.archive import fetching
        from killsync.http import Http

        agent = application.user_agent(settings.contact)
        with closing(Http(agent, self._stop.flag)) as http:
            totals = self._totals(http, settings.everef_url)
        with closing(Http(agent, self._stop.flag, fetching.DEADLINE)) as http:
            wanted = self._everef.days(days, totals, full=self._full)
            self._report(
                ToFetch(
                    days=len(wanted),
                    killmails=sum(archive.weight for archive in wanted) if totals else None,
                    read_before=sum(archive.known is not None for archive in wanted),
                )
            )
            with self._shown(sum(archive.weight for archive in wanted)):
                self._everef.read_days(wanted, http, settings.everef_url)
        return self._ended()

    def _totals(self, http: "Http", address: str) -> Totals:
        from killsync.archive import fetching

        try:
            return fetching.totals(http, address)
        except NotSent:
            raise
        except KillsyncError as error:
            # they are for show; without them it goes on as well
            if not self._call.quiet:
                self._call.warn(f"how much there is to read is not known: {error}")
            return {}

    @contextmanager
    def _shown(self, total: int) -> Iterator[None]:
        if (progress := self._bar(total)) is not None:
            self._everef.show_progress(progress)
        try:
            with readable_errors(self._database):
                yield
        except (KillsyncError, OSError):
            # what was read until then is imported
            print_event(self._call, self._ended(), dated=True)
            raise

    def _ended(self) -> Imported:
        return self._everef.ended(self._stop.signal_name, full=self._full)
