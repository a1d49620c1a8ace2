"""`killsync lake` on Spark: what stands in the lake equals what an import and an export give."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import commands
import pytest
from archives import archive, path_of
from here import Done
from lake_archives import imported, loss, make_archives, odd, rows_of
from spark_cluster import Cluster, cluster

pytestmark = [pytest.mark.engines, pytest.mark.long]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("pyspark")
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


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
