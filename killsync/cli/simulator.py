"""`killsync simulator`: the bundled ESI and SSO, to try every other command by hand."""

import json
import shlex
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from killsync.cli import invocation
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import print_result
from killsync.cli.options import seconds
from killsync.errors import UsageError

if TYPE_CHECKING:
    from killsync.simulator import Options, Ready


HELP = {
    "simulator": HelpText(
        {
            "killsync simulator": "prints what to export in another terminal",
            "killsync simulator --corporations 1 --rotate": "with directors, and new tokens",
            "killsync simulator --new-every 1m --cache 10s": "where something happens",
        },
        exits("ended", _2="an option is wrong, or the port is in use", _130="ended by Ctrl-C"),
    ),
}


def simulator(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 0,
    characters: Annotated[int, typer.Option(help="Characters at the start.")] = 3,
    killmails: Annotated[int, typer.Option(help="Killmails of each at the start.")] = 200,
    corporations: Annotated[
        int, typer.Option(help="Corporations that they are in, with two directors each.")
    ] = 0,
    archive_days: Annotated[
        int, typer.Option(help="Days before the lists begin, to import from archives.")
    ] = 0,
    new_every: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Give each character a new killmail this often."),
    ] = None,
    page_size: Annotated[int, typer.Option(help="Killmails on a page.")] = 1000,
    cache: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long a list is frozen."),
    ] = "300s",
    window: Annotated[
        str,
        typer.Option(metavar="DURATION", help="The rate limits' window."),
    ] = "15m",
    latency: Annotated[str, typer.Option(metavar="DURATION", help="Of every answer.")] = "0s",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Replace the refresh token at each refresh.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed makes the same world.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any option of killsync.simulator."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print address and tokens as JSON.")
    ] = False,
) -> None:
    """Run a simulated ESI and SSO on this machine, until Ctrl-C."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        name = call.program.name
        window_s = seconds("--window", window)
        latency_s = seconds("--latency", latency)
        given: dict[str, Any] = {
            "port": port,
            "characters": characters,
            "killmails": killmails,
            "corporations": corporations,
            "archive_days": archive_days,
            "new_every": 0.0 if new_every is None else seconds("--new-every", new_every),
            "page_size": page_size,
            "list_max_age": seconds("--cache", cache),
            "list_window": window_s,
            "corp_list_window": window_s,
            "body_window": window_s,
            "status_window": window_s,
            "latency_list": latency_s,
            "latency_body": latency_s,
            "latency_sso": latency_s,
            "rotate": rotate,
            "consent_page": True,
            "seed": seed,
        }
        given |= dict(_pair(text) for text in settings or [])
        from killsync.simulator import serve

        try:
            serve(_options(given), _print_json if as_json else partial(_print_environment, name))
        except OSError as error:
            raise UsageError(f"port {port} cannot be listened on: {error.strerror}") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set is {text!r}: give NAME=VALUE")
    return name, value


def _options(given: dict[str, Any]) -> "Options":
    import msgspec

    from killsync.simulator import Options

    try:
        return msgspec.convert(given, Options, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"the simulator does not take this option: {error}") from error


def _print_json(ready: "Ready") -> None:
    import msgspec

    print_result(json.dumps(msgspec.to_builtins(ready)))


def _print_environment(name: str, ready: "Ready") -> None:
    database = Path(tempfile.mkdtemp(prefix="killsync-simulator-")) / "killsync.db"
    print_result(
        f"# ESI and SSO are simulated at {ready.base_url} until Ctrl-C. In another terminal:\n"
        f"export KILLSYNC_ESI_URL={ready.base_url}\n"
        f"export KILLSYNC_SSO_URL={ready.base_url}\n"
        f"export KILLSYNC_EVEREF_URL={ready.everef_url}\n"
        f"export KILLSYNC_ZKB_URL={ready.zkb_url}\n"
        f"export KILLSYNC_CLIENT_ID={shlex.quote(ready.client_id)}\n"
        f"export KILLSYNC_DB={shlex.quote(str(database))}\n"
        f"{_registering(name, ready)}"
        f"{name} scan\n"
        f"# Instead of users add, log in one by one: {name} login --another"
        f"{_more(name, ready)}"
    )


def _registering(name: str, ready: "Ready") -> str:
    """Return the lines that register all characters, and the corporations with their directors."""
    directors = {director for one in ready.corporations for director in one.directors}
    lines = ""
    for wanted, option in ((False, ""), (True, " --corporation")):
        tokens = [
            login.refresh_token
            for login in ready.logins
            if (login.character_id in directors) == wanted
        ]
        if tokens:
            lines += f"printf '%s\\n' {' '.join(tokens)} | {name} users add{option}\n"
    return lines


def _more(name: str, ready: "Ready") -> str:
    """Return what else can be tried in this world, as comments."""
    names = {login.character_id: login.name for login in ready.logins}
    lines = [
        f"# {one.name} is directed by {' and '.join(names[i] for i in one.directors)}: "
        f"{name} login --corporation"
        for one in ready.corporations
        if one.directors
    ]
    if ready.old_days:
        first, last = ready.old_days
        lines.append(f"# Older than any list of ESI's: {name} import everef --days {first}..{last}")
        lines += [
            f"# or, by zKillboard's lists: {name} import zkb {shlex.quote(login.name)}"
            for login in ready.logins[:1]
        ]
    return "".join(f"\n{line}" for line in lines)
