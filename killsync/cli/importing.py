"""`killsync import`: killmails from elsewhere. One module for each source; here they are named."""

from typing import Any

from killsync.cli.app import Commands
from killsync.cli.commands import App, Group
from killsync.cli.help_parts import IMPORTED, HelpText

_SOURCES = {
    "everef": ("import_everef", "everef"),
    "json": ("import_json", "import_json"),
    "zkb": ("import_zkb", "zkb"),
}


HELP = {
    "import": HelpText(
        {
            "killsync import everef --days 2016-02": "a month of EVE Ref's archives",
            "killsync import zkb maru": "what zKillboard lists of one user",
        },
        IMPORTED,
    ),
}


class _Sources(Group):
    """The sources; reading files must not load what sends requests."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands(_SOURCES)  # type: ignore[assignment]


app = App(
    cls=_Sources,
    help="Import killmails from elsewhere. Each source is a command of its own.",
    no_args_is_help=True,
)


@app.callback()
def sources() -> None:
    """Import killmails from elsewhere.

    Stored are those in which a registered character or corporation takes part.
    """
