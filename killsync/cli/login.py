"""`killsync login`: register characters, and corporations, through EVE SSO in a browser."""

from typing import Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.invocation import exit_with
from killsync.cli.options import seconds
from killsync.settings import application

HELP = {
    "login": HelpText(
        {
            "killsync login": "one character",
            "killsync login --corporation --another": "directors, one after the other",
            "killsync login --no-browser": "on a machine without a browser",
        },
        exits(
            "registered",
            _1="the login was refused; or the character is registered, but is no director, or its "
            "login lacks the scope",
            _75="nobody came back from SSO in time; or the character is registered, and ESI could "
            "not be asked for its corporation",
            _130_143=STOPPED,
        ),
    ),
}


def login(
    context: typer.Context,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", help="Print the URL; paste back where the browser ended."),
    ] = False,
    corporation: Annotated[
        bool,
        typer.Option(
            "--corporation", help="Register the corporation that it is a director of, too."
        ),
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
    """Register a character, or renew its login, through EVE SSO.

    With --corporation its corporation too, whose killmails directors can read. Log in several
    directors, one after the other: a corporation is read as long as one of them can. Your EVE
    application needs a second scope for it:

    \b
    esi-killmails.read_corporation_killmails.v1
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        limit = seconds("--timeout", timeout)
        settings = call.settings()
        application.require(settings)
        with opening.for_users(settings, create=True) as store:
            opening.check_origin(store, call)
            from killsync.cli.logging_in import LoginOptions, log_in

            options = LoginOptions(
                no_browser=no_browser,
                corporation=corporation,
                another=another,
                yes=yes,
                limit=limit,
            )
            code = log_in(call, settings, store, options)
        exit_with(code)
