"""What keeps `killsync lake` from its work: one line that says what to do, and nothing changed."""

import os
import socket
import sys
from pathlib import Path

import pytest
from archives import archive
from here import Done, run_here
from stored import attacker, body, pilot

DAY = "2016-02-01"


def loss(killmail_id: int) -> dict[str, object]:
    shooter = attacker(2_112_000_001, 5, final_blow=True)
    return body(killmail_id, pilot(90_000_001, 1), [shooter], time=f"{DAY}T12:00:00Z")


class Lake:
    """Archives, and a place for a lake beside them."""

    def __init__(self, directory: Path) -> None:
        self.archives = directory / "archives"
        self.path = directory / "lake"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        archive(self.archives, [loss(7)])

    def run(self, *more: str | Path, **environment: str) -> Done:
        words = ["lake", str(self.archives), "-o", str(self.path), *map(str, more)]
        return run_here(*words, environment=self.environment | environment)

    def refused(self, *more: str | Path, exit_code: int = 2, **environment: str) -> str:
        """Return the one line of a call that changes nothing."""
        done = self.run(*more, **environment)
        assert (done.returncode, done.stdout) == (exit_code, "")
        (line,) = done.stderr.splitlines()
        assert not self.path.exists()
        return line


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def with_spark(lake: Lake) -> Lake:
    pytest.importorskip("pyspark")
    return lake


def java_that_says(directory: Path, words: str) -> str:
    """Return a JAVA_HOME whose Java is this script's."""
    java = directory / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{words}' >&2\n")
    java.chmod(0o755)
    return str(directory)


def test_without_the_extra_it_is_said_how_to_install_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert "`lake` needs Spark, and pyspark is not installed: run `" in lake.refused()


@pytest.mark.engines
@pytest.mark.parametrize("missing", ["pyarrow", "pandas"])
def test_without_spark_or_what_it_needs_it_is_said_how_to_install_it(
    with_spark: Lake, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    line = with_spark.refused()
    assert f"`lake` needs Spark, and {missing} is not installed: run `" in line
    assert "-m pip install 'pyspark" in line
    # whoever has that name in a registry is not asked
    assert "killsync[" not in line


@pytest.mark.engines
def test_without_java_it_is_said_what_to_install(with_spark: Lake, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there is none: install Java 17" in with_spark.refused(PATH=str(tmp_path / "empty"))


@pytest.mark.engines
def test_a_java_home_without_java_is_named(with_spark: Lake, tmp_path: Path) -> None:
    home = str(tmp_path / "nothing")
    assert f"JAVA_HOME is {home}, where there is no bin/java" in with_spark.refused(JAVA_HOME=home)


@pytest.mark.engines
@pytest.mark.parametrize("words", ['openjdk version "11.0.2" 2019', 'java version "1.8.0_292"'])
def test_a_java_that_is_too_old_is_named(with_spark: Lake, tmp_path: Path, words: str) -> None:
    home = java_that_says(tmp_path / "old", words)
    old = 8 if "1.8" in words else 11
    line = with_spark.refused(JAVA_HOME=home)
    assert f"is Java {old}, and Spark needs 17: install Java 17" in line


@pytest.mark.engines
def test_a_master_that_does_not_answer_is_tried_again_later(with_spark: Lake) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        master = f"spark://127.0.0.1:{unused.getsockname()[1]}"
        line = with_spark.refused("--master", master, exit_code=75)
    assert f"no Spark master answers at {master}" in line
    assert "Connection refused" in line


@pytest.mark.engines
@pytest.mark.parametrize(
    "master", ["cluster", "local[0]", "local[two]", "spark://node1", "spark://node1:0", ""]
)
def test_what_is_no_master_is_refused(with_spark: Lake, master: str) -> None:
    assert f"--master {master}:" in with_spark.refused("--master", master)


@pytest.mark.engines
def test_a_secret_in_a_master_is_not_repeated(with_spark: Lake) -> None:
    line = with_spark.refused("--master", "spark://maru:hunter2@node1:7077")
    assert "--master has a user or a secret in it" in line
    assert "hunter2" not in line


@pytest.mark.engines
def test_yarn_that_is_nowhere_named_is_not_waited_for(with_spark: Lake) -> None:
    line = with_spark.refused("--master", "yarn")
    assert "--master yarn: set HADOOP_CONF_DIR or YARN_CONF_DIR to the directory" in line


@pytest.mark.engines
def test_a_spark_home_without_spark_is_named(with_spark: Lake, tmp_path: Path) -> None:
    home = str(tmp_path / "nothing")
    line = with_spark.refused(SPARK_HOME=home)
    assert f"SPARK_HOME is {home}, where there is no bin/spark-submit: correct it" in line


@pytest.mark.engines
def test_without_an_archive_nothing_starts(with_spark: Lake, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = ("lake", str(tmp_path / "empty"), "-o", str(with_spark.path))
    done = run_here(*words, environment=with_spark.environment)
    assert done.returncode == 2
    assert "no archive there: they are named killmails-YYYY-MM-DD.tar.bz2" in done.stderr
    assert not with_spark.path.exists()


@pytest.mark.engines
def test_a_directory_of_somebody_else_stays_as_it_is(with_spark: Lake) -> None:
    with_spark.path.mkdir()
    (with_spark.path / "thesis.txt").write_text("mine")
    done = with_spark.run()
    assert done.returncode == 2
    assert "has other files in it, such as thesis.txt; name a new directory" in done.stderr
    assert [path.name for path in with_spark.path.iterdir()] == ["thesis.txt"]
