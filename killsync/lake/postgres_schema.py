"""What killsync makes in a PostgreSQL database, in one schema of that: versioned, and upgraded.

`killmails`, `attackers` and `items` have the columns of `lake.tables`. A killmail that two
databases have, two `source`s, stands there once, as the first of them brought it; that the other
has it too is noted in `also_stored`. So of every `stored_seq` of a source, up to its place, there
is one row: in `killmails`, in `also_stored`, or in `removed_killmails`.
"""

from collections.abc import Callable, Sequence
from typing import LiteralString

from psycopg import sql

from killsync.errors import UsageError
from killsync.lake import postgres_reference, postgres_roles, postgres_rows, postgres_views
from killsync.lake.postgres import Conn, Target
from killsync.lake.postgres_errors import START_OVER
from killsync.lake.tables import TABLES, Column, Kind

TYPES: dict[Kind, LiteralString] = {
    Kind.INTEGER: "bigint",
    Kind.DOUBLE: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "text",
    Kind.TIME: "timestamptz",
    Kind.DAY: "date",
    # jsonb cannot hold \u0000, which a player's text may have
    Kind.JSON: "json",
}
_KILLMAILS: LiteralString = """
CREATE TABLE killmails (
    {columns},
    source text NOT NULL,
    PRIMARY KEY (killmail_id)
);
CREATE UNIQUE INDEX killmails_stored_seq ON killmails (source, stored_seq);
CREATE INDEX killmails_time ON killmails (killmail_time, killmail_id);
"""
# no foreign keys: to look up each row's killmail would cost more than to copy the row
_CHILDREN: LiteralString = """
CREATE TABLE {table} (
    {columns},
    PRIMARY KEY (killmail_id, ordinal)
);
-- a tenth of the rows; ANALYZE takes rows that lie together, and believes in far fewer killmails
ALTER TABLE {table} ALTER COLUMN killmail_id SET (n_distinct = -0.1);
"""
_SUMMARY: LiteralString = """
-- has a row for each killmail, so that no view reads all attackers
CREATE TABLE killmail_attackers (
    killmail_id bigint PRIMARY KEY,
    -- how many are players, and whether neither a player nor a player corporation is among them
    players bigint NOT NULL,
    npc boolean NOT NULL,
    -- the first one's whose it was
    final_blow_ordinal bigint,
    ship_type_ids bigint[] NOT NULL
);
"""
_FEED: LiteralString = """
-- killmails that a source has too, while the row of another stands in killmails
CREATE TABLE also_stored (
    killmail_id bigint NOT NULL,
    source text NOT NULL,
    stored_seq bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (killmail_id, source)
);
CREATE UNIQUE INDEX also_stored_seq ON also_stored (source, stored_seq);

-- killmails that a source has deleted
CREATE TABLE removed_killmails (
    source text NOT NULL,
    removed_seq bigint NOT NULL,
    killmail_id bigint NOT NULL,
    stored_seq bigint NOT NULL,
    removed_at timestamptz NOT NULL,
    PRIMARY KEY (source, removed_seq)
);

-- how far each source is fed
CREATE TABLE places (
    source text PRIMARY KEY,
    stored_seq bigint NOT NULL DEFAULT 0,
    removed_seq bigint NOT NULL DEFAULT 0,
    -- those of the killmail of that stored_seq, by which a source is recognised
    killmail_id bigint NOT NULL DEFAULT 0,
    stored_at text NOT NULL DEFAULT '',
    with_hash boolean NOT NULL DEFAULT false,
    -- up to where what was written again (values, hash_source) is brought
    rewritten_seq bigint NOT NULL DEFAULT 0,
    -- of which lineage of the database that is; NULL: all of it is to be brought again
    lineage bigint,
    -- that which is being brought, and up to which stored_seq it is
    next_lineage bigint,
    rewriting_after bigint NOT NULL DEFAULT 0,
    -- when a feed last came to its end
    fed_at timestamptz
);
"""
_VERSION_TABLE: LiteralString = """
CREATE TABLE killsync_schema (version integer NOT NULL);
INSERT INTO killsync_schema VALUES (0);
"""


def _columns(columns: Sequence[Column]) -> sql.Composed:
    return sql.SQL(",\n    ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(TYPES[column.kind]))
        for column in columns
    )


def _initial(conn: Conn) -> None:
    conn.execute(sql.SQL(_KILLMAILS).format(columns=_columns(TABLES["killmails"])))
    for table in ("attackers", "items"):
        columns = _columns(TABLES[table])
        conn.execute(sql.SQL(_CHILDREN).format(table=sql.Identifier(table), columns=columns))
    conn.execute(_SUMMARY)
    conn.execute(_FEED)
    postgres_roles.create_tables(conn)
    postgres_reference.create_tables(conn)
    postgres_views.create(conn)


_MIGRATIONS: tuple[Callable[[Conn], None], ...] = (_initial,)
"""Each in a transaction of its own, so small that it never rewrites a table of killmails."""
VERSION = len(_MIGRATIONS)

_NAMESPACE = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
_TABLE = "SELECT to_regclass(quote_ident(%s) || '.killsync_schema')"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('killsync schema'), hashtext(%s))"
_MISSING = """
SELECT wanted.of, wanted.name FROM unnest(%s::text[], %s::text[]) AS wanted (of, name)
WHERE NOT EXISTS (
    SELECT 1 FROM pg_attribute
    WHERE attrelid = to_regclass(quote_ident(wanted.of)) AND attname = wanted.name
        AND attnum > 0 AND NOT attisdropped)
LIMIT 1
"""


def upgrade(target: Target) -> int:
    """Make the schema, or bring it up to date, and return its version; rights on its views stay.

    Raises UsageError if it was made by a newer killsync, is another program's or was changed.
    """
    version = 0
    while version < VERSION:
        with target.transaction() as conn:
            # two that feed a new schema at once
            conn.execute(_LOCK, [target.schema])
            version = _version(target, conn)
            if version > VERSION:
                raise UsageError(
                    f"the schema {target.schema} was made by a newer killsync (version {version}, "
                    f"this one knows {VERSION}): upgrade killsync"
                )
            if version < VERSION:
                _MIGRATIONS[version](conn)
                version += 1
                conn.execute("UPDATE killsync_schema SET version = %s", [version])
    _check_columns(target)
    with target.transaction() as conn:
        conn.execute(_LOCK, [target.schema])
        postgres_views.put_back(conn)
    return version


def _version(target: Target, conn: Conn) -> int:
    """Return the version of a schema, which is made if it is not there."""
    schema = target.schema
    if conn.execute(_NAMESPACE, [schema]).fetchone() is None:
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    row = conn.execute(_TABLE, [schema]).fetchone()
    if row is None or row[0] is None:
        conn.execute(_VERSION_TABLE)
    row = conn.execute("SELECT version FROM killsync_schema").fetchone()
    if row is None:
        raise UsageError(f"{schema}.killsync_schema is empty: {START_OVER}")
    return int(row[0])


def _check_columns(target: Target) -> None:
    names = [(table, name) for table, columns in postgres_rows.TABLES.items() for name in columns]
    with target.transaction() as conn:
        wanted = [list(column) for column in zip(*names, strict=True)]
        missing = conn.execute(_MISSING, wanted).fetchone()
    if missing is not None:
        raise UsageError(
            f"{target.schema}.{missing[0]} has no column {missing[1]} any more: {START_OVER}"
        )
