"""`killsync retry`: what was set aside or put off is tried again at the next run."""

import time
from typing import Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import BUSY, UNKNOWN_USER, HelpText, exits
from killsync.cli.invocation import print_result
from killsync.store import directors, jobs, retries, waiting_users
from killsync.store.connection import Store
from killsync.terminal.text import count

HELP = {
    "retry": HelpText(
        {
            "killsync retry": "everything",
            'killsync retry --user "Maru Sakaala"': "what one user waits for",
        },
        exits("the next scan tries again", _2=UNKNOWN_USER, _75=BUSY),
    ),
}


def retry(
    context: typer.Context,
    user: Annotated[
        list[str] | None, typer.Option(metavar="USER", help="Only what this user waits for.")
    ] = None,
) -> None:
    """Try everything again at the next run that was set aside or put off after errors."""
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        settings = call.settings()
        with opening.for_users(settings) as store:
            chosen = [one.user_id for one in find_users(store, user)] if user else None
            print_result(_retry(store, chosen))


def _retry(store: Store, chosen: list[int] | None) -> str:
    with store.transaction() as conn:
        killmails = retries.forget_put_off(conn, chosen)
        now = time.time()
        waiting = waiting_users.forget_put_off(conn, chosen, now)
        waiting += directors.ask_again(conn, chosen, now)
        jobs.forget_put_off(conn, chosen)
    if not killmails and not waiting:
        return "nothing is set aside or put off"
    return (
        f"the next run tries {count(killmails, 'killmail')} and {count(waiting, 'user')} again: "
        "`killsync scan`"
    )
