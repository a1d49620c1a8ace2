"""Other engines that open a lake as the manual says, each in a process of its own.

Called by its path it is such a process: with the name of an engine, and where to write what it
answers to the questions on standard input.
"""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "ways-out.md"
MODULES = {"DuckDB": "duckdb", "Polars": "polars", "ClickHouse": "chdb", "Spark": "pyspark"}
"""The engines, by their headings in the manual, and what has to be installed for each."""
NAMES = list(MODULES)
TIMEOUT = 600

COUNTED = """
SELECT count(*), count(DISTINCT stored_seq), sum(stored_seq), sum(stored_seq * stored_seq) FROM {}
"""
"""What would differ if a killmail, or a row of one, were missing or there twice."""
_NUMBERED = "JOIN (SELECT killmail_id, stored_seq FROM killmails) USING (killmail_id)"
IN_SQLITE = {
    "killmails": "killmails",
    "attackers": f"attackers {_NUMBERED}",
    "items": f"items {_NUMBERED}",
}
"""What SQLite has for each table of a lake, with its `stored_seq`."""

Rows = list[list[Any]]
# a question, what else is said of it, and its SQL
_ASKED = re.compile(r"^([A-Z][^\n?]*\?)[^`]*?\n\n```sql\n(.*?);?\n```$", re.DOTALL | re.MULTILINE)


def is_installed(engine: str) -> bool:
    """Return whether an engine can be asked here."""
    return find_spec(MODULES[engine]) is not None


def ask(engine: str, directory: Path, questions: Sequence[str], **variables: str) -> list[Rows]:
    """Return what an engine answers from `lake` in a directory, after the manual's own lines.

    Beside `lake` stand the manual's `mine.sql`, `yours.sql` and `sides.sql`. Times and days are ISO
    text. The variables are set for the engine; PYSPARK_SUBMIT_ARGS may name a cluster of Spark's.
    """
    pytest.importorskip(MODULES[engine])
    answers = directory / f"{engine}.json"
    # until nobody has this output open: Spark's Java ends later than Python
    subprocess.run(
        [sys.executable, __file__, engine, str(answers)],
        input=json.dumps(list(questions)),
        stdout=subprocess.PIPE,
        cwd=directory,
        env=environment(directory) | variables,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    found: list[Rows] = json.loads(answers.read_text())
    return found


def same(found: Any, expected: Any) -> bool:
    """Return whether two answers are equal but for the last bits of sums, and for their types."""
    if isinstance(found, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, int | float) and isinstance(expected, int | float | str):
        return math.isclose(found, float(expected), rel_tol=1e-12)
    return bool(found == expected)


def environment(directory: Path) -> dict[str, str]:
    """Return variables for somebody at home in a directory, far from UTC."""
    java = {name: text for name, text in os.environ.items() if name == "JAVA_HOME"}
    return java | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(directory),
        "TZ": "Asia/Kathmandu",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(directory),
    }


def block(text: str, after: str, language: str) -> str:
    """Return the first block of code in a language after some words."""
    _, found, rest = text.partition(after)
    assert found, after
    written = re.search(rf"^```{language}\n(.*?)^```$", rest, re.DOTALL | re.MULTILINE)
    assert written, after
    return written[1]


def queries(page: Path) -> dict[str, str]:
    """Return the ten questions of a page of the manual, each with its SQL."""
    ten = page.read_text().partition("\n## Ten questions\n")[2]
    asked = re.compile(
        r"^([A-Z][^\n?]*\?)[^`]*?\n\n```sql\n(.*?);?\n```$", re.DOTALL | re.MULTILINE
    )
    return dict(asked.findall(ten))


def asked() -> dict[str, str]:
    """Return what engines are asked: the ten questions, and what each table of a lake counts."""
    return queries(PAGE) | {f"How many {table}?": COUNTED.format(table) for table in IN_SQLITE}


def asked_of_sqlite(moment: str) -> list[str]:
    """Return the same for a database, as if it were asked at a moment."""
    ten = queries(PAGE.with_name("sql.md")).values()
    at_the_moment = [sql.replace("'now'", f"'{moment}'") for sql in ten]
    return at_the_moment + [COUNTED.format(rows) for rows in IN_SQLITE.values()]


def write_views(directory: Path, users: Mapping[int, str]) -> None:
    """Write the manual's files beside a lake; `mine.sql` with these users, by id."""
    page = PAGE.read_text()
    for name in ("yours", "sides"):
        (directory / f"{name}.sql").write_text(block(page, f"`{name}.sql`", "sql"))
    written = block(page, "`mine.sql`:", "sql").splitlines()
    first, other = (re.sub(r"SELECT \d+ AS id, '.*'", "SELECT {} AS id, '{}'", w) for w in written)
    mine = [(other if n else first).format(*user) for n, user in enumerate(users.items())]
    (directory / "mine.sql").write_text("\n".join(mine))


def _arrow(engine: str, lake: Any) -> Callable[[str], Any]:
    """Return what asks an opened lake for a table of Arrow."""
    return {
        "DuckDB": lambda sql: lake.sql(sql).to_arrow_table(),
        "Polars": lambda sql: lake.execute(sql).collect().to_arrow(),
        "ClickHouse": lambda sql: lake.query(sql, "ArrowTable"),
        "Spark": lambda sql: lake.sql(sql).toArrow(),
    }[engine]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.replace(tzinfo=None).isoformat()}Z"
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _rows(table: Any) -> Rows:
    columns: Iterable[list[Any]] = (column.to_pylist() for column in table.columns)
    return [[_plain(value) for value in row] for row in zip(*columns, strict=True)]


def _small_spark() -> None:
    """Start a Spark that does little at once and compiles little, which the manual's lines find."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.files.openCostInBytes": "0",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder
    if "PYSPARK_SUBMIT_ARGS" not in os.environ:
        builder = builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    builder.getOrCreate()


def main() -> None:
    """Answer questions as an engine does, and write the answers to a file."""
    engine, answers = sys.argv[1:]
    if engine == "Spark":
        _small_spark()
    opened: dict[str, Any] = {}
    exec(block(PAGE.read_text(), f"### {engine}\n", "python"), opened)
    arrow = _arrow(engine, opened["lake"])
    found = [_rows(arrow(sql)) for sql in json.load(sys.stdin)]
    Path(answers).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
