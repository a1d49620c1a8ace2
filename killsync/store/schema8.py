"""What schema 8 adds: which killmails were deleted or changed, for whoever has read them before."""

# whatever deletes a killmail, by hand too: its number in the change feed stays accounted for
_REMOVED = """
CREATE TABLE removed_killmails (
    -- rises by one with each, and is never reused
    removed_seq INTEGER PRIMARY KEY AUTOINCREMENT,
    killmail_id INTEGER NOT NULL,
    stored_seq INTEGER NOT NULL,
    stored_at TEXT NOT NULL,
    removed_at TEXT NOT NULL
) STRICT;
CREATE INDEX removed_killmails_stored_seq ON removed_killmails (stored_seq);
CREATE TRIGGER killmails_removed AFTER DELETE ON killmails BEGIN
    INSERT INTO removed_killmails (killmail_id, stored_seq, stored_at, removed_at)
    VALUES (old.killmail_id, old.stored_seq, old.stored_at,
        strftime('%Y-%m-%dT%H:%M:%SZ', 'now'));
    DELETE FROM rewritten_killmails WHERE killmail_id = old.killmail_id;
END;
"""

_REWRITTEN = """
-- killmails of which a column, or what they are worth, was written again since they were stored
CREATE TABLE rewritten_killmails (
    -- that of the last time; rises with each, and is never reused
    rewritten_seq INTEGER PRIMARY KEY AUTOINCREMENT,
    killmail_id INTEGER NOT NULL UNIQUE
) STRICT;
"""

# a copy of before, if it was restored, goes on behind the deletions that it replaced
_CONTINUED = """
INSERT INTO sqlite_sequence SELECT 'removed_killmails', value FROM facts
    WHERE name = 'removed_seq';
DELETE FROM facts WHERE name = 'removed_seq';
"""

SCRIPTS = (_REWRITTEN, _REMOVED, _CONTINUED)
