"""What `check` calls complete, against a plain model of every set of stored and missing bodies."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from itertools import takewhile
from typing import Any

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from killsync.check.completeness import user_completeness
from killsync.check.findings import Span
from killsync.store import verify
from killsync.store.schema import migrations
from killsync.times import iso

USER = 42
DAY = 86400
LAST_SYNC = 100
# times are numbers of days; a killmail's id is ten times the day it happened on
KINDS = ("stored", "pending", "set aside", "lost")

bodies = st.dictionaries(st.integers(1, 60), st.sampled_from(KINDS), max_size=14)


@cache
def empty_database() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        migrations.apply(sqlite_utils.Database(conn))
        return conn.serialize()


@pytest.fixture(scope="module")
def conn() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        conn.deserialize(empty_database())
        yield conn


def day(number: int) -> str:
    return iso(number * DAY)


def fill(conn: sqlite3.Connection, listed: dict[int, str], **columns: Any) -> None:
    """Make a user with these killmails, and those of another user between them."""
    for table in ("users", "user_killmails", "killmails", "pending_killmails"):
        conn.execute(f"DELETE FROM {table}")
    columns = {"user_id": USER, "name": "A", "added_at": day(0)} | columns
    marks = ", ".join("?" * len(columns))
    conn.execute(f"INSERT INTO users ({', '.join(columns)}) VALUES ({marks})", [*columns.values()])
    conn.execute("INSERT INTO users (user_id, name, added_at) VALUES (7, 'B', ?)", [day(0)])
    for seq, (when, kind) in enumerate(listed.items()):
        store(conn, when, kind, seq)
        conn.execute(
            "INSERT INTO user_killmails (user_id, killmail_id) VALUES (?, ?)", [USER, 10 * when]
        )
    for number in range(0, 61, 20):
        conn.execute(
            "INSERT INTO user_killmails (user_id, killmail_id) VALUES (7, ?)", [10 * number + 5]
        )


def store(conn: sqlite3.Connection, when: int, kind: str, seq: int) -> None:
    if kind == "stored":
        conn.execute(
            """INSERT INTO killmails (killmail_id, killmail_hash, hash_ok, stored_seq, stored_at,
                killmail_time, solar_system_id, victim_damage_taken, victim_ship_type_id,
                attacker_count) VALUES (?, '', 1, ?, ?, ?, 1, 1, 1, 0)""",
            [10 * when, seq, day(0), day(when)],
        )
    elif kind != "lost":
        conn.execute(
            "INSERT INTO pending_killmails (killmail_id, killmail_hash, priority, set_aside_at)"
            " VALUES (?, '', 3, ?)",
            [10 * when, day(0) if kind == "set aside" else None],
        )


def completeness(conn: sqlite3.Connection) -> tuple[Span | None, Span | None, int]:
    recorded = verify.recorded(conn, USER)
    assert recorded is not None
    found = user_completeness(recorded)
    return found.complete, found.complete_before, found.missing


def stretch(since: int | None, until: int) -> Span:
    return Span(None if since is None or since > until else day(since), day(until))


def model(listed: dict[int, str], end: int | None, top: int) -> tuple[Span | None, ...]:
    """Return the newest and the oldest stretch that lacks nothing; `end` is None if unknown."""
    known = [(when, listed[when] == "stored") for when in sorted(listed) if when <= top]
    if end is None:
        return None, None
    stored = [when for when in sorted(listed) if listed[when] == "stored"]
    if all(there for _, there in known):
        return stretch(stored[0] if stored else None, end), None
    head = [when for when, _ in takewhile(lambda k: k[1], known)]
    tail = [when for when, _ in takewhile(lambda k: k[1], reversed(known))][::-1]
    parts = [Span(day(tail[0]), day(end))] if tail and tail[0] <= end else []
    parts += [stretch(head[0], min(head[-1], end))] if head else []
    return (*parts, None, None)[:2]


@given(listed=bodies)
def test_without_a_gap_a_list_is_complete_but_for_what_is_missing(
    conn: sqlite3.Connection, listed: dict[int, str]
) -> None:
    fill(
        conn,
        listed,
        last_killmail_sync_at=day(LAST_SYNC),
        last_full_at=day(LAST_SYNC),
        last_killmail_id=10 * max(listed, default=1),
    )
    missing = sum(kind != "stored" for kind in listed.values())
    assert completeness(conn) == (*model(listed, LAST_SYNC, 60), missing)


@given(listed=bodies, data=st.data(), full=st.none() | st.integers(0, 80))
def test_below_an_open_gap_a_list_is_complete_but_for_what_is_missing(
    conn: sqlite3.Connection, listed: dict[int, str], data: st.DataObject, full: int | None
) -> None:
    until = data.draw(st.none() | st.sampled_from(sorted(listed)) if listed else st.none())
    fill(
        conn,
        listed,
        last_killmail_sync_at=day(LAST_SYNC),
        last_full_at=None if full is None else day(full),
        last_killmail_id=10 * max(listed, default=1),
        backfill_page=2,
        backfill_until_id=None if until is None else 10 * until,
    )
    ends = [] if full is None else [full]
    ends += [until] if until is not None and listed[until] == "stored" else []
    top = 60 if until is None else until
    found = completeness(conn)
    assert found[:2] == model(listed, max(ends, default=None), top)


@given(listed=bodies, gap=st.booleans(), until=st.none() | st.integers(1, 60))
def test_nothing_that_is_missing_lies_in_what_is_called_complete(
    conn: sqlite3.Connection, listed: dict[int, str], gap: bool, until: int | None
) -> None:
    fill(
        conn,
        listed,
        last_killmail_sync_at=day(LAST_SYNC),
        last_full_at=None if gap else day(LAST_SYNC),
        last_killmail_id=10 * max(listed, default=1),
        backfill_page=2 if gap else None,
        backfill_until_id=10 * until if gap and until is not None else None,
    )
    newest, oldest, missing = completeness(conn)
    assert missing == sum(kind != "stored" for kind in listed.values())
    for part in (newest, oldest):
        for when, kind in listed.items():
            if part is not None and kind != "stored":
                assert not (part.since or "") <= day(when) <= part.until


def test_what_a_wrong_time_stands_beside_is_not_called_complete(conn: sqlite3.Connection) -> None:
    fill(
        conn,
        {1: "stored", 2: "pending", 3: "stored"},
        last_killmail_sync_at=day(LAST_SYNC),
        last_full_at=day(LAST_SYNC),
        last_killmail_id=30,
    )
    conn.execute("UPDATE killmails SET killmail_time = 'noon'")
    assert completeness(conn) == (None, None, 1)


def test_completeness_scans_no_table_and_sorts_nothing(conn: sqlite3.Connection) -> None:
    fill(
        conn,
        {1: "stored", 2: "pending", 3: "stored"},
        last_killmail_sync_at=day(LAST_SYNC),
        last_killmail_id=30,
        backfill_page=2,
        backfill_until_id=30,
    )
    asked: set[str] = set()
    conn.set_trace_callback(asked.add)
    completeness(conn)
    conn.set_trace_callback(None)
    selects = [sql for sql in asked if sql.lstrip().startswith("SELECT")]
    assert len(selects) > 5
    plans = [row[3] for sql in selects for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert [step for step in plans if re.match("SCAN|USE TEMP", step)] == []
