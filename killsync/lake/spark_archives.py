"""The lake's table `archives`: which were read for it, and what became of each."""

from collections.abc import Iterable
from datetime import date
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from killsync.lake.layout import Call, Target
from killsync.lake.spark_plan import PlannedArchive, Version
from killsync.lake.spark_rows import ArchiveOutcome
from killsync.lake.target_footer import damaged
from killsync.lake.target_names import ARCHIVES

_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("archive", pa.string()),
        ("version", pa.string()),
        ("first_seq", pa.int64()),
        ("killmails", pa.int64()),
        ("stored", pa.int64()),
        ("refused", pa.int64()),
        ("flaw", pa.string()),
    ]
)


def write(call: Call, archives: Iterable[tuple[PlannedArchive, ArchiveOutcome, int]]) -> None:
    """Write the archives of a call, each with how many of its killmails the call stores."""
    with call.part(ARCHIVES, None, _SCHEMA) as part:
        rows = [_row(*archive) for archive in archives]
        part.write_table(pa.Table.from_pylist(rows, part.schema))


def versions_read(target: Target) -> set[Version]:
    """Return the archives that were read to their end for a lake. Raises UsageError if damaged."""
    read: set[Version] = set()
    for name in target.parts(ARCHIVES):
        try:
            with target.reading(name) as part:
                rows: Iterable[dict[str, Any]] = part.read().to_pylist()
                read |= {
                    Version(str(row["day"]), row["version"]) for row in rows if not row["flaw"]
                }
        except (pa.ArrowException, KeyError) as error:
            raise damaged(f"{target.shown}/{name}") from error
    return read


def _row(archive: PlannedArchive, outcome: ArchiveOutcome, stored: int) -> dict[str, Any]:
    return {
        "day": date.fromisoformat(archive.day),
        "archive": PurePath(archive.path).name,
        "version": archive.version,
        "first_seq": archive.first_seq,
        "killmails": outcome.killmails,
        "stored": stored,
        "refused": sum(outcome.refused.values()),
        "flaw": outcome.flaw,
    }
