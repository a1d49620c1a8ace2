"""The schema of the killmail database, as migrations that are applied in order, once each."""

from sqlite_utils import Database, Migrations

from killsync.store import schema5, schema6, schema7, schema8, views

migrations = Migrations("killsync")

_USERS = """
CREATE TABLE users (
    user_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL DEFAULT 'character' CHECK (kind IN ('character', 'corporation')),
    name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'needs_login', 'disabled')),
    added_at TEXT NOT NULL,
    last_killmail_id INTEGER,
    last_killmail_sync_at TEXT,
    last_full_at TEXT,
    -- the one open gap below the stored id, and the snapshot that its last page was read from
    backfill_page INTEGER,
    backfill_until_id INTEGER,
    backfill_full_from TEXT,
    backfill_cached_until TEXT,
    -- what ESI said of page 1
    list_etag TEXT,
    list_cached_until TEXT,
    list_pages INTEGER,
    listed INTEGER NOT NULL DEFAULT 0,
    killmails INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    not_before TEXT,
    error TEXT,
    CHECK (backfill_page IS NOT NULL OR backfill_until_id IS NULL)
) STRICT;
CREATE INDEX users_last_killmail_id ON users (last_killmail_id);
CREATE INDEX users_last_killmail_sync_at ON users (last_killmail_sync_at);
CREATE INDEX users_active_backfill ON users (user_id)
    WHERE state = 'active' AND backfill_page IS NOT NULL;
CREATE INDEX users_name ON users (name COLLATE NOCASE);
"""

_JOBS = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'done', 'failed')),
    full INTEGER NOT NULL DEFAULT 0,
    queued_at TEXT NOT NULL,
    not_before TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    started_at TEXT,
    finished_at TEXT,
    pages INTEGER NOT NULL DEFAULT 0,
    new_killmails INTEGER NOT NULL DEFAULT 0,
    error TEXT
) STRICT;
CREATE UNIQUE INDEX jobs_one_open_per_user ON jobs (user_id)
    WHERE state IN ('queued', 'running');
CREATE INDEX jobs_next ON jobs (priority DESC, id) WHERE state = 'queued';
CREATE INDEX jobs_put_off ON jobs (not_before)
    WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX jobs_running ON jobs (id) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (user_id, state, finished_at)
    WHERE state IN ('done', 'failed');
CREATE INDEX jobs_failed ON jobs (finished_at) WHERE state = 'failed';
"""

_KILLMAILS = """
CREATE TABLE killmails (
    killmail_id INTEGER PRIMARY KEY,
    killmail_hash TEXT NOT NULL,
    hash_ok INTEGER NOT NULL CHECK (hash_ok IN (0, 1)),
    stored_seq INTEGER NOT NULL,
    stored_at TEXT NOT NULL,
    killmail_time TEXT NOT NULL,
    solar_system_id INTEGER NOT NULL,
    moon_id INTEGER,
    war_id INTEGER,
    victim_alliance_id INTEGER,
    victim_character_id INTEGER,
    victim_corporation_id INTEGER,
    victim_faction_id INTEGER,
    victim_damage_taken INTEGER NOT NULL,
    victim_ship_type_id INTEGER NOT NULL,
    -- ANY keeps 1 and 1.5 as they came
    victim_x ANY,
    victim_y ANY,
    victim_z ANY,
    attacker_count INTEGER NOT NULL,
    item_count INTEGER,
    extra TEXT
) STRICT;
CREATE UNIQUE INDEX killmails_stored_seq ON killmails (stored_seq);
CREATE INDEX killmails_time ON killmails (killmail_time, killmail_id);

CREATE TABLE attackers (
    killmail_id INTEGER NOT NULL REFERENCES killmails ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    alliance_id INTEGER,
    character_id INTEGER,
    corporation_id INTEGER,
    faction_id INTEGER,
    damage_done INTEGER NOT NULL,
    final_blow INTEGER NOT NULL CHECK (final_blow IN (0, 1)),
    security_status ANY NOT NULL,
    ship_type_id INTEGER,
    weapon_type_id INTEGER,
    extra TEXT,
    PRIMARY KEY (killmail_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
    killmail_id INTEGER NOT NULL REFERENCES killmails ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    -- the ordinal of the item that this one lies in, NULL for the victim's own
    parent INTEGER,
    item_type_id INTEGER NOT NULL,
    flag INTEGER NOT NULL,
    singleton INTEGER NOT NULL,
    quantity_destroyed INTEGER,
    quantity_dropped INTEGER,
    -- how many items lie in this one: NULL if ESI's JSON had no list, 0 if it had an empty one
    item_count INTEGER,
    extra TEXT,
    PRIMARY KEY (killmail_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_killmails (
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    killmail_id INTEGER NOT NULL,
    PRIMARY KEY (user_id, killmail_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_killmails_killmail ON user_killmails (killmail_id);

CREATE TABLE pending_killmails (
    killmail_id INTEGER PRIMARY KEY,
    killmail_hash TEXT NOT NULL,
    priority INTEGER NOT NULL,
    -- NULL: may be fetched now
    not_before TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- not NULL: refused again and again, and asked for seldom
    set_aside_at TEXT,
    error TEXT
) STRICT;
CREATE INDEX pending_killmails_ready ON pending_killmails (priority DESC, killmail_id DESC)
    WHERE not_before IS NULL AND set_aside_at IS NULL;
CREATE INDEX pending_killmails_set_aside ON pending_killmails (killmail_id)
    WHERE set_aside_at IS NOT NULL;
CREATE INDEX pending_killmails_waiting ON pending_killmails (not_before)
    WHERE not_before IS NOT NULL AND set_aside_at IS NULL;
"""

_RUNS = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    command TEXT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    users INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    new_killmails INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    exit_code INTEGER
) STRICT;
CREATE INDEX runs_succeeded ON runs (finished_at)
    WHERE exit_code IN (0, 1) AND requests > 0;

CREATE TABLE rate_limits (
    "group" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "limit" INTEGER NOT NULL,
    window_s REAL NOT NULL,
    -- JSON: [[unix seconds, tokens], ...], oldest first
    spent TEXT NOT NULL,
    retry_at REAL,
    PRIMARY KEY ("group", "key")
) STRICT, WITHOUT ROWID;

-- what this database is bound to, and counters that never go back
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO facts VALUES ('stored_seq', 0);
"""


@migrations()
def m001_initial(db: Database) -> None:
    """Create every table of killsync 0.1."""
    for script in (_USERS, _JOBS, _KILLMAILS, _RUNS):
        db.executescript(script)
    db.execute("PRAGMA user_version = 1")


@migrations()
def m002_floor(db: Database) -> None:
    """Remember the lowest id of the pages done of a gap, to see whether a later run overlaps."""
    db.execute("ALTER TABLE users ADD COLUMN backfill_floor_id INTEGER")
    db.execute("PRAGMA user_version = 2")


@migrations()
def m003_caller(db: Database) -> None:
    """Record how a run was called, so that doctor can compare; NULL for those of before."""
    # variables: JSON, the names of the KILLSYNC_ variables
    for column in ("program TEXT", "config TEXT", "database TEXT", "variables TEXT"):
        db.execute(f"ALTER TABLE runs ADD COLUMN {column}")
    db.execute("ALTER TABLE runs ADD COLUMN terminal INTEGER")
    db.execute("CREATE INDEX runs_background ON runs (id) WHERE command = 'scan' AND terminal = 0")
    db.execute("PRAGMA user_version = 3")


_EVIDENCE = """
-- entries of the list that were no references, since the last full pass
ALTER TABLE users ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
-- the first refusal of the token in use: when, of which (a fingerprint), for which client id
ALTER TABLE users ADD COLUMN refused_at TEXT;
ALTER TABLE users ADD COLUMN refused_token TEXT;
ALTER TABLE users ADD COLUMN refused_client TEXT;
-- when SSO last accepted the token, and since when no job of the user has ended well
ALTER TABLE users ADD COLUMN refreshed_at TEXT;
ALTER TABLE users ADD COLUMN troubled_since TEXT;
CREATE INDEX users_refreshed ON users (refreshed_at);
CREATE INDEX users_troubled ON users (troubled_since)
    WHERE state = 'active' AND troubled_since IS NOT NULL;
CREATE INDEX users_needs_login ON users (user_id) WHERE state = 'needs_login';
CREATE INDEX users_failing ON users (not_before) WHERE state = 'active' AND failures > 0;
CREATE INDEX users_active_synced ON users (last_killmail_sync_at, added_at)
    WHERE state = 'active';

DROP INDEX jobs_next;
CREATE INDEX jobs_next ON jobs (priority DESC, attempts > 0, id) WHERE state = 'queued';

ALTER TABLE pending_killmails ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending_killmails ADD COLUMN refused_at TEXT;
DROP INDEX pending_killmails_ready;
DROP INDEX pending_killmails_waiting;
CREATE INDEX pending_killmails_ready
    ON pending_killmails (attempts > 0, priority DESC, killmail_id DESC)
    WHERE not_before IS NULL;
CREATE INDEX pending_killmails_waiting ON pending_killmails (not_before)
    WHERE not_before IS NOT NULL;

ALTER TABLE runs ADD COLUMN max_runtime_s REAL;
-- JSON: up to two users whose list could be had, and whose access was refreshed
ALTER TABLE runs ADD COLUMN lists_of TEXT;
ALTER TABLE runs ADD COLUMN refreshes_of TEXT;
CREATE INDEX runs_that_asked ON runs (id) WHERE requests > 0;
DROP INDEX runs_succeeded;

-- rests in a row that were longer than can be believed
ALTER TABLE rate_limits ADD COLUMN long_rests INTEGER NOT NULL DEFAULT 0;
"""


@migrations()
def m004_evidence(db: Database) -> None:
    """Keep what a lasting mark needs as evidence; marks made on a single answer are lifted."""
    db.executescript(_EVIDENCE)
    db.execute(
        """UPDATE pending_killmails SET set_aside_at = NULL, attempts = 0, error = NULL
        WHERE set_aside_at IS NOT NULL"""
    )
    # long ago: their tokens are tried once more at the next scan
    db.execute("UPDATE users SET not_before = '2000-01-01T00:00:00Z' WHERE state = 'needs_login'")
    db.execute("UPDATE users SET not_before = NULL, failures = 0 WHERE failures > 0")
    db.execute("UPDATE jobs SET not_before = NULL WHERE state = 'queued'")
    db.execute("PRAGMA user_version = 4")


@migrations()
def m005_meaning(db: Database) -> None:
    """Keep names, prices, values and roles; scans fill them in for what is stored already."""
    for script in schema5.SCRIPTS:
        db.executescript(script)
    views.create(db.conn)
    db.execute("PRAGMA user_version = 5")


@migrations()
def m006_elsewhere(db: Database) -> None:
    """Keep corporations' directors, where killmails came from, and what was imported."""
    for script in schema6.SCRIPTS:
        db.executescript(script)
    views.create(db.conn)
    db.execute("PRAGMA user_version = 6")


@migrations()
def m007_outbox(db: Database) -> None:
    """Keep what is to be told, by which channel, and what became of it."""
    for script in schema7.SCRIPTS:
        db.executescript(script)
    db.execute("PRAGMA user_version = 7")


@migrations()
def m008_removed(db: Database) -> None:
    """Keep which killmails were deleted, for the copies of them in other engines."""
    for script in schema8.SCRIPTS:
        db.executescript(script)
    db.execute("PRAGMA user_version = 8")
