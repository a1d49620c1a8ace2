"""Archives that are odd in every way, and what a lake of them has to equal."""

import bz2
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from archives import killmail, member, tar, write
from here import run_here
from stored import attacker, body, pilot

from killsync.killmail.body import decode
from killsync.killmail.hash import expected_hash
from killsync.simulator import bodies
from killsync.times import unix

ANNA, STRANGER = 90_000_001, 2_112_000_001
# the lake numbers what it has read, and a database what it has stored
OF_THE_LAKE = {"stored_seq", "stored_at"}
TABLES = ("killmails", "attackers", "items")


def generated(killmail_id: int, when: str) -> dict[str, Any]:
    """Return a killmail with a fit, as the simulator makes them."""
    made = bodies.make_killmail(15, killmail_id, int(unix(when)), ANNA)
    content: dict[str, Any] = bodies.make_body(15, made)
    return content


def loss(killmail_id: int, when: str, **more: Any) -> dict[str, Any]:
    shooter = attacker(STRANGER, 5, final_blow=True)
    return body(killmail_id, pilot(ANNA, 1), [shooter], time=when) | more


def hashed(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"killmail_hash": expected_hash(decode(json.dumps(content).encode()))}


def make_archives(directory: Path, days: int = 4, killmails: int = 30) -> list[Path]:
    """Make archives around the end of a month: with hashes and without, and odd in every way.

    The last one is damaged behind a part that is whole.
    """
    paths = []
    for number in range(days):
        day = f"{datetime(2016, 1, 30, tzinfo=UTC) + timedelta(days=number):%Y-%m-%d}"
        contents = [
            generated(50_000_000 + 1_000 * number + 2 * n, f"{day}T00:{n:02}:00Z")
            for n in range(killmails)
        ]
        if number % 2:
            contents = [hashed(content) for content in contents]
        # stands in every day; of the last and the first moment of a month; with what has no column
        contents.append(loss(50_000_999, "2016-01-31T23:59:59Z"))
        contents.append(loss(50_001_999, "2016-02-01T00:00:00Z"))
        contents.append(odd(60_000_000 + number, f"{day}T12:00:00Z"))
        refused = [
            killmail(loss(70_000_001, f"{day}T01:00:00Z", killmail_hash="0" * 40)),
            member("killmails/70000002.json", b'{"killmail_id": 70000002}'),
            member("readme.txt", b"no killmail"),
        ]
        half = killmails // 2
        members = [*map(killmail, contents[:half]), *refused, *map(killmail, contents[half:])]
        # in two streams, of which one can be damaged
        packed = bz2.compress(b"".join(members[:half]))
        packed += bz2.compress(tar(*members[half:]))[: -200 if number == days - 1 else None]
        paths.append(write(directory, packed, day))
    return paths


def odd(killmail_id: int, when: str) -> dict[str, Any]:
    inside = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 2**40}
    box = {"item_type_id": 3_293, "flag": 5, "singleton": 0, "items": [inside], "is_new": "\0'\n"}
    victim = pilot(ANNA, 1, position={"x": 2**60 + 1, "y": -1.5, "z": 0, "w": 1}, humour="\u20ac")
    shooters = [attacker(None, None, faction_id=500_010), attacker(STRANGER, final_blow=True)]
    shooters[0]["mood"] = {"deep": [1, 2.5, None]}
    content = body(killmail_id, victim, shooters, time=when, items=[box])
    return content | {"moon_id": 40_000_001, "war_id": 7, "unknown": True}


def rows_of(lake: Path, *, without: set[str] = OF_THE_LAKE) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table, in an order that does not depend on who has written them."""
    import pyarrow.dataset as ds

    found = {}
    for table in TABLES:
        part = ds.dataset(lake / table, partitioning=None).to_table()
        columns = [name for name in part.column_names if name not in without]
        key = [name for name in ("killmail_id", "ordinal") if name in columns]
        found[table] = part.select(columns).sort_by([(name, "ascending") for name in key])
    return {table: content.to_pylist() for table, content in found.items()}


def imported(directory: Path, archives: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what an import of everything and an export have."""
    exported = directory / "exported"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "KILLSYNC_DB": str(directory / "imported.db"),
        "KILLSYNC_NAMES": "off",
    }
    done = run_here("import", "everef", str(archives), "--all", environment=environment)
    assert done.returncode == 1
    words = ("export", "--format", "parquet", "--with-hash", "-o", str(exported), "--quiet")
    done = run_here(*words, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return rows_of(exported)
