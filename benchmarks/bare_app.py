"""A bare Typer app with as many commands as killsync: the least time a command can take."""

import sqlite3
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def options(
    db: Annotated[str | None, typer.Option(help="A path.")] = None,
    config: Annotated[str | None, typer.Option(help="A path.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Do nothing useful."""


@app.command()
def select(force: Annotated[bool, typer.Option(help="A flag.")] = False) -> None:
    """Ask SQLite for a number."""
    typer.echo(sqlite3.connect(":memory:").execute("select 1").fetchone()[0])


@app.command()
def table(watch: Annotated[bool, typer.Option(help="A flag.")] = False) -> None:
    """Print a table of ten rows."""
    from rich.console import Console
    from rich.table import Table

    rows = Table("Character", "Killmails")
    for number in range(10):
        rows.add_row(f"Pilot {number}", f"{number:,}")
    Console().print(rows)


def nothing(limit: Annotated[int, typer.Option(help="A number.")] = 1) -> None:
    """Do nothing."""


for name in ["init", "sync", "login", "users", "check", "export", "doctor", "demo", "simulator"]:
    app.command(name)(nothing)

if __name__ == "__main__":
    app()
