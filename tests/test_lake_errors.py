"""What a person reads of an error of Spark's, which comes as the traces of two languages."""

import pytest

from killsync.errors import TryLater, UsageError
from killsync.lake.spark_errors import explained

OF_JAVA = """\
An error occurred while calling o98.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4
times, most recent failure: Lost task 0.3 (TID 3) (node2 executor 1): {cause}
\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.read(PythonRunner.scala:500)
"""
OF_PYTHON = """\
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/opt/killsync/lib/python3.11/site-packages/pyspark/worker.py", line 1, in main
    process()
{error}
"""


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (
            OF_PYTHON.format(error="killsync.errors.UsageError: /lake: cannot be written: full"),
            UsageError,
            "/lake: cannot be written: full",
        ),
        (
            OF_PYTHON.format(error="killsync.errors.TryLater: s3://lake: try again later"),
            TryLater,
            "s3://lake: try again later",
        ),
        (
            OF_PYTHON.format(error="ModuleNotFoundError: No module named 'killsync'"),
            UsageError,
            "a worker's Python has no killsync: install killsync with its extra spark on every",
        ),
        (
            OF_PYTHON.format(
                error="pyspark.errors.PySparkImportError: [PACKAGE_NOT_INSTALLED] Pandas >= 2.2.0 "
                "must be installed"
            ),
            UsageError,
            "a worker's Python has no Pandas: install killsync with its extra spark on every",
        ),
        (
            'java.io.IOException: Cannot run program "python3.12": error=2, No such file',
            UsageError,
            "a worker has no python3.12: install killsync with its extra spark on every",
        ),
        ("java.io.IOException: No space left on device", UsageError, "set spark.local.dir"),
        (
            "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
            TryLater,
            "as happens where memory is short",
        ),
    ],
)
def test_an_error_of_a_worker_becomes_one_line(
    cause: str, kind: type[Exception], words: str
) -> None:
    error = explained(RuntimeError(OF_JAVA.format(cause=cause)), "spark://node1:7077")
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)


def test_a_master_that_takes_no_program_is_named() -> None:
    said = "26/11/27 ERROR StandaloneSchedulerBackend: All masters are unresponsive! Giving up."
    error = explained(RuntimeError("stopped"), "spark://node1:7077", said)
    assert isinstance(error, TryLater)
    assert "the Spark master at spark://node1:7077 does not take this program" in str(error)


def test_of_what_nobody_has_foreseen_the_first_cause_is_said() -> None:
    text = (
        "An error occurred.\n: java.lang.Exception: outer\nCaused by: a.b.InnerException: of it\n"
    )
    error = explained(RuntimeError(text), "yarn")
    assert str(error) == (
        "Spark could not do it: InnerException: of it; --verbose shows what Spark says"
    )
