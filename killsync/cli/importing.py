"""`killsync import`: killmails from elsewhere. One module for each source; here they are named."""

import typer

from killsync.cli.import_everef import everef
from killsync.cli.import_json import import_json
from killsync.cli.import_zkb import zkb

app = typer.Typer(
    help="Import killmails from elsewhere. Each source is a command of its own.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def sources() -> None:
    """Import killmails from elsewhere.

    Stored are those in which a registered character or corporation takes part.
    """


app.command()(everef)
app.command("json")(import_json)
app.command()(zkb)
