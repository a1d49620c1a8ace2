"""Draw the pictures of README and the manual, `docs/*.svg`: commands, and what they print.

    python scripts/draw_pictures.py

Each command runs at a terminal of its own, on a database that scans of the simulator have filled,
in processes whose clock stands still; so the same version always draws the same pictures. Nothing
is fetched, neither by this script nor by whoever looks at a picture.
"""

import argparse
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

# terminals, the simulator and a clock that stands still come from the tests
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from campaign.clock import Clock, shared_clock
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from terminal import at_terminal
from world import Killsync, simulator

from killsync.cli.demo import telling_loss
from killsync.killmail.sides import Side
from killsync.store import connection, killmails, kills
from killsync.store.kills import Filters
from killsync.times import unix

PICTURES = Path(__file__).parents[1] / "docs"
WIDTH = 104
FIRST_SCAN = unix("2026-11-22T21:00:00Z")
SECOND_SCAN = unix("2026-11-22T21:20:00Z")
NOW = unix("2026-11-22T21:24:00Z")

_LOSSES_LOOKED_AT = 100
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
    """Write the pictures."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.parse_args()
    for name, picture in pictures().items():
        (PICTURES / f"{name}.svg").write_text(picture)


def pictures() -> dict[str, str]:
    """Return all pictures, by the name of their file."""
    with filled() as program:
        return {
            name: drawn(words, at_terminal(program, *words, columns=WIDTH))
            for name, words in commands(program).items()
        }


def commands(program: Killsync) -> dict[str, list[str]]:
    """Return the words of each command that is drawn."""
    return {
        "kills": ["kills", "--limit", "12"],
        "killmail": ["kills", str(_loss(program))],
        "status": ["status"],
        "stats": ["stats"],
    }


@contextmanager
def filled() -> Iterator[Killsync]:
    """Yield a killsync of three characters and their corporation, after two scans."""
    with (
        tempfile.TemporaryDirectory() as directory,
        shared_clock(speed=0) as clock,
    ):
        clock.set(FIRST_SCAN)
        # strangers only: characters that shoot each other would be their own opponents
        with simulator(characters=3, corporations=1, killmails=120, shared=0) as esi:
            program = Killsync(Path(directory), esi)
            program.environment |= _as_people_have_it(clock)
            program.add_users(corporation=True)
            program.run("scan")
            clock.set(SECOND_SCAN)
            for login in esi.logins:
                esi.add_killmails(login["character_id"], 1)
            program.run("scan")
            clock.set(NOW)
            yield program


def _as_people_have_it(clock: Clock) -> dict[str, str]:
    colours = {"COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    return clock.environment | colours | {"KILLSYNC_NAMES": "on", "KILLSYNC_PRICES": "on"}


def _loss(program: Killsync) -> int:
    """Return the loss that the demo shows too: a whole fit, and a few attackers."""
    with closing(connection.connect(program.database, read_only=True)) as store:
        losses = kills.page(store.conn, Filters(side=Side.LOSS, no_pods=True), _LOSSES_LOOKED_AT)
        carried = killmails.carried(store.conn, [loss.killmail_id for loss in losses])
    found = telling_loss(losses, carried)
    assert found is not None
    return found


def drawn(words: Sequence[str], lines: Sequence[str]) -> str:
    """Return the picture of a terminal in which a command of killsync's has printed these lines."""
    command = f"killsync {shlex.join(words)}"
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
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    picture = console.export_svg(title=command, theme=_DARK, unique_id=words[0])
    local = _FETCHED_FONT.sub("", picture).replace("Fira Code, monospace", _FONTS)
    return "".join(f"{line.rstrip()}\n" for line in local.splitlines())


if __name__ == "__main__":
    main()
