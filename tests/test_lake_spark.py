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
from archives import archive, killmail, member, path_of, tar, write
from here import Done, run_here
from spark_cluster import Cluster, cluster
from stored import attacker, body, pilot

from killsync.killmail.body import decode
from killsync.killmail.hash import expected_hash
from killsync.simulator import bodies
from killsync.times import unix

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


def test_a_lake_equals_an_import_and_an_export_whoever_is_killed_in_the_middle(
    spark: Cluster, tmp_path: Path
) -> None:
    """Then a later call adds what has changed and what is new, and again they are equal."""
    archives, lake = tmp_path / "archives", tmp_path / "lake"
    *_, damaged = make_archives(archives)
    expected = imported(tmp_path, archives)
    process = started(spark, archives, "-o", lake, "--with-hash")
    while process.poll() is None and not (at_work := spark.pythons()):
        time.sleep(0.01)
    assert process.poll() is None
    # one of Python's, and the whole executor of the other worker
    for pid in (at_work[0], spark.executors()[-1]):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    done = ended(process)
    assert done.returncode == 1, done
    assert f"{damaged}: is cut short; what came before that is written" in done.stderr
    assert "3 archives read, 1 refused; 123 killmails of 2 months: " in done.stdout
    assert rows_of(lake) == expected

    archive(archives, [loss(50_000_001, "2016-01-30T09:00:00Z"), odd(7, "2016-01-30T10:00:00Z")])
    path_of(archives, "2016-01-30").write_bytes(path_of(archives).read_bytes())
    make_archives(tmp_path / "whole", days=5)
    path_of(tmp_path / "whole", "2016-02-02").replace(damaged)
    expected = imported(tmp_path, archives)
    done = ended(started(spark, archives, "-o", lake, "--with-hash"))
    assert rows_of(lake) == expected
    sequences = [row["stored_seq"] for row in rows_of(lake, without=set())["killmails"]]
    assert len(set(sequences)) == len(sequences)
    # as after an export from which nothing was removed
    assert [file.name for file in (lake / "removed").iterdir()] == ["part-0.parquet"]
    again = ended(started(spark, archives, "-o", lake, "--with-hash"))
    assert (again.returncode, "no archive to read; 4 were read before" in again.stderr) == (0, True)
