"""`killsync login`: register characters through EVE SSO, in a browser here or anywhere."""

from typing import Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.options import seconds
from killsync.settings import application


def login(
    context: typer.Context,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", help="Print the URL; paste back where the browser ended."),
    ] = False,
    another: Annotated[
        bool, typer.Option("--another", help="Then log in another character.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Accept a character that was sold to another account."),
    ] = False,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait for each login.")
    ] = "5m",
) -> None:
    """Register a character, or renew its login, through EVE SSO."""
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        limit = seconds("--timeout", timeout)
        settings = call.settings()
        application.require(settings)
        with opening.for_users(settings, create=True) as store:
            opening.check_origin(store, call)
            from killsync.cli.logging_in import LoginOptions, log_in

            log_in(
                call,
                settings,
                store,
                LoginOptions(no_browser=no_browser, another=another, yes=yes, limit=limit),
            )
