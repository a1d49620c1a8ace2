"""`killsync lake` on Spark: what stands in the lake equals what an import and an export give."""

import bz2
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import commands
import pytest
from archives import killmail, member, tar, write
from here import Done, run_here
from spark_cluster import Cluster, cluster
from stored import attacker, body, pilot

from killsync.killmail.body import decode
from killsync.killmail.hash import expected_hash
from killsync.simulator import bodies

pytestmark = [pytest.mark.engines, pytest.mark.long]

ANNA, STRANGER = 90_000_001, 2_112_000_001
# the lake numbers what it has read, and a database what it has stored
OF_THE_LAKE = {"stored_seq", "stored_at"}
TABLES = ("killmails", "attackers", "items")


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("pyspark")
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def generated(killmail_id: int, time_: datetime) -> dict[str, Any]:
    """Return a killmail with a fit, nested items among them, as the simulator makes them."""
    made = bodies.make_killmail(15, killmail_id, int(time_.timestamp()), ANNA)
    content: dict[str, Any] = bodies.make_body(15, made)
    return content


def loss(killmail_id: int, when: str, **more: Any) -> dict[str, Any]:
    shooter = attacker(STRANGER, 5, final_blow=True)
    return body(killmail_id, pilot(ANNA, 1), [shooter], time=when) | more


def hashed(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"killmail_hash": expected_hash(decode(json.dumps(content).encode()))}


def make_archives(directory: Path, days: int = 4, killmails: int = 30) -> list[Path]:
    """Make archives around the end of a month: with hashes and without, and odd in every way."""
    first, paths = datetime(2016, 1, 30, tzinfo=UTC), []
    for number in range(days):
        day = first + timedelta(days=number)
        contents = [
            generated(50_000_000 + 1_000 * number + 2 * n, day + timedelta(minutes=n))
            for n in range(killmails)
        ]
        if number % 2:
            contents = [hashed(content) for content in contents]
        # stands in two days; of the next month's first moment; and with what is in no column
        contents.append(loss(50_000_999, "2016-01-31T23:59:59Z"))
        contents.append(loss(50_001_999, "2016-02-01T00:00:00Z"))
        contents.append(odd(60_000_000 + number, f"{day:%Y-%m-%d}T12:00:00Z"))
        refused = [
            killmail(loss(70_000_001, f"{day:%Y-%m-%d}T01:00:00Z", killmail_hash="0" * 40)),
            member("killmails/70000002.json", b'{"killmail_id": 70000002}'),
            member("readme.txt", b"no killmail"),
        ]
        members = [*map(killmail, contents[: killmails // 2]), *refused]
        members += map(killmail, contents[killmails // 2 :])
        paths.append(write(directory, bz2.compress(tar(*members)), f"{day:%Y-%m-%d}"))
    return paths


def odd(killmail_id: int, when: str) -> dict[str, Any]:
    inside = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 2**40}
    box = {"item_type_id": 3_293, "flag": 5, "singleton": 0, "items": [inside], "is_new": "\0'\n"}
    victim = pilot(ANNA, 1, position={"x": 2**60 + 1, "y": -1.5, "z": 0, "w": 1}, humour="\u20ac")
    shooters = [attacker(None, None, faction_id=500_010), attacker(STRANGER, final_blow=True)]
    shooters[0]["mood"] = {"deep": [1, 2.5, None]}
    content = body(killmail_id, victim, shooters, time=when, items=[box])
    return content | {"moon_id": 40_000_001, "war_id": 7, "unknown": True}


def started(spark: Cluster, *words: str | Path) -> subprocess.Popen[str]:
    return commands.start(
        *("lake", *map(str, words), "--master", spark.master),
        environment=spark.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[str]) -> Done:
    with process:
        output = process.communicate(timeout=commands.TIMEOUT)
    return Done(process.args, process.returncode, *output)


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
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "KILLSYNC_DB": str(directory / "imported.db"),
        "KILLSYNC_NAMES": "off",
    }
    run_here("import", "everef", str(archives), "--all", environment=environment)
    exported = directory / "exported"
    words = ("export", "--format", "parquet", "--with-hash", "-o", str(exported))
    done = run_here(*words, environment=environment)
    assert done.returncode == 0, done
    return rows_of(exported)


def test_a_lake_equals_an_import_and_an_export_whoever_is_killed_in_the_middle(
    spark: Cluster, tmp_path: Path
) -> None:
    """A month's border, killmails that stand in two days, refused ones, and items in items."""
    make_archives(tmp_path / "archives")
    expected = imported(tmp_path, tmp_path / "archives")
    lake = tmp_path / "lake"
    process = started(spark, tmp_path / "archives", "-o", lake, "--with-hash")
    while process.poll() is None and not (at_work := spark.pythons()):
        time.sleep(0.01)
    # one of Python's, and the whole executor of the other worker
    for pid in (at_work[0], spark.executors()[-1]):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    done = ended(process)
    assert done.returncode == 1, done
    assert "refused (" in done.stdout
    assert rows_of(lake) == expected
    again = ended(started(spark, tmp_path / "archives", "-o", lake, "--with-hash"))
    assert again.returncode == 0
    assert "no archive to read; 4 were read before" in again.stderr
