"""One batch into PostgreSQL: what a source has deleted leaves, what it has stored is copied.

Whoever calls holds the schema, so that what is looked up stays true to the end of the transaction.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from killsync.lake import postgres_roles
from killsync.lake.postgres import Conn
from killsync.lake.postgres_rows import REWRITTEN, TABLES, Batch, Rewritten
from killsync.lake.postgres_schema import TYPES
from killsync.store.changes import Removed

_RECORD: LiteralString = """
INSERT INTO removed_killmails (source, removed_seq, killmail_id, stored_seq, removed_at)
SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[])
"""
_FORGET: LiteralString = """
DELETE FROM also_stored AS a USING unnest(%s::bigint[], %s::bigint[]) AS gone (id, seq)
WHERE a.source = %s AND a.killmail_id = gone.id AND a.stored_seq = gone.seq
"""
_OWN: LiteralString = """
SELECT k.killmail_id FROM unnest(%s::bigint[], %s::bigint[]) AS gone (id, seq)
JOIN killmails AS k ON k.killmail_id = gone.id AND k.stored_seq = gone.seq AND k.source = %s
"""
# another source has it too: it is that one's from now on
_INHERIT: LiteralString = """
WITH heir AS (
    DELETE FROM also_stored AS a USING (
        SELECT DISTINCT ON (killmail_id) killmail_id, source FROM also_stored
        WHERE killmail_id = ANY(%s) ORDER BY killmail_id, stored_at, source) AS first
    WHERE a.killmail_id = first.killmail_id AND a.source = first.source
    RETURNING a.*
), of_attackers AS (
    UPDATE attackers AS t SET stored_seq = heir.stored_seq FROM heir
    WHERE t.killmail_id = heir.killmail_id
), of_items AS (
    UPDATE items AS t SET stored_seq = heir.stored_seq FROM heir
    WHERE t.killmail_id = heir.killmail_id
), of_places AS (
    -- the rest of what it says of them comes with its next feed
    UPDATE places SET lineage = NULL, next_lineage = NULL
    WHERE source IN (SELECT source FROM heir)
)
UPDATE killmails AS k
SET source = heir.source, stored_seq = heir.stored_seq, stored_at = heir.stored_at
FROM heir WHERE k.killmail_id = heir.killmail_id
RETURNING k.killmail_id
"""
_THERE: LiteralString = """
SELECT killmail_id, source = %s FROM killmails WHERE killmail_id = ANY(%s)
"""
_ALSO: LiteralString = """
INSERT INTO also_stored (killmail_id, source, stored_seq, stored_at)
SELECT id, %s, seq, at FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS t (id, seq, at)
ON CONFLICT (killmail_id, source) DO UPDATE
SET stored_seq = excluded.stored_seq, stored_at = excluded.stored_at
"""
_COPY: LiteralString = "COPY {} ({}) FROM STDIN (NULL '')"
_REWRITE: LiteralString = """
UPDATE killmails AS k SET {changes}
FROM unnest(%s::bigint[], {arrays}) AS n (killmail_id, {columns})
WHERE k.killmail_id = n.killmail_id AND k.source = %s AND ({old}) IS DISTINCT FROM ({new})
"""


def remove(conn: Conn, source: str, removed: Sequence[Removed]) -> int:
    """Record what a source has deleted, and delete it; return how many killmails are gone.

    What another source has too stays, as that one's.
    """
    if not removed:
        return 0
    ids, seqs = [one.killmail_id for one in removed], [one.stored_seq for one in removed]
    numbers, times = [one.removed_seq for one in removed], [one.removed_at for one in removed]
    conn.execute(_RECORD, [source, numbers, ids, seqs, times])
    conn.execute(_FORGET, [ids, seqs, source])
    own = {killmail_id for (killmail_id,) in conn.execute(_OWN, [ids, seqs, source])}
    kept = {killmail_id for (killmail_id,) in conn.execute(_INHERIT, [list(own)])} if own else set()
    gone = list(own - kept)
    _delete(conn, gone)
    return len(gone)


def store(conn: Conn, source: str, batch: Batch) -> int:
    """Copy what a source has stored; return how many killmails are new.

    Of those that another source has brought is noted that this one has them too.
    """
    there: dict[int, bool] = dict(conn.execute(_THERE, [source, batch.ids]).fetchall())
    # deleted without a trace, and stored again
    _delete(conn, [killmail_id for killmail_id, own in there.items() if own])
    known = {killmail_id for killmail_id, own in there.items() if not own}
    _note_also_stored(conn, source, batch, known)
    for table, columns in TABLES.items():
        names = _listed("{}", [sql.Identifier(name) for name in columns])
        statement = sql.SQL(_COPY).format(sql.Identifier(table), names)
        with conn.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(batch.rows(table, known))
    postgres_roles.record(conn, list(set(batch.ids).difference(known)))
    return len(batch.stored) - len(known)


def rewrite(conn: Conn, source: str, found: Rewritten) -> int:
    """Bring the columns that change of a source's own killmails; return how many differed."""
    names = [sql.Identifier(column.name) for column in REWRITTEN]
    arrays = [sql.SQL("%s::{}[]").format(sql.SQL(TYPES[column.kind])) for column in REWRITTEN]
    statement = sql.SQL(_REWRITE).format(
        columns=_listed("{}", names),
        changes=_listed("{0} = n.{0}", names),
        arrays=sql.SQL(", ").join(arrays),
        old=_listed("k.{}", names),
        new=_listed("n.{}", names),
    )
    return conn.execute(statement, [found.ids, *found.columns, source]).rowcount


def _listed(form: LiteralString, names: Sequence[sql.Identifier]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(form).format(name) for name in names)


def _note_also_stored(conn: Conn, source: str, batch: Batch, known: set[int]) -> None:
    noted = [row for row in batch.stored if row[1] in known]
    if noted:
        seqs, ids, times = (list(column) for column in zip(*noted, strict=True))
        conn.execute(_ALSO, [source, ids, seqs, times])


def _delete(conn: Conn, ids: list[int]) -> None:
    if not ids:
        return
    postgres_roles.forget(conn, ids)
    for table in TABLES:
        conn.execute(
            sql.SQL("DELETE FROM {} WHERE killmail_id = ANY(%s)").format(sql.Identifier(table)),
            [ids],
        )
