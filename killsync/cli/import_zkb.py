"""`killsync import zkb`: what zKillboard lists of registered users, with the bodies from ESI."""

import time
from contextlib import closing
from typing import Annotated

import typer

from killsync.archive.zkb_pace import Pace
from killsync.archive.zkb_walk import EndDoubted, Walk
from killsync.archive.zkillboard import Side, ZKillboard
from killsync.cli import invocation, opening
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.invocation import Invocation, exit_with
from killsync.cli.options import AlsoUsers, Users, named_users
from killsync.cli.progress import print_event
from killsync.cli.signals import StopOnSignal
from killsync.cli.zkb_progress import reporting
from killsync.errors import (
    Blame,
    KillsyncError,
    NotSent,
    Refused,
    ServiceDown,
    TryLater,
)
from killsync.events import Report
from killsync.http import Http
from killsync.model import User
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store import lock, zkb_lists
from killsync.store.connection import Store
from killsync.sync.context import Tally
from killsync.sync.forecast import Backlog, backlog
from killsync.sync.status import lock_holder
from killsync.sync.zkb_events import (
    ZkbBodiesStarted,
    ZkbEndDoubted,
    ZkbEntriesSkipped,
    ZkbImported,
    ZkbLeftToRuns,
    ZkbPageListed,
    ZkbWalkStarted,
)
from killsync.terminal.moments import Zone
from killsync.terminal.text import safe
from killsync.terminal.zkb_lines import sentence
from killsync.times import unix_or_none

_UPGRADE_PATIENCE = 60.0
_LOCK_PATIENCE = 1.0
_SKIPPED = "not valid on zKillboard's list"
_GOES_ON = "; nothing is lost, the next import goes on"


HELP = {
    "import zkb": HelpText(
        {
            'killsync import zkb "Black Comet Company"': "characters and corporations",
            "killsync import zkb 90000002 --full": "every page once more",
        },
        exits(
            "done; what is left is fetched by scans",
            _1="something was refused: the line says what",
            _2="not a registered character or corporation",
            _75="zKillboard or ESI is down: nothing lost, try later",
            _130_143=STOPPED,
        ),
    ),
}


def zkb(
    context: typer.Context,
    names: Users = None,
    user: AlsoUsers = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every page, whatever is known already.")
    ] = False,
) -> None:
    """Bring in what zKillboard lists of registered characters and corporations.

    Ids and hashes come from zKillboard, 200 a page and a page a second, the killmails from ESI, in
    the background and as its limit allows: scans fetch what is left. A list is read to its end
    once, afterwards down to what is known. It may be stopped at any time; the next call goes on.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        words = named_users(names, user, "name a registered user: killsync import zkb USER")
        settings = call.settings()
        application.require(settings)
        application.require_contact_for(settings.zkb_url, settings.contact)
        with opening.for_writing(settings) as store:
            opening.upgrade(store, _UPGRADE_PATIENCE)
            wanted = find_users(store, words)
            opening.check_origin(store, call)
            store.gives_up = stop.flag.is_set
            code = _Import(call, settings, store, stop, wanted).run(full=full)
        exit_with(stop.exit_code or code)


class _Import:
    def __init__(
        self,
        call: Invocation,
        settings: Settings,
        store: Store,
        stop: StopOnSignal,
        wanted: list[User],
    ) -> None:
        self._call = call
        self._settings = settings
        self._store = store
        self._stop = stop
        self._wanted = wanted
        self._ids = [user.user_id for user in wanted]
        self._listed = 0
        self._new = 0
        self._tally = Tally()
        # what has kept it from being done, zKillboard's or ESI's
        self._trouble: list[KillsyncError] = []

    def run(self, *, full: bool) -> int:
        """Read the lists, fetch the bodies, print what was done; return the exit code."""
        with reporting(self._call, self._done_at) as report:
            self._read_lists(report, full=full)
            if self._stop.exit_code is None:
                self._fetch_bodies(report)
        code = self._code()
        self._conclude()
        return code

    def _read_lists(self, report: Report, *, full: bool) -> None:
        user_agent = application.user_agent(self._settings.contact)
        with closing(Http(user_agent, self._stop.flag)) as http:
            pace = Pace(self._store, self._stop.flag)
            zkillboard = ZKillboard(http, self._settings.zkb_url, pace)
            try:
                for user in self._wanted:
                    for side in Side:
                        walk = Walk(self._store, zkillboard, user, side, full=full)
                        self._read_list(walk, user, side, report)
            except NotSent:
                pass  # it was told to stop
            except TryLater as error:
                if error.blame is Blame.RUN:
                    raise
                self._trouble.append(error)

    def _read_list(self, walk: Walk, user: User, side: Side, report: Report) -> None:
        before, of = walk.before, (user.user_id, user.name, side)
        report(ZkbWalkStarted(*of, before.until is not None, before.page))
        try:
            self._read_pages(walk, of, report)
        except Refused as error:
            # of this list alone; the others may be had
            self._trouble.append(Refused(f"{user.name}, {side}: {error}", error.status))

    def _read_pages(self, walk: Walk, of: tuple[int, str, Side], report: Report) -> None:
        for page in walk.pages():
            if isinstance(page, EndDoubted):
                report(ZkbEndDoubted(*of, page.page))
                continue
            self._listed += page.killmails
            self._new += page.new
            report(ZkbPageListed(*of, page.page, page.killmails, page.new, page.listed))
            if page.skipped:
                self._tally.refuse(_SKIPPED, page.skipped)
                report(ZkbEntriesSkipped(*of, page.page, page.skipped))

    def _fetch_bodies(self, report: Report) -> None:
        left = self._backlog()
        if not left.ready:
            return
        try:
            with opening.at_work(self._store, _LOCK_PATIENCE):
                report(ZkbBodiesStarted(left.ready, left.done_at))
                self._work(report)
        except lock.RunInProgress:
            holder = lock_holder(self._store)
            who = (None, None) if holder is None else (holder.command, holder.pid)
            report(ZkbLeftToRuns(*who))
        except TryLater as error:
            self._trouble.append(error)

    def _work(self, report: Report) -> None:
        from killsync.sync import run

        run.run_jobs(
            self._store,
            self._settings,
            "import zkb",
            self._call.caller(self._settings),
            report,
            self._stop,
            max_runtime=self._settings.max_runtime,
            bodies_only=True,
            tally=self._tally,
        )

    def _conclude(self) -> None:
        done = ZkbImported(
            users=len(self._wanted),
            listed=self._listed,
            new=self._new,
            known=self._listed - self._new,
            refused=self._tally.refused,
            stored=self._tally.stored_from_zkb,
            pending=zkb_lists.count_pending(self._store.conn, self._ids),
            backlog=self._backlog(),
            stopped=self._stop.signal_name,
        )
        if self._call.quiet and self._tally.refused:
            self._call.warn(sentence(done, Zone.LOG))
        print_event(self._call, done, dated=True)
        for error in self._trouble:
            goes_on = "" if isinstance(error, ServiceDown) else _GOES_ON
            self._call.warn(f"{safe(error, 500)}{goes_on}")

    def _code(self) -> int:
        if self._trouble:
            return TryLater.exit_code
        return 1 if self._tally.refused or self._tally.failures else 0

    def _backlog(self) -> Backlog:
        return backlog(self._store, self._settings, time.time())

    def _done_at(self) -> float | None:
        return unix_or_none(self._backlog().done_at)
