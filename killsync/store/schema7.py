"""What schema 7 adds: what is told by which channel, and since when a user's list is complete."""

_OUTBOX = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    -- of one killmail, or of a trouble or its end, which is JSON
    killmail_id INTEGER,
    trouble TEXT,
    -- sending: handed to the channel; uncertain: what became of it is not known
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sending', 'told', 'expired', 'uncertain')),
    queued_at TEXT NOT NULL,
    not_before TEXT NOT NULL,
    sending_at TEXT,
    ended_at TEXT,
    reason TEXT,
    CHECK ((killmail_id IS NULL) <> (trouble IS NULL))
) STRICT;
CREATE UNIQUE INDEX outbox_once ON outbox (channel, killmail_id) WHERE killmail_id IS NOT NULL;
-- troubles first, then killmails, each the oldest first
CREATE INDEX outbox_waiting ON outbox (channel, killmail_id IS NOT NULL, not_before, id)
    WHERE state = 'waiting';
CREATE INDEX outbox_sending ON outbox (sending_at) WHERE state = 'sending';
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX outbox_ended_of_channel ON outbox (channel, state, ended_at)
    WHERE ended_at IS NOT NULL;

-- of each channel that has ever been used: how it fares
CREATE TABLE channels (
    name TEXT PRIMARY KEY,
    told_at TEXT,
    -- deliveries that failed in a row, since when, and until when it rests
    failures INTEGER NOT NULL DEFAULT 0,
    failing_since TEXT,
    not_before TEXT,
    error TEXT,
    -- when a quiet scan has last warned of it
    warned_at TEXT,
    -- and when of names among its users that mean nobody, or several
    unclear_at TEXT
) STRICT, WITHOUT ROWID;

-- troubles that are not over, and the row that tells of each
CREATE TABLE troubles (
    channel TEXT NOT NULL,
    what TEXT NOT NULL,
    -- 0: of no single user
    user_id INTEGER NOT NULL,
    name TEXT,
    since TEXT NOT NULL,
    outbox_id INTEGER NOT NULL,
    PRIMARY KEY (channel, what, user_id)
) STRICT, WITHOUT ROWID;
"""

_NEWS = """
-- when the first pass over the whole list had ended: what is listed later is news
ALTER TABLE users ADD COLUMN complete_since TEXT;
UPDATE users SET complete_since = last_killmail_sync_at
WHERE backfill_page IS NULL AND NOT EXISTS (SELECT 1 FROM facts WHERE name = 'restored');
DELETE FROM facts WHERE name = 'restored';
-- 1: for some user, the list has shown it as news
ALTER TABLE pending_killmails ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;
"""

SCRIPTS = (_OUTBOX, _NEWS)
