"""What imports of every source share: whose killmails are wanted, the database, how one ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from killsync.archive.events import KillmailRefused
from killsync.archive.refusals import Refusal, Refused
from killsync.cli import opening
from killsync.cli.invocation import Invocation
from killsync.cli.progress import print_event
from killsync.cli.signals import StopOnSignal
from killsync.errors import UsageError
from killsync.events import Event, Report
from killsync.settings.config import Settings
from killsync.store import facts, users
from killsync.store.connection import Store
from killsync.terminal.import_lines import sentence
from killsync.terminal.moments import Zone

_PATIENCE = 60.0


@contextmanager
def database(settings: Settings, *, everything: bool) -> Iterator[Store]:
    """Yield the database, created if everything is wanted; it needs a user otherwise.

    Raises UsageError if there is none, and lock.RunInProgress.
    """
    if not everything and not settings.database.exists():
        raise _nobody()
    with opening.for_users(settings, create=everything) as store:
        if not everything and not users.any_user(store.conn):
            raise _nobody()
        if facts.game_data(store.conn) is None:
            # without them every type would wait for a name
            with opening.at_work(store, _PATIENCE):
                pass
        yield store


def refusals(report: Report) -> Refused:
    """Return what reports each killmail that is refused."""

    def refused(reason: Refusal, what: str) -> None:
        report(KillmailRefused(reason.value, what))

    return refused


def conclude(call: Invocation, stop: StopOnSignal, ended: Event, *, wrong: bool) -> int:
    """Print the summary, a quiet call's only if something is `wrong`; return the exit code."""
    print_event(call, ended, dated=True)
    if wrong and call.quiet:
        call.warn(sentence(ended, Zone.LOG))
    return stop.exit_code or int(wrong)


def _nobody() -> UsageError:
    return UsageError(
        "nobody is registered, so there is nobody to import killmails of; nothing was read: "
        "`killsync login` registers a character, --all imports every killmail"
    )
