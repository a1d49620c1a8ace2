"""The one job that Spark does: archives are read, their killmails sorted, and parts written.

The driver gets what became of each archive, and of its killmails in each month: some lines for a
day of the game, however many killmails it had.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from killsync.lake.spark_driver import Driver
from killsync.lake.spark_reading import Work
from killsync.lake.spark_rows import ROW, ArchiveOutcome, Outcome

_OUTCOME = "outcome"


class Job:
    """A job, and what is known of it while it goes on."""

    def __init__(self, driver: Driver, work: Work) -> None:
        self._driver = driver
        self._work = work
        self._read: Any = None

    @property
    def read_so_far(self) -> list[ArchiveOutcome]:
        """What became of the archives that are read; one that was read again is there again."""
        return [] if self._read is None else self._read.value

    def run(self) -> list[Outcome]:
        """Do it, and return what became of each archive, and of its killmails in each month.

        Raises what Spark raises.
        """
        from pyspark.sql import SparkSession

        context = self._driver.context
        spark = SparkSession(context)
        self._read = read = context.accumulator([], _list())
        shared = context.broadcast(self._work)
        archives, turns = len(self._work.archives), self._work.turns

        def reading(batches: Iterator[Any]) -> Iterator[Any]:
            from killsync.lake import spark_reading

            numbers = spark_reading.numbers_in(batches)
            yield from spark_reading.read(shared.value, numbers, lambda one: read.add([one]))

        def writing(batches: Iterator[Any]) -> Iterator[Any]:
            import pyarrow as pa

            from killsync.lake import spark_writing

            for outcome in spark_writing.write(shared.value, batches):
                yield pa.record_batch([pa.array([outcome], pa.binary())], names=[_OUTCOME])

        rows = (
            # a task for each archive: the largest begin first
            spark.range(0, archives, 1, archives)
            .mapInArrow(reading, ROW)
            .repartitionById(turns, "turn")
            .sortWithinPartitions("month", "first_seq")
            .mapInArrow(writing, f"{_OUTCOME} binary")
            .collect()
        )
        decoder = msgspec.json.Decoder(Outcome)
        return [decoder.decode(bytes(row[0])) for row in rows]


def _list() -> Any:
    from pyspark.accumulators import AccumulatorParam

    class _List(AccumulatorParam):  # type: ignore[misc]
        def zero(self, value: list[Any]) -> list[Any]:
            return []

        def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:  # noqa: N802
            value1.extend(value2)
            return value1

    return _List()
