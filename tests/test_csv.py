"""csv of every command is read back exactly as it was stored, whatever names and texts hold."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from here import run_here
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import attacker, body, database, pilot, put, set_name

from killsync.lake.csv_lines import csv_writer
from killsync.simulator.naming import HOSTILE
from killsync.store.connection import Store

ME, FIRST = 90_000_001, 2_112_000_001
NAMES = [*(name.format("Foe") for name in HOSTILE), "A\rB", "A\nB", "\r", "\n", "\r\n", "a,b\rc"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A kill of each of many pilots with hostile names; unknown fields hold the same texts."""
    with database(tmp_path_factory.mktemp("csv") / "killsync.db", {ME: "Maru"}) as store:
        numbered = list(enumerate(NAMES))
        put(store, [body(7 + n, pilot(FIRST + n), [attacker(ME)]) for n, _ in numbered])
        for n, name in numbered:
            set_name(store, FIRST + n, name)
            store.conn.execute(
                "UPDATE killmails SET extra = ? WHERE killmail_id = ?", [name, 7 + n]
            )
        yield store


def run(store: Store, *words: str) -> str:
    """Run a command in a pipe and return what it wrote, as it wrote it."""
    environment = {"KILLSYNC_DB": str(store.path), "HOME": str(store.path.parent)}
    done = run_here(*words, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(text: str) -> list[dict[str, str]]:
    """Return the rows of csv, all of which have every column."""
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert {len(row) for row in rows} == {len(header)}
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_kills_have_the_names_that_are_stored(store: Store) -> None:
    found = read(run(store, "kills", "--csv", "--limit", "0"))
    assert {int(row["victim_id"]): row["victim"] for row in found} == {
        FIRST + n: name for n, name in enumerate(NAMES)
    }


def test_statistics_have_the_names_that_are_stored(store: Store) -> None:
    found = read(run(store, "stats", "--by", "opponent", "--csv", "--limit", "0"))
    assert {int(row["id"]): row["name"] for row in found} == {
        FIRST + n: name for n, name in enumerate(NAMES)
    }


def test_an_export_has_the_texts_that_are_stored(store: Store, tmp_path: Path) -> None:
    run(store, "export", "--format", "csv", "-o", str(tmp_path))
    found = read((tmp_path / "killmails.csv").read_bytes().decode())
    assert {int(row["killmail_id"]): row["extra"] for row in found} == {
        7 + n: text for n, text in enumerate(NAMES)
    }


rows = st.lists(st.lists(st.text(), min_size=1), min_size=1)


@given(rows)
@settings(max_examples=100)
def test_any_text_is_read_back_and_a_row_ends_with_a_line_feed(written: list[list[str]]) -> None:
    lines: list[str] = []
    csv_writer(lines.append).writerows(written)
    assert list(csv.reader(io.StringIO("".join(lines), newline=""))) == written
    assert all(line.endswith("\n") and not line.endswith("\r\n") for line in lines)
