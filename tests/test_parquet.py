"""`killsync export --format parquet`: what stands in the files is what the database holds."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import hostile_bodies
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from here import Done, run_here
from lakes import Steps, names, stopping
from stored import (
    ASTRAHUS,
    CAPSULE,
    CONCORD,
    GURISTAS,
    IBIS,
    RIFTER,
    SHUTTLE,
    THERA,
    TRISTAN,
    attacker,
    body,
    database,
    pilot,
    put,
    rows,
    set_name,
    set_value,
)
from world import TIMEOUT, wait_until

from killsync.errors import DatabaseBusy
from killsync.lake import arrow_source, tables
from killsync.lake.layout import Maker, open_target
from killsync.lake.parquet import add_new
from killsync.lake.tables import Column, Kind
from killsync.simulator.naming import HOSTILE
from killsync.store import connection, views
from killsync.store.connection import Store

ME, FOE, OURS, THEIRS = 90_000_001, 2_112_000_001, 98_000_001, 98_000_002
NPC_PILOT = 3_000_123
SKIN, TRITANIUM, BAY = 44084, 34, 179
TABLES = tables.TABLES
ORDERED = {"killmails": "stored_seq", "attackers": "stored_seq, ordinal"}
ORDERED["items"] = ORDERED["attackers"]

Rows = list[dict[str, Any]]


def item(type_id: int, flag: int = 5, **more: Any) -> dict[str, Any]:
    return {"item_type_id": type_id, "flag": flag, "singleton": 0} | more


NESTED = item(3465, BAY, quantity_destroyed=1)
NESTED["items"] = [item(3465, 5, quantity_dropped=1)]
NESTED["items"][0]["items"] = [item(TRITANIUM, 0, quantity_dropped=2**40)]
ITEMS = [
    item(2048, 11, quantity_destroyed=1),
    item(TRITANIUM, quantity_dropped=7, quantity_destroyed=2**31),
    item(TRITANIUM, 200, singleton=2, quantity_dropped=2),
    item(SKIN, quantity_destroyed=1),
    item(CAPSULE, 90, singleton=1, quantity_destroyed=1),
    item(1, -1, quantity_dropped=-3, later={"a": "\0", "b": 2**70}),
    item(3465, 5, quantity_destroyed=1, items=[item(TRITANIUM, BAY, quantity_destroyed=3)]),
    item(3466, 5, items=[]),
    NESTED,
]
FOES = attacker(FOE, THEIRS, final_blow=True, ship_type_id=TRISTAN, weapon_type_id=2048)
HELP = attacker(2_112_000_002, OURS, alliance_id=99_000_001, security_status=-9)
NPC = attacker(None, CONCORD, final_blow=True, faction_id=GURISTAS, security_status=0.123456789)
ODD_PLACE = {"position": {"x": 2**60 + 1, "y": -0.5, "z": 1e300, "w": [None]}}

ODD = {"text": "a\0b\U0001f600", "moon_id": 4}


def kills() -> Iterator[dict[str, Any]]:
    """Yield killmails of every kind, by who shot what."""
    victim = pilot(ME, OURS)
    for shot in ([FOES], [NPC], [HELP], [FOES, HELP], [HELP | {"final_blow": True}], []):
        for ship in (RIFTER, CAPSULE, SHUTTLE, IBIS, ASTRAHUS, 1):
            yield body(0, victim, shot, ship=ship, system=THERA if ship == 1 else 30000142)
    structure = attacker(None, THEIRS, ship_type_id=ASTRAHUS, final_blow=True)
    yield body(0, victim, [FOES, structure])
    yield body(0, victim, [FOES, attacker(NPC_PILOT, CONCORD)])
    yield body(0, victim, [attacker(ME, OURS, final_blow=True)])
    yield body(0, pilot(None, OURS, faction_id=5), [structure | {"corporation_id": OURS}])
    yield body(0, pilot(ME, CONCORD), [attacker(FOE, CONCORD, final_blow=True)])
    yield body(0, pilot(None, OURS), [attacker(None, OURS, final_blow=True), FOES])
    for time in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-24T00:00:00.5+02:00"):
        yield body(0, victim, [FOES], items=ITEMS, time=time)
    yield body(0, victim | ODD_PLACE, [FOES], items=ITEMS) | {
        "text": "a\0b\ud83d\ude00",
        "moon_id": 4,
    }
    without = body(0, victim, [FOES], system=1)
    del without["victim"]["items"]
    yield without
    yield from hostile_bodies.generated(60)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database of odd killmails; some have a value, of some days, and some ids a name."""
    with database(tmp_path_factory.mktemp("parquet") / "killsync.db", {ME: "Maru"}) as store:
        put(store, [one | {"killmail_id": 500 - n} for n, one in enumerate(kills())])
        conn = store.conn
        prices = [
            (TRITANIUM, "2026-11-01", 4.005, None),
            (TRITANIUM, "2026-11-20", 0.0, 5.5),
            (2048, "2026-11-19", 5e5, 1.0),
            (CAPSULE, "2026-11-01", 77.0, None),
            (SKIN, "2026-11-01", 77.0, None),
            (3465, "2026-11-20", 0.001, None),
            (1, "2026-11-20", 1e16, None),
        ]
        conn.executemany("INSERT INTO prices VALUES (?, ?, ?, ?)", prices)
        for (id_,) in conn.execute("SELECT killmail_id FROM killmails").fetchall():
            set_value(store, id_, None if id_ % 3 == 0 else 1.5)
        conn.execute(
            "UPDATE killmail_values SET priced_on = '2026-11-19' WHERE killmail_id % 3 = 1"
        )
        conn.execute("DELETE FROM killmail_values WHERE killmail_id % 10 = 1")
        for n, name in enumerate(HOSTILE):
            set_name(store, 98_000_001 + n, name.format("Foe"))
        set_name(store, FOE, "Foe")
        set_name(store, ME, "Foe")
        conn.execute("UPDATE systems SET security = 0.04 WHERE system_id = ?", [THERA])
        yield store


def export(store: Store, lake: Path | str, *options: str, exit_code: int = 0) -> Done:
    """Export, while the test's own connection is closed as another program's would be."""
    environment = {"KILLSYNC_DB": str(store.path), "HOME": str(store.path.parent)}
    store.conn.close()
    try:
        done = run_here(
            "export", "--format", "parquet", "-o", str(lake), *options, environment=environment
        )
    finally:
        store.conn = connection.connect(store.path).conn
        # which had the other one
        vars(store).pop("db", None)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    return done


def read(lake: Path, table: str) -> Rows:
    """Return the rows of a table of a lake, in the order of the database's rows."""
    found = ds.dataset(lake / table, partitioning="hive").to_table()
    by = [(name, "ascending") for name in ORDERED[table].split(", ")]
    return list(found.sort_by(by).to_pylist())


def stored(store: Store, table: str, *, with_hash: bool = False) -> Rows:
    """Return the rows that the lake should have."""
    own = [c for c in TABLES[table] if with_hash or c.name != "killmail_hash"]
    asked = ", ".join(_EXPRESSIONS.get((table, c.name), f"t.{c.name}") for c in own)
    beside = ", ".join(f"{sql} AS {name}" for name, sql in _BESIDE[table].items())
    cursor = store.conn.execute(
        f"SELECT {asked}, {beside} FROM {_FROM[table]} ORDER BY {ORDERED[table]}"
    )
    names = [c.name for c in own] + list(_BESIDE[table])
    kinds = {c.name: c for c in own}
    return [
        {name: value(kinds.get(name), one) for name, one in zip(names, found, strict=True)}
        for found in cursor
    ]


_FROM = {
    "killmails": f"""killmails AS k {views.KILL_TABLES}
        LEFT JOIN factions AS f ON f.faction_id = k.victim_faction_id""",
    "attackers": """attackers AS t JOIN attacker_lines AS l USING (killmail_id, ordinal)
        JOIN killmails AS k USING (killmail_id)""",
    "items": """items AS t JOIN item_lines AS l USING (killmail_id, ordinal)
        JOIN killmails AS k USING (killmail_id)""",
}
_EXPRESSIONS = {("killmails", c.name): f"k.{c.name}" for c in tables.KILLMAILS}
_EXPRESSIONS |= {("killmails", c.name): f"v.{c.name}" for c in tables.VALUES}
_EXPRESSIONS |= {(t, "stored_seq"): "k.stored_seq" for t in ("attackers", "items")}
_BESIDE = {
    "killmails": {
        "solar_system_name": "system.name",
        "security": views.SECURITY.format("system.security"),
        "region_id": "system.region_id",
        "region_name": "system.region",
        "victim_alliance_name": "victim_alliance.name",
        "victim_character_name": "victim.name",
        "victim_corporation_name": "victim_corporation.name",
        "victim_faction_name": "f.name",
        "victim_ship_type_name": "ship.name",
        "victim_ship_group_name": "ship.group_name",
        "solo": f"{views.SOLO} = 1",
        "npc": f"{views.NPC} = 1",
        "awox": f"{views.AWOX} = 1",
        "month": "substr(k.killmail_time, 1, 7)",
    },
    "attackers": {
        "alliance_name": "l.alliance",
        "character_name": "l.pilot",
        "corporation_name": "l.corporation",
        "faction_name": "l.faction",
        "ship_type_name": "l.ship",
        "weapon_type_name": "l.weapon",
        "month": "substr(k.killmail_time, 1, 7)",
    },
    "items": {
        "item_type_name": "l.type",
        "item_group_name": "l.type_group",
        "item_category_name": "l.type_category",
        "price": "l.price",
        "month": "substr(k.killmail_time, 1, 7)",
    },
}


def value(column: Column | None, found: Any) -> Any:
    """Return what Parquet should hold for a value of SQLite's."""
    match column.kind if column is not None and found is not None else None:
        case Kind.DOUBLE:
            return float(found)
        case Kind.TIME:
            return datetime.fromisoformat(found)
        case Kind.DAY:
            return date.fromisoformat(found)
    return found


@pytest.fixture(scope="module")
def lake(made: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export all of it, with hashes."""
    lake = tmp_path_factory.mktemp("lake") / "lake"
    export(made, lake, "--with-hash")
    return lake


@pytest.mark.parametrize("table", TABLES)
def test_each_row_of_the_database_is_there_with_names_flags_and_prices_beside(
    made: Store, lake: Path, table: str
) -> None:
    expected = stored(made, table, with_hash=True)
    assert len(expected) > 40
    assert read(lake, table) == expected


def test_the_odd_values_are_there(made: Store, lake: Path) -> None:
    found = read(lake, "killmails")
    assert {one[flag] for one in found for flag in ("solo", "npc", "awox")} == {True, False}
    assert {one["solo"] for one in found if one["npc"]} == {False}
    assert 2.0**60 in [one["victim_x"] for one in found]
    assert {one["security"] for one in found} >= {0.1, 0.9, None}
    assert datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) in [one["killmail_time"] for one in found]
    assert "a\0b\U0001f600" in [json.loads(one["extra"] or "{}").get("text") for one in found]
    items = read(lake, "items")
    assert {one["price"] for one in items} >= {None, 0.0, 0.01, 5.5, 5e5, 10_000.0}
    in_bay = [one for one in items if one["quantity_dropped"] == 2**40 and one["price"] is not None]
    assert in_bay
    assert {one["price"] for one in in_bay} == {0.0}


def test_without_being_asked_for_no_hash_leaves(made: Store, tmp_path: Path) -> None:
    export(made, tmp_path / "lake")
    assert read(tmp_path / "lake", "killmails") == stored(made, "killmails")
    assert "killmail_hash" not in ds.dataset(tmp_path / "lake" / "killmails").schema.names
    bytes_of = b"".join(part.read_bytes() for part in (tmp_path / "lake").rglob("*.parquet"))
    assert b"killmail_hash" not in bytes_of


def test_columns_are_typed_and_names_are_plain_text(lake: Path) -> None:
    part = next((lake / "killmails").rglob("*.parquet"))
    schema = pq.ParquetFile(part).schema_arrow
    assert schema.field("killmail_time").type == pa.timestamp("us", "UTC")
    assert schema.field("victim_x").type == pa.float64()
    assert schema.field("priced_on").type == pa.date32()
    assert schema.field("solo").type == pa.bool_()
    assert schema.field("victim_character_name").type == pa.string()
    assert {schema.field(n).type for n in schema.names if n.endswith("_id")} == {pa.int64()}
    column = pq.ParquetFile(part).metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"


def test_months_are_those_of_the_killmails_and_parts_are_numbered(made: Store, lake: Path) -> None:
    months = {
        m for (m,) in rows(made, "SELECT DISTINCT substr(killmail_time, 1, 7) FROM killmails")
    }
    (newest,) = rows(made, "SELECT max(stored_seq) FROM killmails")[0]
    for table in TABLES:
        parts = sorted(part.relative_to(lake / table) for part in (lake / table).rglob("*.parquet"))
        assert parts == sorted(Path(f"month={m}/part-{newest}.parquet") for m in months)


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Store]:
    """A database of three killmails."""
    with database(tmp_path / "killsync.db", {ME: "Maru"}) as store:
        put(store, [loss(7), loss(8, "2026-10-31T23:59:59Z"), loss(9)])
        yield store


def loss(killmail_id: int, time: str = "2026-11-01T00:00:00Z") -> dict[str, Any]:
    return body(killmail_id, pilot(ME, OURS), [FOES], items=ITEMS[:2], time=time)


def test_a_second_call_adds_what_is_new_and_what_was_deleted(few: Store, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first = export(few, lake)
    assert first.stderr.endswith(
        "lake: 3 new killmails of 2 months; it has all up to stored_seq 3\n"
        "killsync: 3 ids of the database have no name yet: where one was written, it stays "
        "without; `killsync names` says which\n"
    )
    before = {part: part.read_bytes() for part in lake.rglob("*.parquet")}
    put(few, [loss(6), loss(10, "2026-12-01T00:00:00Z")])
    few.conn.execute("DELETE FROM killmails WHERE killmail_id IN (8, 10)")
    second = export(few, lake)
    assert (
        "lake: 1 new killmail of 1 month, 2 deleted; it has all up to stored_seq 4" in second.stderr
    )
    for table, each in (("killmails", 1), ("attackers", 1), ("items", 2)):
        found = [one["stored_seq"] for one in read(lake, table)]
        assert found == [seq for seq in (1, 2, 3, 4) for _ in range(each)]
    assert {part: part.read_bytes() for part in before} == before
    # the first one says that nothing was deleted, so that engines find the table
    parts = sorted(part.name for part in (lake / "removed").iterdir())
    assert parts == ["part-0.parquet", "part-2.parquet"]
    gone = ds.dataset(lake / "removed").to_table()
    assert [one | {"removed_at": 0} for one in gone.to_pylist()] == [
        {"removed_seq": 1, "killmail_id": 8, "stored_seq": 2, "removed_at": 0},
        {"removed_seq": 2, "killmail_id": 10, "stored_seq": 5, "removed_at": 0},
    ]


def test_with_nothing_new_it_says_so_and_changes_nothing(few: Store, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    export(few, lake)
    before = {part: part.stat().st_mtime_ns for part in lake.rglob("*")}
    again = export(few, lake)
    assert again.stderr.endswith("lake: nothing new after stored_seq 3\n")
    assert {part: part.stat().st_mtime_ns for part in lake.rglob("*")} == before


def test_a_quiet_call_says_nothing(few: Store, tmp_path: Path) -> None:
    environment = {"KILLSYNC_DB": str(few.path), "HOME": str(tmp_path)}
    words = ("export", "--format", "parquet", "-o", str(tmp_path / "lake"))
    done = run_here("--quiet", *words, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_empty_database_gives_an_empty_lake_that_is_added_to(tmp_path: Path) -> None:
    with database(tmp_path / "killsync.db", {ME: "Maru"}) as store:
        lake = tmp_path / "lake"
        assert "nothing new after stored_seq 0" in export(store, lake).stderr
        assert list(lake.rglob("*.parquet")) == []
        put(store, [loss(7)])
        export(store, lake)
        assert [one["killmail_id"] for one in read(lake, "killmails")] == [7]


def test_a_killmail_without_attackers_or_items_is_there(tmp_path: Path) -> None:
    with database(tmp_path / "killsync.db", {ME: "Maru"}) as store:
        put(store, [body(7, pilot(ME), [])])
        export(store, tmp_path / "lake")
        assert read(tmp_path / "lake", "killmails") == stored(store, "killmails")
        # so that an engine finds the table, if no row
        assert read(tmp_path / "lake", "items") == read(tmp_path / "lake", "attackers") == []


@pytest.mark.long
@pytest.mark.parametrize("most", [1, 3, 10_000])
def test_batches_of_any_size_give_the_same(
    made: Store, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(arrow_source, "_MOST_KILLMAILS", most)
    monkeypatch.setattr(arrow_source, "_MOST_ROWS", 30)
    for ids_in_memory in (0, 10_000):
        monkeypatch.setattr(arrow_source, "_MOST_IDS", ids_in_memory)
        export(made, tmp_path / f"{ids_in_memory}", "--with-hash")
        for table in TABLES:
            assert read(tmp_path / f"{ids_in_memory}", table) == read(lake, table)


def test_what_is_stored_or_deleted_meanwhile_waits_for_the_next_call(
    few: Store, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")

    def meanwhile(done: int, total: int) -> None:
        if done or deleted:
            return
        deleted.append(8)
        # another program: this one may have no other connection
        script = f"DELETE FROM killmails WHERE killmail_id = 8; {again}"
        subprocess.run([sys.executable, "-c", _EXECUTE, str(few.path), script], check=True)

    deleted: list[int] = []
    columns = [c.name for c in tables.KILLMAILS]
    values = ", ".join({"killmail_id": "10", "stored_seq": "4"}.get(n, n) for n in columns)
    again = f"INSERT INTO killmails ({', '.join(columns)}) SELECT {values} FROM killmails LIMIT 1"
    few.conn.close()
    with open_target(lake, Maker.DATABASE, with_hash=False) as target:
        store = connection.connect(few.path, read_only=True)
        assert add_new(store, target, meanwhile, with_hash=False).killmails == 2
        assert [one["stored_seq"] for one in read(Path(lake), "killmails")] == [1, 3]
        store = connection.connect(few.path, read_only=True)
        found = add_new(store, target, lambda done, total: None, with_hash=False)
        assert (found.killmails, found.removed) == (1, 1)
    assert [one["stored_seq"] for one in read(Path(lake), "killmails")] == [1, 3, 4]


def test_what_changes_while_sqlite_cannot_watch_it_gets_into_no_lake(
    few: Store, tmp_path: Path
) -> None:
    few.conn.close()
    # as for another user, who may write nothing beside the database
    conn = sqlite3.connect(f"{few.path.as_uri()}?mode=ro&immutable=1", uri=True)
    store = Store(few.path, conn, unwatched=True)
    with (
        open_target(str(tmp_path / "lake"), Maker.DATABASE, with_hash=False) as target,
        pytest.raises(DatabaseBusy, match="was changed while it was read; try again"),
    ):
        add_new(store, target, lambda done, total: os.utime(few.path), with_hash=False)
    assert names(tmp_path / "lake") == ["_killsync.lock"]


def test_a_database_that_is_replaced_before_its_killmails_are_read_is_not_mixed_in(
    few: Store, tmp_path: Path
) -> None:
    few.conn.execute("DELETE FROM killmails WHERE stored_seq = 1")
    few.conn.close()
    with database(tmp_path / "other.db", {ME: "Maru"}) as other:
        put(other, [loss(70), loss(80), loss(90)])
        other.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    class Restoring(Steps):
        def take(self, step: str) -> None:
            # the place is known, and what was deleted is being written
            if "_unfinished" in step and (tmp_path / "other.db").exists():
                (tmp_path / "other.db").replace(few.path)

    store = connection.connect(few.path, read_only=True)
    with (
        open_target(str(tmp_path / "lake"), Maker.DATABASE, with_hash=False) as target,
        stopping(tmp_path / "lake", Restoring()),
        pytest.raises(DatabaseBusy, match="was replaced while it was read; try again"),
    ):
        add_new(store, target, lambda done, total: None, with_hash=False)
    assert names(tmp_path / "lake") == ["_killsync.lock"]


_EXECUTE = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])"


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--user", "Maru"], "takes no --user: each call adds all that is new"),
        (["--since", "7d"], "takes no --since"),
        (["--until", "7d"], "takes no --until"),
        (["--kills"], "takes no --kills"),
        (["--losses"], "takes no --losses"),
        (["--after-seq", "0"], "takes no --after-seq"),
        (["-o", "-"], "writes a directory, or s3://bucket/prefix: add -o PATH"),
    ],
)
def test_what_would_tear_the_place_is_refused(
    few: Store, tmp_path: Path, options: list[str], refused: str
) -> None:
    done = export(few, tmp_path / "lake", *options, exit_code=2)
    assert done.stderr.startswith("killsync: --format parquet ")
    assert refused in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("missing", ["pyarrow", "adbc_driver_manager"])
def test_what_is_not_installed_is_named_with_the_line_that_installs_it(
    few: Store, tmp_path: Path, missing: str
) -> None:
    def run(*words: str) -> Done:
        return subprocess.run(
            [sys.executable, "-c", _WITHOUT, missing, "export", *words],
            env={"KILLSYNC_DB": str(few.path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("--format", "parquet", "-o", str(tmp_path / "lake"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"--format parquet needs {missing}, which is not installed: run `" in done.stderr
    assert "pyarrow>=17" in done.stderr.partition("-m pip install ")[2]
    assert "killsync[" not in done.stderr
    # the other formats need none of it
    assert run().stdout.count("\n") == 3


# as Python remembers what it has not found
_WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from killsync.cli.app import main
main()
"""


def test_the_lake_of_another_database_is_not_added_to(few: Store, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    export(few, lake)
    before = {part: part.stat().st_mtime_ns for part in lake.rglob("*")}
    with database(tmp_path / "other.db", {ME: "Maru"}) as other:
        put(other, [loss(70), loss(80), loss(90), loss(100)])
        done = export(other, lake, exit_code=2)
    assert "lake: was exported from another database, or this one was put back from" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {part: part.stat().st_mtime_ns for part in lake.rglob("*")} == before


def test_text_that_no_engine_reads_is_named(few: Store, tmp_path: Path) -> None:
    few.conn.execute("UPDATE killmails SET extra = CAST(x'80' AS TEXT)")
    done = export(few, tmp_path / "lake", exit_code=2)
    assert "`killsync check` says where" in done.stderr
    assert list((tmp_path / "lake").rglob("*.parquet")) == []


def test_an_escape_bay_that_rows_go_round_in_ends(few: Store, tmp_path: Path) -> None:
    put(
        few,
        [loss(11) | {"victim": pilot(ME) | {"damage_taken": 1, "ship_type_id": 1, "items": ITEMS}}],
    )
    few.conn.execute("UPDATE items SET parent = 1 WHERE killmail_id = 11 AND ordinal IN (1, 2)")
    set_value(few, 11, 1.0)
    export(few, tmp_path / "lake")
    assert read(tmp_path / "lake", "items") == stored(few, "items")


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_with_nothing_left_and_the_next_call_adds_all(
    few: Store, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    multiply(few, 40_000)
    lake = tmp_path / "lake"
    command = [sys.executable, "-m", "killsync", "export", "--format", "parquet", "-o", str(lake)]
    environment = {"KILLSYNC_DB": str(few.path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: any((lake / "_unfinished").glob("*/killmails.*")))
        process.send_signal(number)
        _, said = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, said) == (code, "")
    assert [file.name for file in lake.iterdir()] == ["_killsync.lock"]
    export(few, lake)
    found = ds.dataset(lake / "killmails").to_table(columns=["stored_seq"])["stored_seq"]
    assert sorted(found.to_pylist()) == list(range(1, 40_004))


def multiply(store: Store, count: int) -> None:
    """Store copies of the killmail 7, so many."""
    few_more = {"killmail_id": "1000 + value", "stored_seq": "3 + value"}
    with store.transaction() as conn:
        for table in TABLES:
            names = [name for _, name, *_ in conn.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(few_more.get(name, name) for name in names)
            conn.execute(
                f"""INSERT INTO {table} ({", ".join(names)})
                SELECT {values} FROM {table} JOIN (
                    WITH RECURSIVE n(value) AS (
                        VALUES (1) UNION ALL SELECT value + 1 FROM n LIMIT ?)
                    SELECT value FROM n) WHERE killmail_id = 7""",
                [count],
            )
