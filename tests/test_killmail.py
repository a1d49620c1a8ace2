"""What a killmail body may hold, what is refused, and that what is stored comes back."""

import gc
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from hypothesis import HealthCheck, given, settings
from killmail_strategies import bodies

from killsync.errors import BodyRejected, NotAKillmail
from killsync.killmail.body import decode, encode
from killsync.killmail.hash import expected_hash
from killsync.killmail.sides import Side
from killsync.store import exporting, killmails
from killsync.store.exporting import Selection
from killsync.store.killmails import FetchedKillmail
from killsync.store.schema import migrations
from killsync.store.verify_bodies import in_batches

NOW = "2026-11-24T03:00:00Z"
REAL = Path("/work/shared/esi/killmails.jsonl")


@cache
def empty_database() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        migrations.apply(sqlite_utils.Database(conn))
        return conn.serialize()


def database() -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.deserialize(empty_database())
    conn.execute("PRAGMA foreign_keys = ON")
    return conn


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = database()
    yield conn
    conn.close()


def body(killmail_id: int = 7, **changes: Any) -> dict[str, Any]:
    attacker = {"damage_done": 476, "final_blow": True, "security_status": -0.5, "character_id": 12}
    return {
        "killmail_id": killmail_id,
        "killmail_time": "2026-11-08T09:10:07Z",
        "solar_system_id": 30000142,
        "victim": {"damage_taken": 476, "ship_type_id": 670, "character_id": 11, "items": []},
        "attackers": [attacker],
        **changes,
    }


def item(**changes: Any) -> dict[str, Any]:
    return {"item_type_id": 34, "flag": 5, "singleton": 0, **changes}


def victim(**changes: Any) -> dict[str, Any]:
    return {"damage_taken": 1, "ship_type_id": 670, **changes}


def arrival(content: dict[str, Any], killmail_hash: str = "0" * 40) -> FetchedKillmail:
    return FetchedKillmail.compared(
        decode(json.dumps(content).encode(), content["killmail_id"]), killmail_hash
    )


def store(conn: sqlite3.Connection, *contents: dict[str, Any]) -> list[int]:
    stored = killmails.insert(conn, [arrival(content) for content in contents], NOW)
    return [killmail.killmail_id for killmail, _ in stored]


def round_trip(content: dict[str, Any]) -> Any:
    conn = database()
    store(conn, content)
    (stored,) = killmails.read(conn, [content["killmail_id"]])
    conn.close()
    return json.loads(encode(stored))


def exact(value: Any) -> str:
    """Return a text that tells 1 from 1.0, null from absent, and -0.0 from 0.0."""
    return json.dumps(value, sort_keys=True)


def rejection(raw: str | bytes, killmail_id: int = 7) -> str:
    with pytest.raises(BodyRejected) as caught:
        decode(raw.encode() if isinstance(raw, str) else raw, killmail_id)
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 160
    return message


def rejection_of(**changes: Any) -> str:
    return rejection(json.dumps(body(**changes)))


# What comes back


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(bodies)
def test_every_body_comes_back_equal_value_for_value(content: dict[str, Any]) -> None:
    assert exact(round_trip(content)) == exact(content)


@pytest.mark.parametrize(
    "text",
    [
        "'); DROP TABLE killmails; --",
        "[bold red]markup[/bold red]",
        "\x1b[2J\x1b]0;title\x07",
        "before\0after",
        "\u202eesrever \U0001f680",
        "x" * 10_000,
    ],
    ids=["sql", "markup", "escape", "nul", "bidi", "long"],
)
def test_hostile_text_in_an_unknown_field_is_only_text(text: str) -> None:
    content = body(unknown=text, victim=victim(unknown=[text])) | {text: text}
    assert exact(round_trip(content)) == exact(content)


@pytest.mark.parametrize("value", [{}, None, {"extra": {"extra": 1}}, [1], "x"])
def test_a_field_named_extra_is_an_unknown_field_like_any_other(value: Any) -> None:
    content = body(extra=value, victim=victim(extra=value, items=[item(extra=value)]))
    assert exact(round_trip(content)) == exact(content)


@pytest.mark.parametrize("changes", [{}, {"items": None}, {"items": []}, {"items": [item()]}])
def test_absent_null_and_empty_lists_are_distinguished(changes: dict[str, Any]) -> None:
    content = body(victim=victim(items=[item(**changes)]))
    assert exact(round_trip(content)) == exact(content)
    content = body(victim=victim(**changes))
    assert exact(round_trip(content)) == exact(content)


def test_a_null_position_and_an_unknown_field_of_a_position_are_distinguished() -> None:
    for position in (None, {"x": 1, "y": 2.0, "z": -0.0, "w": None}):
        content = body(victim=victim(position=position))
        assert exact(round_trip(content)) == exact(content)


def test_items_may_lie_deeper_than_the_one_level_of_the_schema() -> None:
    inner = item()
    for flag in range(20):
        inner = item(flag=flag, items=[item(), inner, item()])
    content = body(victim=victim(items=[inner, item()]))
    assert exact(round_trip(content)) == exact(content)


def test_many_filled_containers_are_no_deep_nesting() -> None:
    content = body(victim=victim(items=[item(items=[item()])] * 200))
    assert exact(round_trip(content)) == exact(content)


def test_of_a_repeated_field_the_last_one_counts() -> None:
    raw = json.dumps(body())[:-1] + ', "war_id": null, "war_id": 5}'
    assert decode(raw.encode(), 7).war_id == 5


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("2026-11-08T10:10:07.5+01:00", "2026-11-08T09:10:07Z"),
        ("2026-11-08T09:10:07+00:00", "2026-11-08T09:10:07Z"),
        ("2026-11-08T09:10:07", "2026-11-08T09:10:07Z"),
    ],
)
def test_a_time_is_stored_in_one_form_and_given_back_as_written(
    conn: sqlite3.Connection, written: str, column: str
) -> None:
    store(conn, body(killmail_time=written))
    assert conn.execute("SELECT killmail_time FROM killmails").fetchone() == (column,)
    assert killmails.read(conn, [7])[0].killmail_time == written


HUGE = (2**63, -(2**63) - 1, 2**64, 10**400, -(10**4200), 2**63 + 0.0)


@pytest.mark.parametrize("number", HUGE, ids=lambda number: str(number)[:22])
def test_a_number_of_any_size_in_an_unknown_field_comes_back(number: int) -> None:
    content = body(
        new=number,
        deep={"a": [{"b": [0, number]}]},
        victim=victim(new=[number], items=[item(new=number), item(items=[item(new=number)])]),
        attackers=[body()["attackers"][0] | {"new": {"a": number}}],
    )
    content["victim"]["position"] = {"x": 1, "y": 2.5, "z": -3, "new": number}
    assert exact(round_trip(content)) == exact(content)


def test_an_integer_may_be_written_as_a_number_with_a_fraction_of_zero() -> None:
    whole = body(
        52812,
        moon_id=2**53,
        victim=victim(items=[item(flag=-1, items=[item(quantity_dropped=10**18)])]),
    )
    whole["victim"]["position"] = {"x": 1.0, "y": 2, "z": -0.0}
    text = json.dumps(whole)
    for old, new in (
        ("52812", "52812.0"),
        (str(2**53), "9007199254740992.0"),
        ('"flag": -1', '"flag": -1.0e0'),
        (str(10**18), "1e18"),
        ("670", "670.00"),
        ("476", "4.76E2"),
    ):
        assert old in text
        text = text.replace(old, new)
    killmail = decode(text.encode(), 52812)
    assert exact(json.loads(encode(killmail))) == exact(whole)
    conn = database()
    killmails.insert(conn, [FetchedKillmail.compared(killmail, expected_hash(killmail))], NOW)
    assert exact(json.loads(encode(killmails.read(conn, [52812])[0]))) == exact(whole)
    assert conn.execute("SELECT hash_ok, typeof(moon_id) FROM killmails").fetchone() == (
        1,
        "integer",
    )
    conn.close()


@pytest.mark.long
@pytest.mark.parametrize("inside", [{}, {"items": []}], ids=["plain", "with an empty list each"])
def test_60_000_items_come_back(inside: dict[str, Any]) -> None:
    full = item(quantity_destroyed=1, quantity_dropped=2, **inside)
    content = body(victim=victim(items=[full] * 60_000))
    assert exact(round_trip(content)) == exact(content)


@pytest.mark.parametrize("text", ["{[,:" * 500_000, '\\"{' * 500_000], ids=["marks", "quotes"])
def test_marks_within_a_text_are_no_parts(text: str) -> None:
    content = body(new=text)
    assert exact(round_trip(content)) == exact(content)


# What is refused


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("[]", "the body: expected object, got array"),
        ('"x"', "the body: expected object, got str"),
        ("1", "the body: expected object, got int"),
        ("null", "the body: expected object, got null"),
        ("{}", "killmail_id: missing"),
        ("", "byte 0: the JSON ends too early"),
        ('{"killmail_id": 7', "byte 17: the JSON ends too early"),
        ("<html>", "byte 0: invalid character"),
        ("{} {}", "byte 4: trailing characters"),
        ('{"x": NaN}', "byte 6: invalid character"),
        (b'{"x": "\xff"}', "byte 7: not UTF-8"),
        (b'{"x": "\xed\xa0\x80"}', "byte 7: not UTF-8"),
        (r'{"x": "\ud83d\ude80 \ud800"}', "byte 20: half of a surrogate pair"),
        (r'{"x": "\\ud800 \udc00"}', "byte 15: half of a surrogate pair"),
        (r'{"\ud800A": 1}', "byte 2: half of a surrogate pair"),
        ('{"x": "' + "9" * 5000 + '", "y": ' + "9" * 5000 + "}", "byte 5015: a number of more"),
    ],
)
def test_what_is_no_killmail_is_refused_naming_the_byte_or_the_field(
    raw: str | bytes, named: str
) -> None:
    assert rejection(raw).startswith(named)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"victim": []}, "victim: expected object, got array"),
        ({"victim": None}, "victim: expected object, got null"),
        ({"victim": {"damage_taken": 1}}, "victim.ship_type_id: missing"),
        ({"victim": victim(ship_type_id="670")}, "victim.ship_type_id: expected int, got str"),
        ({"victim": victim(position={"x": 1, "y": 2})}, "victim.position.z: missing"),
        ({"victim": victim(position=[1])}, "victim.position: expected object, got array"),
        ({"victim": victim(items={})}, "victim.items: expected array, got object"),
        ({"victim": victim(items=[item(), None])}, "victim.items[1]: expected object, got null"),
        ({"victim": victim(items=[item(items=[{}])])}, "victim.items[0].items[0].item_type_id: m"),
        ({"attackers": None}, "attackers: expected array, got null"),
        ({"attackers": [{}]}, "attackers[0].damage_done: missing"),
        ({"attackers": ["x"]}, "attackers[0]: expected object, got str"),
        ({"moon_id": 1.5}, "moon_id: expected int, got float"),
        ({"moon_id": 1e19}, "moon_id: expected a number of 64 bits"),
        ({"moon_id": [1.0]}, "moon_id: expected int, got array"),
        ({"solar_system_id": "5"}, "solar_system_id: expected int, got str"),
        ({"moon_id": True}, "moon_id: expected int, got bool"),
        ({"moon_id": 2**63}, "moon_id: expected a number of 64 bits"),
        (
            {"victim": victim(damage_taken=-(2**63) - 1)},
            "victim.damage_taken: expected a number of",
        ),
        ({"victim": victim(items=[item(flag=10**400)])}, "victim.items[0].flag: expected a number"),
        (
            {"victim": victim(position={"x": 2**63, "y": 0, "z": 0})},
            "victim.position.x: expected a",
        ),
        ({"killmail_id": 8}, "killmail_id: expected 7, got 8"),
        ({"killmail_id": 7.5}, "killmail_id: expected int, got float"),
        ({"killmail_time": 5}, "killmail_time: expected str, got int"),
        ({"\x1b[31m" * 99: json.loads("[" * 80 + "]" * 80)}, r"\x1b[31m"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], named: str) -> None:
    assert rejection_of(**changes).startswith(named)


@pytest.mark.parametrize("parts", ["[]", "{}", "0", '"a"'])
def test_more_parts_than_there_is_memory_for_are_refused(parts: str) -> None:
    many = ",".join([parts] * 1_000_001)
    assert rejection(json.dumps(body())[:-1] + f', "new": [{many}]}}').startswith("the body: more")


def test_a_text_that_never_ends_is_refused_without_being_read_again_and_again() -> None:
    raw = json.dumps(body())[:-1] + ", " + "[" * 1_000_000 + '"' + r"\"" * 1_000_000
    assert rejection(raw).startswith("the body: more than 1,000,000")


@pytest.mark.parametrize(
    "raw", ["[]", '"x"', "1", "null", "{}", '{"error": "none"}', "[[[" * 9_999]
)
def test_what_is_no_killmail_at_all_is_told_from_one_that_cannot_be_kept(raw: str) -> None:
    with pytest.raises(NotAKillmail):
        decode(raw.encode(), 7)
    with pytest.raises(BodyRejected) as caught:
        decode(b'{"killmail_id": 7}', 7)
    assert not isinstance(caught.value, NotAKillmail)


@pytest.mark.parametrize("field", ['"war_id"', '"new"'])
def test_a_number_beyond_every_float_is_refused_wherever_it_is(field: str) -> None:
    raw = json.dumps(body())[:-1] + f', {field}: {{"a": [-1e400]}}}}'
    assert rejection(raw).startswith(f"{field[1:-1]}.a[0]: expected a number of 64 bits")


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30T00:00:00Z", "2026-11-08", "2026-11-08\x1b00:00:00Z", NOW * 9],
)
def test_a_killmail_time_that_is_no_time_is_refused(text: str) -> None:
    assert rejection_of(killmail_time=text).startswith("killmail_time: expected an ISO 8601 time")


@pytest.mark.parametrize("depth", [70, 400, 10_000])
def test_deep_nesting_is_refused_everywhere(depth: int) -> None:
    fields = json.dumps(body())[:-1]
    unknown = f'{fields}, "new": {"[" * depth}{"]" * depth}}}'
    opening = json.dumps(item())[:-1] + ', "items": ['
    nested = opening * depth + "]}" * depth
    items = f'{fields}, "victim": {{"damage_taken": 1, "ship_type_id": 2, "items": [{nested}]}}}}'
    for raw in (unknown, items):
        assert "nested deeper than 64 levels" in rejection(raw)


# The hash


def test_the_hash_is_that_of_victim_final_blow_ship_and_filetime() -> None:
    killmail = arrival(body()).killmail
    text = "11" + "12" + "670" + str((1794129007 + 11644473600) * 10**7)
    assert expected_hash(killmail) == hashlib.sha1(text.encode()).hexdigest()


def test_who_has_no_character_id_is_none_in_the_hash() -> None:
    npc = {"damage_done": 1, "final_blow": True, "security_status": 0}
    killmail = arrival(body(victim=victim(), attackers=[npc])).killmail
    text = "None" + "None" + "670" + str((1794129007 + 11644473600) * 10**7)
    assert expected_hash(killmail) == hashlib.sha1(text.encode()).hexdigest()


@pytest.mark.skipif(not REAL.exists(), reason="real killmails are not at hand")
def test_published_hashes_are_recomputed() -> None:
    for line in REAL.read_text().splitlines():
        entry = json.loads(line)
        killmail = decode(json.dumps(entry["body"]).encode(), entry["killmail_id"])
        assert expected_hash(killmail) == entry["killmail_hash"]
        assert exact(round_trip(entry["body"])) == exact(entry["body"])


def test_without_a_final_blow_the_first_attacker_counts() -> None:
    def hash_with(*characters: int, final_blow: int | None) -> str:
        attackers = [
            {
                "damage_done": 0,
                "security_status": 0,
                "character_id": c,
                "final_blow": c == final_blow,
            }
            for c in characters
        ]
        return expected_hash(arrival(body(attackers=attackers)).killmail)

    assert hash_with(1, 2, final_blow=None) == hash_with(2, 1, final_blow=1)
    assert hash_with(1, 2, final_blow=None) != hash_with(1, 2, final_blow=2)


def test_a_hash_that_does_not_fit_is_marked(conn: sqlite3.Connection) -> None:
    right = arrival(body(1))
    fitting = FetchedKillmail.compared(right.killmail, expected_hash(right.killmail))
    killmails.insert(conn, [fitting, arrival(body(2), "f" * 40)], NOW)
    rows = conn.execute("SELECT killmail_id, hash_ok FROM killmails ORDER BY 1").fetchall()
    assert rows == [(1, 1), (2, 0)]


# The tables


def test_what_is_stored_already_is_skipped_and_the_sequence_has_no_gap(
    conn: sqlite3.Connection,
) -> None:
    assert store(conn, body(5), body(3), body(5)) == [3, 5]
    assert store(conn, body(3), body(9)) == [9]
    assert store(conn, body(9)) == []
    rows = conn.execute("SELECT stored_seq, killmail_id FROM killmails ORDER BY 1").fetchall()
    assert rows == [(1, 3), (2, 5), (3, 9)]


def test_a_removed_killmail_takes_its_rows_along_and_its_sequence_number_is_not_reused(
    conn: sqlite3.Connection,
) -> None:
    store(conn, body(1, victim=victim(items=[item()])), body(2))
    killmails.remove(conn, [1, 2])
    for table in ("killmails", "attackers", "items"):
        assert sqlite_utils.Database(conn)[table].count == 0
    store(conn, body(3))
    assert conn.execute("SELECT stored_seq FROM killmails").fetchone() == (3,)


def test_items_are_numbered_depth_first_with_their_container(conn: sqlite3.Connection) -> None:
    box = item(flag=1, items=[item(flag=2, items=[]), item(flag=3)])
    store(conn, body(victim=victim(items=[box, item(flag=4)])))
    rows = conn.execute("SELECT ordinal, parent, flag, item_count FROM items ORDER BY ordinal")
    assert rows.fetchall() == [(0, None, 1, 2), (1, 0, 2, 0), (2, 0, 3, None), (3, None, 4, None)]


def test_rows_leave_nothing_behind_that_only_a_collection_frees() -> None:
    killmail = arrival(body(victim=victim(items=[item(items=[item()])]))).killmail
    gc.collect()
    killmails.item_rows(killmail)
    killmails.attacker_rows(killmail)
    assert gc.collect() == 0


def test_extra_is_text_in_every_table(conn: sqlite3.Connection) -> None:
    attacker = body()["attackers"][0] | {"new": "\U0001f680"}
    store(conn, body(new="é", victim=victim(items=[item(new=1)]), attackers=[attacker]))
    for table in ("killmails", "attackers", "items"):
        assert conn.execute(f"SELECT typeof(extra) FROM {table}").fetchall() == [("text",)]


def test_extra_is_null_in_the_usual_case_and_json_otherwise(conn: sqlite3.Connection) -> None:
    store(conn, body(1), body(2, moon_id=None, new=1, victim=victim(faction_id=None)))
    (usual,), (more,) = conn.execute("SELECT extra FROM killmails ORDER BY killmail_id").fetchall()
    assert usual is None
    assert json.loads(more) == {"moon_id": None, "new": 1, "victim": {"faction_id": None}}


def test_read_keeps_the_order_asked_for_and_leaves_out_what_is_not_stored(
    conn: sqlite3.Connection,
) -> None:
    store(conn, *(body(n) for n in range(1, 1203)))
    wanted = [*range(1202, 0, -1), 5000]
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    found = [killmail.killmail_id for killmail in killmails.read(conn, wanted)]
    assert found == wanted[:-1]
    assert len([text for text in statements if "SELECT" in text and "FROM" in text]) <= 9


# Export


def exported(conn: sqlite3.Connection, **choice: Any) -> list[int]:
    batch = choice.pop("batch", exporting.BATCH)
    found = exporting.bodies(conn, Selection(**choice), batch=batch)
    return [killmail.killmail_id for killmail in found]


@pytest.fixture
def history(conn: sqlite3.Connection) -> sqlite3.Connection:
    """Killmails 1 to 9 on 1 to 3 November, newest first; those of user 42 are odd."""
    days = {n: f"2026-11-0{3 - (n - 1) // 3}T00:00:00Z" for n in range(1, 10)}
    store(conn, *(body(n, killmail_time=day) for n, day in days.items()))
    conn.execute("INSERT INTO users (user_id, name, added_at) VALUES (42, 'A', ?)", (NOW,))
    conn.executemany(
        "INSERT INTO user_killmails (user_id, killmail_id) VALUES (42, ?)",
        [(n,) for n in range(1, 10, 2)],
    )
    return conn


@pytest.mark.parametrize("batch", [1, 2, 3, 500])
def test_export_is_oldest_first_whatever_the_batch(history: sqlite3.Connection, batch: int) -> None:
    assert exported(history, batch=batch) == [7, 8, 9, 4, 5, 6, 1, 2, 3]
    assert exported(history, batch=batch, user_id=42) == [7, 9, 5, 1, 3]


@pytest.mark.long
def test_large_killmails_are_exported_and_checked_a_few_at_a_time(conn: sqlite3.Connection) -> None:
    box = item(items=[item()] * 30_000)
    large = {"victim": victim(items=[box]), "new": "x" * 100_000}
    store(conn, body(1), *(body(n, **large) for n in range(2, 6)), body(6))
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    assert exported(conn) == [1, 2, 3, 4, 5, 6]
    conn.set_trace_callback(None)
    read = [sql for sql in statements if "FROM attackers" in sql]
    assert len(read) >= 4
    sizes = [len(batch) for batch in in_batches(conn)]
    assert (sum(sizes), max(sizes)) == (6, 2)


def test_export_begins_at_since(history: sqlite3.Connection) -> None:
    assert exported(history, since="2026-11-02T00:00:00Z") == [4, 5, 6, 1, 2, 3]
    assert exported(history, since="2026-11-02T00:00:01Z", user_id=42) == [1, 3]


def test_export_ends_with_until(history: sqlite3.Connection) -> None:
    assert exported(history, until="2026-11-02T00:00:00Z") == [7, 8, 9, 4, 5, 6]
    days = {"since": "2026-11-01T00:00:01Z", "until": "2026-11-02T00:00:00Z"}
    assert exported(history, **days) == [4, 5, 6]
    assert sorted(exported(history, **days, after_seq=0)) == [4, 5, 6]


def test_export_of_a_user_without_killmails_is_empty(history: sqlite3.Connection) -> None:
    assert exported(history, user_id=43) == []


def test_export_holds_no_read_between_batches(history: sqlite3.Connection) -> None:
    rest = exporting.bodies(history, Selection(), batch=2)
    next(rest)
    assert not history.in_transaction
    killmails.remove(history, [9])
    assert [killmail.killmail_id for killmail in rest] == [8, 4, 5, 6, 1, 2, 3]


@pytest.mark.parametrize("side", [None, *Side])
@pytest.mark.parametrize("user_id", [None, 42])
@pytest.mark.parametrize(
    ("index", "start"),
    [
        ("killmails_time", {"since": "2026-11-02T00:00:00Z"}),
        ("killmails_stored_seq", {"after_seq": 2}),
    ],
)
def test_export_scans_no_table(
    history: sqlite3.Connection,
    index: str,
    start: dict[str, Any],
    user_id: int | None,
    side: Side | None,
) -> None:
    statements: list[str] = []
    history.set_trace_callback(statements.append)
    exported(history, user_id=user_id, side=side, **start)
    history.set_trace_callback(None)
    plans = [
        step[3]
        for text in statements
        if text.lstrip().startswith("SELECT")
        for step in history.execute("EXPLAIN QUERY PLAN " + text)
    ]
    assert any(f"killmails USING COVERING INDEX {index} (" in step for step in plans)
    assert [step for step in plans if "SCAN" in step and "json_each" not in step] == []
    assert [step for step in plans if "TEMP B-TREE" in step] == []
