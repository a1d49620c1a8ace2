"""`killsync browse`: a killboard in the web browser, from the same database."""

import json
import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import print_result
from killsync.cli.signals import leaving_by_exception
from killsync.errors import UsageError
from killsync.settings.program import extra_line
from killsync.terminal.questions import prompt

PORT = 8455


HELP = {
    "browse": HelpText(
        {
            "killsync browse": "opens the browser",
            "killsync browse --no-open --port 0": "only prints the address",
            "killsync browse --metadata > metadata.json": "for a Datasette of your own",
        },
        exits(
            "ended, or printed",
            _2="Datasette is not installed, or the port is in use",
            _130="ended by Ctrl-C",
        ),
    ),
}


def browse(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = PORT,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address only; open no browser.")
    ] = False,
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata", help="Print what a Datasette of your own can say of the tables, and end."
        ),
    ] = False,
) -> None:
    """Show a killboard in the web browser, from the database, until Ctrl-C.

    It listens on this machine only, and changes nothing.
    """
    call = invocation.from_context(context)
    with invocation.edge(call):
        settings = call.settings()
        if metadata:
            print_result(_metadata(settings.database))
            return
        serve = _serving()
        with opening.for_reading(settings):
            pass  # what is wrong with the database is said here, not by the first page

        def show(address: str) -> None:
            with redirect_stdout(stdout), redirect_stderr(stderr):
                print_result(address)
                if stderr.isatty() and not call.quiet:
                    prompt("The killboard is there until Ctrl-C.")
            if not no_open:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        stdout, stderr = sys.stdout, sys.stderr
        with leaving_by_exception(), nullcontext() if call.verbose else _silence():
            serve(settings.database, port=port, images=settings.images, ready=show)


def _metadata(database: Path) -> str:
    """Return Datasette's metadata, which names a database as its file is named."""
    from killsync.browse import descriptions

    return json.dumps(descriptions.metadata(database.stem), indent=2)


@contextmanager
def _silence() -> Iterator[None]:
    """Print nothing: what Datasette prints of an error may hold a stranger's text."""
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield


def _serving() -> Callable[..., None]:
    try:
        from killsync.browse import serving
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "killsync":
            raise
        raise UsageError(
            f"`browse` needs Datasette, and {error.name} is not installed: "
            f"run `{extra_line('browse')}`"
        ) from None
    return serving.serve
