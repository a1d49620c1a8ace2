"""`killsync data`: which game data are shipped and loaded; `update` brings newer ones."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from killsync import files
from killsync.cli import invocation, opening
from killsync.cli.commands import App
from killsync.cli.help_parts import UNUSABLE, HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.cli.reprice import reprice
from killsync.errors import UsageError
from killsync.gamedata.form import ADDRESS
from killsync.gamedata.game_data import GameData
from killsync.gamedata.shipped import Edition, shipped_edition
from killsync.settings.config import Settings
from killsync.settings.values import check_url
from killsync.store import connection, facts, game_data, prices
from killsync.store.connection import Store
from killsync.store.facts import Failure
from killsync.terminal.text import count, safe
from killsync.times import unix

_PATIENCE = 60.0
_NEXT_SCAN = "the next scan loads what is shipped"


HELP = {
    "data": HelpText(
        {"killsync data": "how old the game data are"},
        exits("shown", _2=UNUSABLE),
    ),
    "data update": HelpText(
        {
            "killsync data update": "after a patch of the game",
            "killsync data update --file ~/static-data.zip": "from a file, without network",
        },
        exits(
            "loaded, or there is nothing newer",
            _2="the file is broken, unknown or older; nothing is changed",
            _75="CCP's server is down, or a run is in progress: try later",
        ),
    ),
}


class _Prices(msgspec.Struct, frozen=True):
    """The newest day whose prices there are, and why newer ones could not be had, if so."""

    day: str | None = None
    failure: Failure | None = None


class _Held(msgspec.Struct, frozen=True):
    """What the database holds."""

    loaded: Edition | None = None
    prices: _Prices = _Prices()


app = App(
    help="Show the game data: types, systems, NPC corporations, factions; bring newer ones.",
)


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which game data are shipped with killsync, and which the database holds."""
    if context.invoked_subcommand is not None:
        return
    call = invocation.from_context(context)
    with invocation.edge(call):
        shipped, held = shipped_edition(), _held(call.settings())
        if as_json:
            both = {"shipped": shipped, "loaded": held.loaded, "prices": held.prices}
            print_result(json.dumps(msgspec.to_builtins(both), indent=2))
            return
        _print_edition("shipped", shipped)
        if held.loaded is None:
            print_result(f"loaded:  none yet; {_NEXT_SCAN}")
        else:
            _print_edition("loaded", held.loaded)
            if held.loaded.build < shipped.build:
                print_result(_NEXT_SCAN)
        _print_prices(held.prices)


@app.command()
def update(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(metavar="ZIP", help="Take this export, and ask nobody."),
    ] = None,
    url: Annotated[str, typer.Option(metavar="URL", help="Where CCP's exports are.")] = ADDRESS,
) -> None:
    """Load CCP's newest static data, fetched (100 MB) or from a file.

    CCP publishes them at https://developers.eveonline.com/static-data: take the JSON lines. They
    belong to CCP; https://developers.eveonline.com/license-agreement says what they may be used
    for.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        settings = call.settings()
        with opening.for_users(settings) as store:
            if file is not None:
                _load(call, store, _read(file), str(file))
            else:
                _fetch(call, settings, store, _checked(url))


app.command()(reprice)


def _held(settings: Settings) -> _Held:
    if not settings.database.exists():
        return _Held()
    with opening.for_reading(settings, any_version=True) as store:
        if store.version() < connection.VERSION:
            return _Held()
        conn = store.conn
        known = facts.game_data(conn)
        counts = msgspec.structs.asdict(game_data.counts(conn))
        return _Held(
            None if known is None else Edition(*known, **counts),
            _Prices(prices.newest_day(conn, time.time()), facts.failure(conn, "prices")),
        )


def _print_prices(found: _Prices) -> None:
    print_result(f"prices:  {'none yet' if found.day is None else f'of {safe(found.day)}'}")
    if found.failure is not None:
        since, reason = safe(found.failure.since), safe(found.failure.reason)
        print_result(f"{'':9}requests have failed since {since}: {reason}")


def _print_edition(name: str, edition: Edition) -> None:
    parts = (
        count(edition.types, "type"),
        count(edition.systems, "system"),
        count(edition.corporations, "NPC corporation"),
        count(edition.factions, "faction"),
    )
    released = _released(edition.released_at, time.time())
    label = f"{name}:".ljust(9)
    print_result(f"{label}build {edition.build}{released}")
    print_result(f"{'':9}{', '.join(parts)}")


def _released(at: str, now: float) -> str:
    try:
        days = int((now - unix(at)) // 86400)
    except ValueError:
        return ""
    return f" of {safe(at[:10])}" + (f", {count(days, 'day')} old" if days > 0 else "")


def _read(file: Path, name: str | None = None) -> GameData:
    from killsync.gamedata import reading

    return reading.read(file, name)


def _checked(url: str) -> str:
    try:
        return check_url(url)
    except ValueError as error:
        raise UsageError(f"--url {safe(url)}: {error}") from error


def _fetch(call: Invocation, settings: Settings, store: Store, url: str) -> None:
    from killsync.esi import static_data
    from killsync.http import Http
    from killsync.settings import application

    user_agent = application.user_agent(settings.contact)
    with closing(Http(user_agent, deadline=static_data.DEADLINE)) as http:
        with opening.at_work(store, _PATIENCE):
            known = facts.game_data(store.conn)
        release = static_data.newest(http, url)
        if known is not None and known[0] >= release.build:
            _print(call, f"there is nothing newer than build {known[0]}, which is loaded")
            return
        if not call.quiet:
            typer.echo(f"fetching build {release.build}, about 100 MB", err=True)
        with _draft(store.path) as draft:
            with draft.open("r+b") as stream:
                static_data.download(http, url, release.build, stream)
            data = _read(draft, "CCP's export")
    _load(call, store, data, "CCP's export")


@contextmanager
def _draft(database: Path) -> Iterator[Path]:
    # a killed program's is deleted by the next
    with files.draft_beside(database.with_name(f"{database.name}.game-data")) as draft:
        yield draft


def _load(call: Invocation, store: Store, data: GameData, name: str) -> None:
    with opening.at_work(store, _PATIENCE):
        known = facts.game_data(store.conn)
        if known is not None and known[0] > data.build:
            raise UsageError(
                f"{name}: is of build {data.build}, older than build {known[0]}, which is loaded; "
                "nothing was changed"
            )
        before = game_data.counts(store.conn)
        with store.transaction() as conn:
            game_data.load(conn, data)
        after = game_data.counts(store.conn)
    _print(call, f"build {data.build} is loaded: {_gained(before, after)}")


def _gained(before: game_data.Counts, after: game_data.Counts) -> str:
    types = count(after.types - before.types, "new type")
    return f"{types}, {count(after.systems - before.systems, 'new system')}"


def _print(call: Invocation, text: str) -> None:
    if not call.quiet:
        print_result(text)
