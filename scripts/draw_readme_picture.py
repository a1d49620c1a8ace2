"""Draw the picture of README's first screen, `docs/kills.svg`: `killsync kills` on made-up data.

    python scripts/draw_readme_picture.py

The killmails are those of the simulator that the demo runs, as of a fixed time, and the table is
the program's own; so the same version always draws the same picture. Nothing is fetched, neither
by this script nor by whoever looks at the picture.
"""

import argparse
import io
import re
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from killsync.esi import prices as market
from killsync.esi.universe import Named
from killsync.killmail.body import decode
from killsync.model import TypePrice
from killsync.simulator.options import Options
from killsync.simulator.prices import Market
from killsync.simulator.world import World
from killsync.store import connection, game_data, kills, names, prices, storing, users
from killsync.store.connection import Store
from killsync.store.killmails import FetchedKillmail
from killsync.store.kills import Filters, Kill
from killsync.terminal.kills_table import print_kills
from killsync.times import iso, unix

PICTURE = Path(__file__).parent.parent / "docs" / "kills.svg"
NOW = unix("2026-11-22T22:00:00Z")
WIDTH = 104
ROWS = 16

_NAMED_AT_ONCE = 100_000
# those of Apple's systems, of Microsoft's, of most others
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_FETCHED_FONT = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)
# the colours of a dark terminal: background, text, then ANSI's eight and their bright ones
_BRIGHT = [
    (110, 118, 129), (255, 123, 114), (86, 211, 100), (227, 179, 65),
    (121, 192, 255), (210, 168, 255), (86, 212, 221), (255, 255, 255),
]  # fmt: skip
_DARK = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [
        (72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34),
        (88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196),
    ],
    _BRIGHT,
)  # fmt: skip


def main() -> None:
    """Write the picture."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.parse_args()
    PICTURE.write_text(drawn(readme_kills()))


def readme_kills() -> list[Kill]:
    """Return the killmails that README's picture shows."""
    return newest_kills(killmails=120, rows=ROWS)


def newest_kills(*, killmails: int, rows: int) -> list[Kill]:
    """Return the newest of what a simulated game of three characters has brought.

    Each character has about so many `killmails`.
    """
    options = Options(killmails=killmails)
    world = World(options, NOW)
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(connection.connect(Path(directory) / "killsync.db", create=True)) as store,
    ):
        connection.upgrade(store)
        game_data.load_if_outdated(store)
        _fill(store, world, market.decode(Market(options).listed(NOW)))
        return kills.page(store.conn, Filters(), rows)


def _fill(store: Store, world: World, priced: Sequence[TypePrice]) -> None:
    made = sorted(world.killmails.values(), key=lambda killmail: killmail.killmail_id)
    fetched = [
        FetchedKillmail.compared(
            decode(world.body(killmail)[0], killmail.killmail_id), killmail.killmail_hash
        )
        for killmail in made
    ]
    with store.transaction() as conn:
        for character in world.characters.values():
            users.add(conn, character.character_id, character.name, NOW)
        prices.record(conn, iso(NOW)[:10], priced, NOW)
        storing.store(conn, fetched, iso(NOW))
        found = map(world.name, names.next_to_ask(conn, _NAMED_AT_ONCE))
        given = [Named(name.id, name.name, name.category) for name in found if name]
        names.named(conn, given, NOW)


def drawn(shown: Sequence[Kill]) -> str:
    """Return the picture of a terminal in which `killsync kills` has listed killmails."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(Text.assemble(("$ ", "bold green"), ("killsync kills", "bold")))
    print_kills(shown, console, local=False, now=NOW)
    picture = console.export_svg(title="killsync kills", theme=_DARK, unique_id="killsync")
    local = _FETCHED_FONT.sub("", picture).replace("Fira Code, monospace", _FONTS)
    return "".join(f"{line.rstrip()}\n" for line in local.splitlines())


if __name__ == "__main__":
    main()
