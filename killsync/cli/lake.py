"""`killsync lake`: the whole game's archives as Parquet files, made by Spark."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from killsync.cli import invocation
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.import_progress import showing
from killsync.cli.import_session import conclude
from killsync.cli.signals import StopOnSignal
from killsync.settings.program import extra_line

HELP = {
    "lake": HelpText(
        {
            "killsync lake ~/killmails -o ~/lake": "on all processors of this machine",
            "killsync lake days -o lake --master spark://node1:7077": (
                "on a cluster, of which all machines see both"
            ),
        },
        exits(
            "all is read, or was before",
            _1="something was refused; the rest is written",
            _2="Java or pyspark is missing, or a path cannot be used",
            _75="no master or store answers, or somebody else writes there: try later",
            _130_143=STOPPED,
        ),
    ),
}


def lake(
    context: typer.Context,
    archives: Annotated[
        list[str],
        typer.Argument(
            metavar="ARCHIVES...",
            help="Archives, or directories with archives at any depth; also s3://bucket/prefix.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Write to this directory, or s3://bucket/prefix."
        ),
    ],
    master: Annotated[
        str, typer.Option(metavar="URL", help="Spark's master: a cluster's is spark://HOST:7077.")
    ] = "local[*]",
    with_hash: Annotated[
        bool,
        typer.Option("--with-hash", help="Add killmail_hash, with which anybody can ask ESI."),
    ] = False,
) -> None:
    """Turn EVE Ref's daily archives into Parquet files, with Spark.

    What stands there equals what `import everef --all` and `export --format parquet` would write:
    the tables killmails, attackers and items, by month. A later call adds the archives that are
    new or have changed. Nothing is stored in the database.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True), StopOnSignal() as stop:
        from killsync.lake.spark_driver import require_pyspark

        require_pyspark(extra_line("spark"))
        # what it imports may be missing before
        from killsync.cli import lake_making

        wanted = lake_making.Wanted(archives, output, master, with_hash)
        with showing(call) as shown:
            ended = lake_making.make(call, wanted, stop, shown, datetime.now(UTC).date())
        wrong = bool(ended.flawed or ended.refused)
        invocation.exit_with(conclude(call, stop, ended, wrong=wrong))
