"""`killsync users add`: register the characters of refresh tokens, and their corporations."""

import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.signals import StopOnSignal
from killsync.errors import Blame, KillsyncError, TryLater, UsageError
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.terminal.text import safe

if TYPE_CHECKING:
    from killsync.cli.registering import Outcome


HELP = {
    "users add": HelpText(
        {
            "killsync users add < tokens.txt": "from a file, one a line",
            "killsync users add --corporation < tokens.txt": "with their corporations",
        },
        exits(
            "all are registered",
            _1="a line failed, or a corporation cannot be registered",
            _2="no token was given, or the configuration is wrong",
            _75="a line, or a corporation, could not be done now",
        ),
    ),
}


def add(
    context: typer.Context,
    token_file: Annotated[
        typer.FileText | None, typer.Option(help="Read from this file, not standard input.")
    ] = None,
    corporation: Annotated[
        bool,
        typer.Option("--corporation", help="Register their corporations too, as `login` does."),
    ] = False,
) -> None:
    """Register the characters of refresh tokens: one token a line, from standard input."""
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        settings = call.settings()
        application.require(settings)
        given: TextIO = token_file or sys.stdin
        # a line that is not valid text fails alone; a byte order mark is skipped
        given.reconfigure(encoding="utf-8-sig", errors="surrogateescape")  # type: ignore[attr-defined]
        if given.isatty():
            typer.echo("Paste refresh tokens, one a line, then press Ctrl-D:", err=True)
        lines = [line.strip() for line in given if line.strip()]
        if not lines:
            raise UsageError("no refresh token was given: one a line, on standard input")
        # a token that SSO has just replaced is stored before a signal ends the program
        with StopOnSignal() as stop, opening.for_users(settings, create=True) as store:
            opening.check_origin(store, call)
            code = _add_all(call, settings, store, lines, stop, corporation=corporation)
        exit_with(stop.exit_code or code)


def _add_all(
    call: Invocation,
    settings: Settings,
    store: Store,
    lines: list[str],
    stop: StopOnSignal,
    *,
    corporation: bool,
) -> int:
    from killsync.cli.registering import Registering
    from killsync.login import accounts
    from killsync.login.connecting import connected
    from killsync.login.corporations import Corporations

    code = 0
    with connected(store.path, settings, stop.flag) as (http, tokens, sso):
        corporations = Corporations(store, http, settings) if corporation else None
        registering = Registering(call, settings, store, tokens, corporations)
        for number, line in enumerate(lines, 1):
            if stop.flag.is_set():
                break
            try:
                outcome = registering.register(accounts.add(store, tokens, sso, line))
            except KillsyncError as error:
                if error.blame is Blame.RUN:
                    raise
                print_result(f"line {number}: failed: {safe(error)}")
                code = max(code, error.exit_code if isinstance(error, TryLater) else 1)
                continue
            code = max(code, outcome.exit_code)
            if outcome.candidate.unverified:
                code = TryLater.exit_code
            if outcome.candidate.unverified or outcome.problem or not call.quiet:
                print_result(f"line {number}: {_line(outcome)}")
            outcome.raise_if_ends()
    return code


def _line(outcome: "Outcome") -> str:
    candidate, reason = outcome.candidate, outcome.reason()
    text = outcome.character_line()
    if candidate.unverified:
        text += f", not verified yet: {safe(candidate.unverified)}; the next scan tries again"
        return text if reason is None else f"{text}; not registered as a director"
    if candidate.sold:
        text += "; it belongs to another account than before"
    if reason is not None:
        return f"{text}; not registered as a director: {reason}"
    corporation = outcome.corporation_line()
    return text if corporation is None else f"{text}; {corporation}"
